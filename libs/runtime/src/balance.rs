//! Several replicas of one service behind one peer.
//!
//! Owns which replica a call goes to: the one with the fewest calls under way among those that report
//! themselves as serving (`grpc.health.v1`); and whether a call is retried. Refuses to repeat a write that may
//! have been carried out: only calls that were never sent or were refused before they began, and reads that
//! were lost or refused as UNAVAILABLE, go to another replica, while the retry budget lasts.

mod budget;
mod found;
mod replica;
mod sent;

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
use self::found::Found;
use self::replica::Replica;
use self::sent::Outcome;
pub(crate) use self::sent::mark_not_taken;
use crate::method::Method;
use crate::peer::Process;
use crate::status;
use crate::tls::Place;

/// How long a call waits for a replica that serves: as long as an owner may take to be back.
const SERVING_WAIT: Duration = Duration::from_secs(5);
/// How long a unary call waits for its answer, whose caller has said nothing.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// How often one call may be sent.
const ATTEMPTS: usize = 3;
/// The largest message of a request that is kept until its answer has come: what services take.
const MESSAGE_BYTES_MAX: usize = (4 << 20) + 5;

/// The replicas of one service. Clones share what is known of them. They are watched until the last
/// clone is dropped.
#[derive(Clone)]
pub struct Balanced(Arc<Shared>);

struct Shared {
    /// By URL, in the order in which those were given.
    found: Vec<Arc<Found>>,
    /// Where the search for the next replica begins, so that equals take turns.
    turn: AtomicUsize,
    budget: Budget,
    news: watch::Receiver<()>,
    _watches: JoinSet<()>,
}

impl fmt::Debug for Balanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.replicas()).finish()
    }
}

impl Balanced {
    /// Watches the replicas at these places. To be called in the runtime.
    pub(crate) fn over(places: Vec<Place>) -> Balanced {
        let (tell, news) = watch::channel(());
        let mut watches = JoinSet::new();
        let places = places.into_iter();
        let found = places.map(|place| Found::behind(place, &mut watches, &tell));
        Balanced(Arc::new(Shared {
            found: found.collect(),
            turn: AtomicUsize::new(0),
            budget: Budget::default(),
            news,
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

    /// Sends a call to a replica, and what was not taken there to another.
    pub async fn call(self, request: Request<Body>) -> Response<Body> {
        let method = Method::of(request.uri().path());
        let (parts, body) = request.into_parts();
        let mut sending = match Sending::of(method, body).await {
            Ok(sending) => sending,
            Err(unreadable) => return unreadable.into_http(),
        };
        self.0.budget.earn();
        let mut tried = Vec::new();
        loop {
            let Some(replica) = self.replica(&tried).await else {
                return nobody_serves().into_http();
            };
            let outcome = match sending.next(&parts) {
                Some(request) => replica.outcome(request, method).await,
                None => return nobody_serves().into_http(),
            };
            let told = match outcome {
                Outcome::Refused(response) if method.read_only => response,
                Outcome::Answered(response) | Outcome::Refused(response) => return response,
                Outcome::NotTaken => nobody_serves().into_http(),
                Outcome::Lost if method.read_only => nobody_serves().into_http(),
                Outcome::Lost => return status::outcome_unknown().into_http(),
            };
            tried.push(replica);
            let repeats = sending.is_repeatable() && tried.len() < ATTEMPTS;
            if !repeats || !self.0.budget.spend() {
                return told;
            }
        }
    }

    /// The replica for the next attempt; waits until one serves.
    async fn replica(&self, tried: &[Arc<Replica>]) -> Option<Arc<Replica>> {
        let mut news = self.0.news.clone();
        let found = async {
            loop {
                news.mark_unchanged();
                if let Some(found) = self.choose(tried) {
                    return Some(found);
                }
                news.changed().await.ok()?;
            }
        };
        tokio::time::timeout(SERVING_WAIT, found).await.ok()?
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
    /// All that are known, in the order of their URLs.
    fn replicas(&self) -> impl Iterator<Item = Arc<Replica>> + use<'_> {
        self.found.iter().flat_map(|found| found.replicas())
    }
}

/// The body of a call: a message that can be sent again, or a stream that cannot.
enum Sending {
    Message(Bytes),
    Stream(Option<Body>),
}

impl Sending {
    async fn of(method: &Method, body: Body) -> Result<Sending, Status> {
        if method.streamed_request {
            return Ok(Sending::Stream(Some(body)));
        }
        let read = Limited::new(body, MESSAGE_BYTES_MAX).collect().await;
        let message = read.map_err(Status::from_error)?.to_bytes();
        Ok(Sending::Message(message))
    }

    const fn is_repeatable(&self) -> bool {
        matches!(self, Sending::Message(_))
    }

    fn next(&mut self, parts: &Parts) -> Option<Request<Body>> {
        let body = match self {
            Sending::Message(message) => Body::new(Full::new(message.clone())),
            Sending::Stream(stream) => stream.take()?,
        };
        Some(Request::from_parts(parts.clone(), body))
    }
}

/// Nothing was begun: the caller may try again.
fn nobody_serves() -> Status {
    let words = "no replica of the service can take this now; nothing was begun, try again";
    let mut error = status::Error::new(status::Code::Unavailable, "NO_REPLICA", words);
    error.retry_after_ms = Some(1_000);
    status::of(&error)
}
