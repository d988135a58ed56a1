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
use super::outcome::Outcome;
use crate::method::Method;
use crate::peer::{Peer, Process};

/// The pauses between attempts to reach a replica that was lost; each is longer than the last.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// One replica.
pub(super) struct Replica {
    url: String,
    channel: Channel,
    serving: AtomicBool,
    calls: AtomicUsize,
    /// Notified when a call has failed: the health is asked for again.
    call_failed: Notify,
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
            call_failed: Notify::new(),
        }
    }

    /// Whether it has reported that it serves, and no call has failed since.
    pub fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Acquire)
    }

    /// This replica as a peer of its own.
    pub fn process(&self) -> Process {
        Process {
            url: Some(self.url.clone()),
            serves: self.is_serving(),
            peer: Peer::Remote(self.channel.clone()),
        }
    }

    /// The number of calls that wait for their answer.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Sends a call. If the replica does not take it, or the answer is lost, the replica is not chosen again
    /// until it reports that it serves.
    pub async fn call(&self, request: Request<Body>, method: &Method) -> Outcome {
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
            self.call_failed.notify_one();
        }
        outcome
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let mut channel = self.channel.clone();
        channel.ready().await?.call(request).await
    }

    /// Follows the health that it reports, for ever. `changed` is notified of every change.
    pub async fn watch(self: Arc<Self>, changed: watch::Sender<()>) {
        let mut pause = PAUSE_MIN;
        loop {
            let ended = self.follow_health(&changed).await;
            self.set_serving(false, &changed);
            pause = match ended {
                Ok(()) => PAUSE_MIN,
                Err(why) => {
                    tracing::debug!(url = self.url, %why, "a replica does not answer");
                    (pause * 2).min(PAUSE_MAX)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Follows its health until the stream ends or a call fails; an error if it reported nothing.
    async fn follow_health(&self, changed: &watch::Sender<()>) -> Result<(), Status> {
        let whole_process = HealthCheckRequest::default();
        let mut health = HealthClient::new(self.channel.clone());
        let mut reports = health.watch(whole_process).await?.into_inner();
        let first = reports.message().await?;
        let mut report = first.ok_or_else(|| Status::unavailable("the stream is empty"))?;
        loop {
            self.set_serving(report.status() == ServingStatus::Serving, changed);
            tokio::select! {
                next = reports.message() => match next {
                    Ok(Some(next)) => report = next,
                    Ok(None) | Err(_) => return Ok(()),
                },
                () = self.call_failed.notified() => return Ok(()),
            }
        }
    }

    fn set_serving(&self, serving: bool, changed: &watch::Sender<()>) {
        if self.serving.swap(serving, Ordering::AcqRel) != serving {
            tracing::info!(url = self.url, serving, "a replica");
        }
        changed.send_replace(());
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
