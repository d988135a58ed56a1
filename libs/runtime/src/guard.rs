//! The layer around every service: a limit on concurrent calls before anything is decoded, the deadline, the
//! request id, the metrics, and a wall that no panic passes.
//!
//! It wraps the service itself and not the transport, because a call from within the process never
//! sees a transport. It does not decide who may call: that is the layer of `prepx-auth`.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Poller, Poll};
use std::time::Duration;

use axum::body::Body;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use prepx_env::Random;
use prepx_trace::{Span, Trace};
use serde::Deserialize;
use tokio::time::Instant;
use tonic::Status;
use tower::{Layer, Service};
use tracing::Instrument as _;

use crate::calls::{Calls, Meters};
use crate::capacity::{Capacity, Permit};
use crate::context::Context;
use crate::method::Method;
use crate::status::{Code, Error};
use crate::{config, spans, status, telemetry, timeout, unreadable};

/// The header with the request's id, on requests and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The limits of a service: how many calls at a time, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Unary calls in flight; further ones are refused with "try later" before they are decoded.
    pub unary_calls: usize,
    /// Open streams; further ones are refused with "try later".
    pub streams: usize,
    /// The longest that a unary call may take, even if its caller would wait longer.
    pub unary_timeout_ms: u64,
    /// When refused callers are to try again.
    pub retry_after_ms: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            unary_calls: 4_096,
            streams: 4_096,
            unary_timeout_ms: 30_000,
            retry_after_ms: 1_000,
        }
    }
}

impl Limits {
    /// Checks these limits.
    pub fn validate(&self) -> Result<(), config::Error> {
        config::at_least("unary_calls", self.unary_calls as u64, 1)?;
        config::at_least("streams", self.streams as u64, 1)?;
        config::at_least("unary_timeout_ms", self.unary_timeout_ms, 1)?;
        config::at_least("retry_after_ms", self.retry_after_ms, 1)
    }
}

/// The layer that puts a guard around services, which share its limits.
pub(crate) fn layer(limits: Limits, random: Arc<Random>) -> GuardLayer {
    let shared = Arc::new(Shared {
        unary: Capacity::new("calls", limits.unary_calls),
        streams: Capacity::new("streams", limits.streams),
        calls: Calls::new(),
        limits,
        random,
    });
    GuardLayer { shared }
}

struct Shared {
    limits: Limits,
    unary: Capacity,
    streams: Capacity,
    calls: Calls,
    random: Arc<Random>,
}

impl Shared {
    fn place(&self, method: &Method) -> Result<Permit, Status> {
        let (capacity, what) = match method.streaming {
            true => (&self.streams, "the number of open streams"),
            false => (&self.unary, "the number of calls in flight"),
        };
        capacity.enter().ok_or_else(|| {
            let after = Duration::from_millis(self.limits.retry_after_ms);
            status::of(&status::overloaded(what, after))
        })
    }

    fn watch(&self, method: &'static Method) -> Watch {
        Watch::begin(method, Arc::clone(self.calls.of(method)))
    }

    /// The earlier of the caller's deadline and, for unary calls, the service's own.
    fn deadline(&self, method: &Method, headers: &HeaderMap) -> Option<Instant> {
        let asked = timeout::read(headers);
        let most = Duration::from_millis(self.limits.unary_timeout_ms);
        let left = if method.streaming {
            asked
        } else {
            Some(asked.unwrap_or(most).min(most))
        };
        left.and_then(|left| Instant::now().checked_add(left))
    }
}

/// The request's own id, or that of its trace, or a new one.
pub fn request_id(headers: &HeaderMap, trace: Option<Trace>, random: &Random) -> HeaderValue {
    let given = headers.get(REQUEST_ID);
    match given.filter(|id| is_request_id(id.as_bytes())) {
        Some(id) => id.clone(),
        None => new_request_id(trace.map_or_else(|| random.uuid().as_u128(), |trace| trace.id)),
    }
}

