//! One replica of a service: its connection, and the health that it reports.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use tokio::sync::{Notify, watch};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Error};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::{Service as _, ServiceExt as _};

use super::ANSWER_WAIT;
use super::sent::Outcome;
use crate::method::Method;
use crate::peer::{Peer, Process};

/// How long after a replica was lost it is looked for again; longer each time in vain.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// One replica.
pub(super) struct Replica {
    url: String,
    channel: Channel,
    serving: AtomicBool,
    calls: AtomicUsize,
    /// Wakes the watch: a call has found out that something is wrong.
    doubted: Notify,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("url", &self.url)
            .field("serving", &self.is_serving())
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

impl Replica {
    pub fn over(url: String, channel: Channel) -> Replica {
        Replica {
            url,
            channel,
            serving: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            doubted: Notify::new(),
        }
    }

    /// Whether it has said that it serves, and nothing since then says otherwise.
    pub fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Acquire)
    }

    /// It alone.
    pub fn process(&self) -> Process {
        Process {
            url: Some(self.url.clone()),
            serves: self.is_serving(),
            peer: Peer::Remote(self.channel.clone()),
        }
    }

    /// Calls that wait for their answer.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Sends a call. A replica that does not take it, or is lost with it, is not chosen again before it
    /// has said that it serves.
    pub async fn outcome(&self, request: Request<Body>, method: &Method) -> Outcome {
        let _under_way = UnderWay::begin(&self.calls);
        let answer = self.send(request);
        let answered = match method.streaming {
            true => answer.await,
            false => match tokio::time::timeout(ANSWER_WAIT, answer).await {
                Ok(answered) => answered,
                Err(_) => return Outcome::Lost,
            },
        };
        let outcome = match answered {
            Ok(response) => Outcome::of_answer(response),
            Err(error) => {
                let outcome = Outcome::of_error(&error);
                tracing::debug!(url = self.url, %error, "a call has failed on its way");
                outcome
            }
        };
        if matches!(outcome, Outcome::NotTaken | Outcome::Lost) {
            self.serving.store(false, Ordering::Release);
            self.doubted.notify_one();
        }
        outcome
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let mut channel = self.channel.clone();
        channel.ready().await?.call(request).await
    }

    /// Listens to what it says of itself, for ever. `news` is told of every change.
    pub async fn watch(self: Arc<Self>, news: watch::Sender<()>) {
        let mut pause = PAUSE_MIN;
        loop {
            let heard = self.listen(&news).await;
            self.now(false, &news);
            pause = match heard {
                Ok(()) => PAUSE_MIN,
                Err(why) => {
                    tracing::debug!(url = self.url, %why, "a replica does not answer");
                    (pause * 2).min(PAUSE_MAX)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Until the stream ends or a call has found out more; an error when nothing came of it.
    async fn listen(&self, news: &watch::Sender<()>) -> Result<(), Status> {
        let everything = HealthCheckRequest::default();
        let mut health = HealthClient::new(self.channel.clone());
        let mut told = health.watch(everything).await?.into_inner();
        let first = told.message().await?;
        let mut said = first.ok_or_else(|| Status::unavailable("the stream is empty"))?;
        loop {
            self.now(said.status() == ServingStatus::Serving, news);
            tokio::select! {
                next = told.message() => match next {
                    Ok(Some(next)) => said = next,
                    Ok(None) | Err(_) => return Ok(()),
                },
                () = self.doubted.notified() => return Ok(()),
            }
        }
    }

    fn now(&self, serving: bool, news: &watch::Sender<()>) {
        if self.serving.swap(serving, Ordering::AcqRel) != serving {
            tracing::info!(url = self.url, serving, "a replica");
        }
        news.send_replace(());
    }
}

/// Counts a call while it waits for its answer, also when its caller goes away.
struct UnderWay<'a>(&'a AtomicUsize);

impl UnderWay<'_> {
    fn begin(calls: &AtomicUsize) -> UnderWay<'_> {
        calls.fetch_add(1, Ordering::Relaxed);
        UnderWay(calls)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
