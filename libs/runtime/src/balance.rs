//! Several replicas of one service behind one peer.
//!
//! Owns which replica a call goes to: the one with the fewest calls under way among those that report
//! themselves as serving (`grpc.health.v1`); and whether a call is retried. Refuses to repeat a write that may
//! have been carried out: only calls that were never sent or were refused before they began, and reads that
//! were lost or refused as UNAVAILABLE, go to another replica, while the retry budget lasts.

mod budget;
mod outcome;
mod replica;
mod resolver;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::body::Body;

use self::budget::Budget;
use self::outcome::Outcome;
pub(crate) use self::outcome::mark_not_taken;
use self::replica::Replica;
use self::resolver::Resolved;
use crate::method::Method;
use crate::peer::Process;
use crate::status;
use crate::tls::Place;

/// How long a call waits for a replica that serves: as long as a takeover may last.
const SERVING_WAIT: Duration = Duration::from_secs(5);
/// How long a unary call waits for its answer if its caller has set no deadline.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// How often one call may be sent.
const ATTEMPTS: usize = 3;
/// The largest message of a request that is kept until its answer has come: what services take.
const MESSAGE_BYTES_MAX: usize = (4 << 20) + 5;

/// The replicas of one service. Clones share their state. They are watched until the last clone is dropped.
#[derive(Clone)]
pub struct Balanced(Arc<Shared>);

struct Shared {
    /// For each URL, in the order given.
    resolved: Vec<Arc<Resolved>>,
    /// Where the search for the next replica begins, so that replicas with the same load take turns.
    turn: AtomicUsize,
    budget: Budget,
    changes: watch::Receiver<()>,
    _watches: JoinSet<()>,
}

impl fmt::Debug for Balanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.replicas()).finish()
    }
}

impl Balanced {
    /// Watches the replicas at these places. Must be called within the tokio runtime.
    pub(crate) fn over(places: Vec<Place>) -> Balanced {
        let (changed, changes) = watch::channel(());
        let mut watches = JoinSet::new();
        let places = places.into_iter();
        let resolved = places.map(|place| Resolved::watch(place, &mut watches, &changed));
        Balanced(Arc::new(Shared {
            resolved: resolved.collect(),
            turn: AtomicUsize::new(0),
            budget: Budget::default(),
            changes,
            _watches: watches,
        }))
    }

    /// Whether a replica serves.
    pub fn is_serving(&self) -> bool {
        let mut replicas = self.0.replicas();
        replicas.any(|replica| replica.is_serving())
    }

    /// The replicas, in the order of their URLs.
    pub fn processes(&self) -> Vec<Process> {
        let replicas = self.0.replicas();
        replicas.map(|replica| replica.process()).collect()
    }

    /// Sends a call to a replica, and to another one if it may be retried.
    pub async fn call(self, request: Request<Body>) -> Response<Body> {
        let method = Method::of(request.uri().path());
        let (parts, body) = request.into_parts();
        let mut body = match CallBody::read(method, body).await {
            Ok(body) => body,
            Err(unreadable) => return unreadable.into_http(),
        };
        self.0.budget.earn();
        let mut tried = Vec::new();
        loop {
            let Some(replica) = self.replica(&tried).await else {
                return nobody_serves().into_http();
            };
            let outcome = match body.next(&parts) {
                Some(request) => replica.call(request, method).await,
                None => return nobody_serves().into_http(),
            };
            let failure = match outcome {
                Outcome::Refused(response) if method.read_only => response,
                Outcome::Answered(response) | Outcome::Refused(response) => return response,
                Outcome::NotTaken => nobody_serves().into_http(),
                Outcome::Lost if method.read_only => nobody_serves().into_http(),
                Outcome::Lost => return status::outcome_unknown().into_http(),
            };
            tried.push(replica);
            let repeats = body.is_repeatable() && tried.len() < ATTEMPTS;
            if !repeats || !self.0.budget.spend() {
                return failure;
            }
        }
    }

    /// The replica for the next attempt; waits until one serves.
    async fn replica(&self, tried: &[Arc<Replica>]) -> Option<Arc<Replica>> {
        let mut changes = self.0.changes.clone();
        let chosen = async {
            loop {
                changes.mark_unchanged();
                if let Some(replica) = self.choose(tried) {
                    return Some(replica);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(SERVING_WAIT, chosen).await.ok()?
    }

    fn choose(&self, tried: &[Arc<Replica>]) -> Option<Arc<Replica>> {
        let replicas: Vec<_> = self.0.replicas().collect();
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn =
            (0..replicas.len()).map(|step| &replicas[turn.wrapping_add(step) % replicas.len()]);
        let serving = in_turn.filter(|replica| replica.is_serving());
        let was_tried = |replica: &Arc<Replica>| tried.iter().any(|one| Arc::ptr_eq(one, replica));
        let chosen = serving.min_by_key(|replica| (was_tried(replica), replica.calls()))?;
        Some(Arc::clone(chosen))
    }
}

impl Shared {
    /// All known replicas, in the order of their URLs.
    fn replicas(&self) -> impl Iterator<Item = Arc<Replica>> + use<'_> {
        self.resolved
            .iter()
            .flat_map(|resolved| resolved.replicas())
    }
}

/// The body of a call: a message that can be sent again, or a stream that cannot.
enum CallBody {
    Message(Bytes),
    Stream(Option<Body>),
}

impl CallBody {
    async fn read(method: &Method, body: Body) -> Result<CallBody, Status> {
        if method.streamed_request {
            return Ok(CallBody::Stream(Some(body)));
        }
        let read = Limited::new(body, MESSAGE_BYTES_MAX).collect().await;
        let message = read.map_err(Status::from_error)?.to_bytes();
        Ok(CallBody::Message(message))
    }

    const fn is_repeatable(&self) -> bool {
        matches!(self, CallBody::Message(_))
    }

    fn next(&mut self, parts: &Parts) -> Option<Request<Body>> {
        let body = match self {
            CallBody::Message(message) => Body::new(Full::new(message.clone())),
            CallBody::Stream(stream) => stream.take()?,
        };
        Some(Request::from_parts(parts.clone(), body))
    }
}

/// No replica has begun the call, so the caller may try again.
fn nobody_serves() -> Status {
    let words = "no replica of the service can take this now; nothing was begun, try again";
    let mut error = status::Error::new(status::Code::Unavailable, "NO_REPLICA", words);
    error.retry_after_ms = Some(1_000);
    status::of(&error)
}