/// Whether a caller's request id is accepted: 1 to 64 visible ASCII characters.
fn is_request_id(bytes: &[u8]) -> bool {
    (1..=64).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

/// A new request id: 32 hexadecimal digits.
fn new_request_id(id: u128) -> HeaderValue {
    let id = format!("{id:032x}");
    HeaderValue::from_str(&id).expect("hexadecimal digits are a header value")
}

/// See [`layer`].
#[derive(Clone)]
pub(crate) struct GuardLayer {
    shared: Arc<Shared>,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// A service behind its guard.
#[derive(Clone)]
pub(crate) struct Guard<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, poller: &mut Poller<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(poller)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = Method::of(request.uri().path());
        let span = (!method.is_support()).then(|| spans::begin(request.headers()));
        let span = span.flatten();
        let trace = span.as_ref().map(Span::trace);
        let context = Context {
            request_id: request_id(request.headers(), trace, &self.shared.random),
            deadline: self.shared.deadline(method, request.headers()),
        };
        let place = match self.shared.place(method) {
            Ok(place) => place,
            Err(refusal) => {
                self.shared.watch(method).end(refusal.code());
                let response = answer(refusal.into_http(), &context);
                return Box::pin(std::future::ready(Ok(response)));
            }
        };
        let mut watch = self.shared.watch(method);
        watch.place = Some(place);
        watch.span = span.map(|span| (span, context.request_id.clone()));
        let span = telemetry::call_span(method, &context, trace);
        let handled = self.inner.call(request);
        let bounded = prepx_trace::scope(trace, handle(handled, method, context.clone()));
        let whole = async move { Ok(answer(watch.over(bounded.await), &context)) };
        Box::pin(whole.instrument(span))
    }
}

/// The handler's answer, within its deadline and with panics caught.
async fn handle<F>(handled: F, method: &'static Method, context: Context) -> Response<Body>
where
    F: Future<Output = Result<Response<Body>, std::convert::Infallible>>,
{
    let deadline = context.deadline;
    let caught = AssertUnwindSafe(context.scope(handled)).catch_unwind();
    let outcome = match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, caught).await,
        None => Ok(caught.await),
    };
    match outcome {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(panic)) => {
            tracing::error!(
                method = method.path,
                panic = panic_text(&*panic),
                "a call panicked"
            );
            status::internal().into_http()
        }
        Err(_) => given_up(method).into_http(),
    }
}

/// A read that took too long may be repeated. A write may have been carried out, so the answer is never one
/// that clients resend by themselves (design: never 429 or 504 after the append).
fn given_up(method: &Method) -> Status {
    if !method.read_only {
        return status::outcome_unknown();
    }
    status::of(&Error::new(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the answer took longer than its limit; try again",
    ))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}

fn answer(mut response: Response<Body>, context: &Context) -> Response<Body> {
    response
        .headers_mut()
        .insert(REQUEST_ID, context.request_id.clone());
    response
}

/// Measures one call: rate, errors and duration by method, from its beginning until its answer has been
/// sent, has failed, or was given up by the caller. Holds its place in the limit until then.
struct Watch {
    method: &'static Method,
    meters: Arc<Meters>,
    began: Instant,
    code: Option<tonic::Code>,
    place: Option<Permit>,
    /// The span of the call, and its request id.
    span: Option<(Span, HeaderValue)>,
}

impl Watch {
    fn begin(method: &'static Method, meters: Arc<Meters>) -> Watch {
        meters.began();
        Watch {
            method,
            meters,
            began: Instant::now(),
            code: None,
            place: None,
            span: None,
        }
    }

    fn end(mut self, code: tonic::Code) {
        self.code = Some(code);
    }

    /// Watches the answer until its end, where the status of a stream is.
    fn over(mut self, mut response: Response<Body>) -> Response<Body> {
        unreadable::rewrite(response.headers_mut());
        if let Some(code) = grpc_code(response.headers()) {
            self.end(code);
            return response;
        }
        if !self.method.streaming {
            // The handler is done; its place must not depend on how fast the caller reads.
            self.place = None;
        }
        response.map(|body| Body::new(WatchedBody { body, watch: self }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Without a status the caller has gone before the end.
        let code = self.code.unwrap_or(tonic::Code::Cancelled);
        let took = self.began.elapsed();
        let exported = self.span.take().and_then(|(span, request_id)| {
            let span = span.lasting(self.method.streaming);
            spans::end(span, self.method, code, &request_id)
        });
        self.meters.ended(code, took, exported);
    }
}

fn grpc_code(headers: &HeaderMap) -> Option<tonic::Code> {
    headers
        .get("grpc-status")
        .map(|code| tonic::Code::from_bytes(code.as_bytes()))
}

/// A response body whose trailers end the measurement.
struct WatchedBody {
    body: Body,
    watch: Watch,
}

impl http_body::Body for WatchedBody {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        poller: &mut Poller<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut polled = Pin::new(&mut self.body).poll_frame(poller);
        if let Poll::Ready(Some(Ok(frame))) = &mut polled
            && let Some(trailers) = frame.trailers_mut()
        {
            unreadable::rewrite(trailers);
            self.watch.code = grpc_code(trailers).or(self.watch.code);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
