//! The health that a process reports: over gRPC (`grpc.health.v1`, by service and as a whole) and over HTTP
//! (`/healthz`, `/readyz`).
//!
//! A service serves, or it stands by: another replica does what only one may do, and this one waits for its
//! turn. A call that reaches a service on standby is refused before it begins.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use http::StatusCode;
use tokio::sync::watch;
use tonic::Status;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::ServiceExt;

use crate::balance::mark_not_taken;
use crate::drain::Drain;
use crate::ending::Ending;
use crate::{service, status};

/// How long watchers of the health have to learn that this process leaves.
const LAST_WORD: Duration = Duration::from_millis(100);
const NAME: &str = "grpc.health.v1.Health";

/// Services that serve while the value is true.
pub(crate) struct Standing {
    pub(crate) names: Vec<&'static str>,
    pub(crate) serving: watch::Receiver<bool>,
}

impl Standing {
    /// Ends when the value next changes; never if it cannot change any more.
    fn changed(&self) -> impl Future<Output = ()> + use<> {
        let mut serving = self.serving.clone();
        serving.mark_unchanged();
        async move {
            if serving.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The health of a process.
pub(crate) struct Health {
    reporter: HealthReporter,
    names: Vec<&'static str>,
    standing: Arc<[Standing]>,
}

impl Health {
    /// Reports which of these services serve.
    pub async fn begin(names: &[&'static str], standing: Vec<Standing>) -> Health {
        let health = Health {
            reporter: HealthReporter::new(),
            names: names.to_vec(),
            standing: standing.into(),
        };
        health.tell().await;
        health
    }

    /// Reports it again whenever it changes.
    pub async fn follow(&self) -> Infallible {
        loop {
            // Subscribed before the first look, so that no change is missed.
            let mut changes: FuturesUnordered<_> =
                self.standing.iter().map(Standing::changed).collect();
            self.tell().await;
            if changes.next().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Reports that nothing serves any more.
    pub async fn end(&self) {
        for name in self.names.iter().copied().chain([""]) {
            self.say(name, false).await;
        }
    }

    async fn tell(&self) {
        for name in &self.names {
            let mut of_it = self.standing.iter().filter(|one| one.names.contains(name));
            self.say(name, of_it.all(|one| *one.serving.borrow())).await;
        }
        self.say("", serves(&self.standing)).await;
    }

    async fn say(&self, name: &str, serves: bool) {
        let status = match serves {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        self.reporter.set_service_status(name, status).await;
    }

    /// The router with gRPC's own health service, whose streams do not delay the shutdown.
    pub fn routed(&self, grpc: Router, drain: &Drain) -> Router {
        let health = HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()));
        let drain = drain.clone();
        let ended_with_this = move |response: http::Response<tonic::body::Body>| {
            let drain = drain.clone();
            let left = async move {
                drain.draining().await;
                tokio::time::sleep(LAST_WORD).await;
                Status::unavailable("this process leaves")
            };
            response.map(|body| Body::new(Ending::when(left, body)))
        };
        let health =
            ServiceExt::<http::Request<tonic::body::Body>>::map_response(health, ended_with_this);
        service::route(grpc, NAME, health)
    }

    /// The pages for an orchestrator: a process that answers is alive, one that takes calls is ready.
    pub fn pages(&self, drain: &Drain) -> Router {
        let (standing, drain) = (Arc::clone(&self.standing), drain.clone());
        let ready = move || async move {
            match !drain.is_draining() && serves(&standing) {
                true => (StatusCode::OK, "ready\n"),
                false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            }
        };
        Router::new()
            .route("/healthz", get(async || "alive\n"))
            .route("/readyz", get(ready))
    }
}

fn serves(standing: &[Standing]) -> bool {
    standing.iter().all(|one| *one.serving.borrow())
}

/// Admits calls while `serving` is true.
pub(crate) fn gate(
    serving: watch::Receiver<bool>,
) -> impl Fn(Request, Next) -> BoxFuture<'static, Response> + Clone {
    move |request, next| {
        if *serving.borrow() {
            return next.run(request).boxed();
        }
        let mut refused = stands_by().into_http::<Body>();
        mark_not_taken(refused.headers_mut());
        std::future::ready(refused).boxed()
    }
}

fn stands_by() -> Status {
    let words = "this replica stands by for another one; nothing was begun, call that one";
    let mut error = status::Error::new(status::Code::Unavailable, "STANDS_BY", words);
    error.retry_after_ms = Some(1_000);
    status::of(&error)
}
