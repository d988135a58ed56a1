//! A service as the runtime hosts it: its routes, its tasks, and the layers around them.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::middleware;
use axum::response::IntoResponse;
use futures::future::BoxFuture;
use http::Request;
use tokio::sync::watch;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::ServiceExt as _;

use crate::drain::Drain;
use crate::guard::{self, Limits};
use crate::peer::Peer;
use crate::ready::{self, Standing};

/// Why a task failed.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// The future with which a service's crate builds it. An `async fn` is compiled again in every crate that awaits
/// it, with everything that it builds; this is compiled once, where it is written.
pub type Building<T> = BoxFuture<'static, T>;

type Wrap = Box<dyn FnOnce(Router) -> Router + Send>;
type Run = Box<dyn FnOnce(Drain) -> BoxFuture<'static, Result<(), TaskError>> + Send>;

/// A gRPC service that can be routed to, such as those that tonic generates.
pub trait GrpcService:
    tower::Service<
        Request<tonic::body::Body>,
        Response: IntoResponse,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> GrpcService for S where
    S: tower::Service<
            Request<tonic::body::Body>,
            Response: IntoResponse,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// A task beside the routes: a consumer, a timer.
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
}

/// The gRPC services, HTTP routes and tasks of a service. Several can be joined into one that a single process hosts.
#[derive(Default)]
pub struct Service {
    pub(crate) names: Vec<&'static str>,
    pub(crate) grpc: Router,
    pub(crate) http: Router,
    pub(crate) tasks: Vec<Task>,
    pub(crate) edges: Vec<Wrap>,
    pub(crate) standing: Vec<Standing>,
}

impl Service {
    /// A service without routes and tasks.
    pub fn new() -> Service {
        Service::default()
    }

    /// The same with one more gRPC service.
    #[must_use]
    pub fn grpc<S: GrpcService + NamedService>(mut self, service: S) -> Service {
        self.grpc = route(self.grpc, S::NAME, service);
        self.names.push(S::NAME);
        self
    }

    /// The same with one more gRPC service, whose calls `service` forwards to another process.
    #[must_use]
    pub fn forwarded(mut self, name: &'static str, service: impl GrpcService) -> Service {
        self.grpc = route(self.grpc, name, service);
        self.names.push(name);
        self
    }

    /// The same, but its gRPC services (those that it has so far) take calls only while `serving` is true.
    /// Otherwise they stand by: health reports that, and calls are refused in a way that lets their sender
    /// turn to another replica.
    #[must_use]
    pub fn standing_by(mut self, serving: watch::Receiver<bool>) -> Service {
        let gate = ready::gate(serving.clone());
        self.grpc = self.grpc.layer(middleware::from_fn(gate));
        let names = self.names.clone();
        self.standing.push(Standing { names, serving });
        self
    }

    /// The same with more HTTP routes.
    #[must_use]
    pub fn http(mut self, routes: Router) -> Service {
        self.http = self.http.merge(routes);
        self
    }

    /// The same with a layer around the gRPC services that it has so far, such as that of authorization.
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Service
    where
        L: tower::Layer<axum::routing::Route> + Clone + Send + Sync + 'static,
        L::Service: tower::Service<Request<Body>> + Clone + Send + Sync + 'static,
        <L::Service as tower::Service<Request<Body>>>::Response: IntoResponse + 'static,
        <L::Service as tower::Service<Request<Body>>>::Error: Into<Infallible> + 'static,
        <L::Service as tower::Service<Request<Body>>>::Future: Send + 'static,
    {
        self.grpc = self.grpc.layer(layer);
        self
    }

    /// The same behind a [`guard`]: apply it last, so that it is outermost.
    #[must_use]
    pub fn guarded(self, limits: Limits, random: std::sync::Arc<prepx_env::Random>) -> Service {
        self.layer(guard::layer(limits, random))
    }

    /// The same with a layer around everything that comes from outside, gRPC and HTTP alike. Calls within
    /// the process do not pass it.
    #[must_use]
    pub fn edge(mut self, wrap: impl FnOnce(Router) -> Router + Send + 'static) -> Service {
        self.edges.push(Box::new(wrap));
        self
    }

    /// Applies those layers to what is served.
    pub(crate) fn wrap(edges: Vec<Wrap>, app: Router) -> Router {
        edges.into_iter().fold(app, |app, wrap| wrap(app))
    }

    /// The same with one more task. It runs until [`Drain::stopping`]; one that fails or panics before that
    /// ends the process.
    #[must_use]
    pub fn task<F>(
        mut self,
        name: &'static str,
        run: impl FnOnce(Drain) -> F + Send + 'static,
    ) -> Service
    where
        F: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        self.tasks.push(Task {
            name,
            run: Box::new(move |drain| Box::pin(run(drain))),
        });
        self
    }

    /// Both services in one process.
    #[must_use]
    pub fn and(mut self, other: Service) -> Service {
        self.names.extend(other.names);
        self.grpc = self.grpc.merge(other.grpc);
        self.http = self.http.merge(other.http);
        self.tasks.extend(other.tasks);
        self.edges.extend(other.edges);
        self.standing.extend(other.standing);
        self
    }

    /// A peer for the other services of this process, with the routes so far.
    pub fn peer(&self) -> Peer {
        Peer::local(routes(self.grpc.clone()))
    }
}

/// The router with one more gRPC service.
pub(crate) fn route(grpc: Router, name: &str, service: impl GrpcService) -> Router {
    // Like tonic's own router, but without its fallback: two fallbacks cannot be merged.
    let path = format!("/{name}/{{*rest}}");
    let service = service.map_request(|request: Request<Body>| request.map(tonic::body::Body::new));
    grpc.route_service(&path, service)
}

/// The gRPC routes of a router; unknown ones are UNIMPLEMENTED.
pub(crate) fn routes(grpc: Router) -> Routes {
    Routes::from(grpc.fallback(|| async {
        tonic::Status::unimplemented("there is no such method").into_http::<Body>()
    }))
}
