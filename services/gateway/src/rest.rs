//! The JSON API: finds the route, calls the service over gRPC, writes JSON.
//!
//! There is no handler per route and no business logic here. The services authorize callers themselves, by
//! the credentials that are passed on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use prepx_auth::Identity;
use prepx_domain::Code;
use prepx_env::Random;
use prepx_runtime::{Peer, body, guard, refusal, status};
use prepx_trace::Trace;
use prepx_transcode::{Call, Effect, Error, Framing, Route, Router};
use tonic::Streaming;
use tonic::metadata::MetadataMap;

use crate::raw;

/// A stream without messages sends a sign of life after this time.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The client's headers that services need; and the version that it wants, where a mesh has several.
const HANDED_ON: [HeaderName; 4] = [
    header::AUTHORIZATION,
    HeaderName::from_static("apca-api-key-id"),
    HeaderName::from_static("apca-api-secret-key"),
    HeaderName::from_static("x-prepx-version"),
];

/// Every route with the service behind it.
pub struct Rest {
    router: Arc<Router>,
    /// By the full name of the gRPC service.
    peers: BTreeMap<String, Peer>,
    random: Arc<Random>,
}

impl Rest {
    /// The JSON API over the available services.
    pub fn new(router: Arc<Router>, peers: BTreeMap<String, Peer>, random: Arc<Random>) -> Self {
        Rest {
            router,
            peers,
            random,
        }
    }

    /// Answers any request.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let request_id = guard::request_id(request.headers(), Trace::current(), &self.random);
        let mut route = None;
        let mut response = match self.call(request, &request_id, &mut route).await {
            Ok(response) => response,
            Err(error) => refusal::told(&error, &request_id),
        };
        if let Some(route) = route {
            // The route, for metrics.
            response.extensions_mut().insert(route);
        }
        response.headers_mut().insert(guard::REQUEST_ID, request_id);
        response
    }

    async fn call(
        &self,
        request: Request<Body>,
        request_id: &HeaderValue,
        found: &mut Option<Arc<Route>>,
    ) -> Result<Response<Body>, Error> {
        let (parts, body) = request.into_parts();
        // A HEAD is a GET whose body the server omits.
        let method = if parts.method == Method::HEAD {
            Method::GET
        } else {
            parts.method
        };
        let call = self.router.find(&method, parts.uri.path())?;
        let route = Arc::clone(found.insert(Arc::clone(call.route())));
        let peer = self.peers.get(route.method().parent_service().full_name());
        let peer = peer.cloned().ok_or_else(|| not_here(parts.uri.path()))?;
        let message = read(&call, &parts.uri, &parts.headers, body).await?;
        let mut request = handed_on(message, &parts.headers, request_id);
        // A caller that the limits have authenticated is not authenticated again.
        if let Some(identity) = parts.extensions.get::<Arc<Identity>>() {
            request.extensions_mut().insert(Arc::clone(identity));
        }
        if route.is_server_streaming() {
            let accept = parts
                .headers
                .get(header::ACCEPT)
                .and_then(|value| value.to_str().ok());
            let framing = Framing::from_accept(accept);
            let replies = raw::server_streaming(peer, route.grpc_path(), request).await;
            let replies = replies
                .map_err(|status| failure(&route, &status))?
                .into_inner();
            return Ok(events(route, framing, replies, request_id.clone()));
        }
        // A caller that goes away does not stop a write that has begun.
        let path = route.grpc_path().to_owned();
        let asked = async move { raw::unary(peer, &path, request).await };
        let answering = tokio::spawn(prepx_trace::carried(asked));
        let reply = answering.await.unwrap_or_else(|_| Err(status::internal()));
        let reply = reply.map_err(|status| failure(&route, &status))?;
        Ok(refusal::json(route.success_status(), route.encode(&reply)?))
    }
}

async fn read(
    call: &Call,
    uri: &http::Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Vec<u8>, Error> {
    let bytes = read_body(body, call.route().body_limit_bytes()).await?;
    check_encoding(headers, &bytes)?;
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    call.decode(uri.query(), content_type, &bytes)
}

/// The first bytes of gzip, which are not valid JSON.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads bodies uncompressed only: a compressed one takes more memory than its length says.
fn check_encoding(headers: &HeaderMap, body: &[u8]) -> Result<(), Error> {
    let named = headers.get(header::CONTENT_ENCODING);
    let named = named.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let named = named.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
    let encoding = match named {
        Some(name) if !body.is_empty() => name,
        _ if body.starts_with(&GZIP) => "gzip".to_owned(),
        _ => return Ok(()),
    };
    let shown: String = encoding.chars().take(40).collect();
    let message =
        format!("the body is encoded as {shown:?}: send it uncompressed, without Content-Encoding");
    Err(Error::new(
        Code::Unreadable,
        "UNREADABLE_CONTENT_ENCODING",
        message,
    ))
}

/// Reads at most `limit` bytes of a body. The rest of a larger one is read and discarded, within the bounds
/// of the runtime, so that the client receives the error.
async fn read_body(body: Body, limit: usize) -> Result<Vec<u8>, Error> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut fits = true;
    while let Some(chunk) = chunks.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            // What is wrong with it is known, however it ends.
            Err(_) if !fits => break,
            Err(error) => return Err(unread(&error)),
        };
        fits &= bytes.len().saturating_add(chunk.len()) <= limit;
        if fits {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
        }
    }
    if fits {
        return Ok(bytes);
    }
    let message = format!("the body has more than {limit} bytes, which is the limit");
    Err(Error::new(Code::TooLarge, "BODY_TOO_LARGE", message))
}

fn unread(error: &axum::Error) -> Error {
    match body::Error::of(error) {
        Some(slow @ body::Error::TooSlow { .. }) => {
            Error::new(Code::Unreadable, "BODY_TOO_SLOW", slow.to_string())
        }
        Some(large @ body::Error::TooLarge { .. }) => {
            Error::new(Code::TooLarge, "BODY_TOO_LARGE", large.to_string())
        }
        None => Error::new(
            Code::Unreadable,
            "BODY_CUT_OFF",
            "the body ended before its length",
        ),
    }
}

fn handed_on(
    message: Vec<u8>,
    headers: &HeaderMap,
    request_id: &HeaderValue,
) -> tonic::Request<Vec<u8>> {
    let mut handed = HeaderMap::new();
    for name in HANDED_ON {
        if let Some(value) = headers.get(&name) {
            handed.insert(name, value.clone());
        }
    }
    handed.insert(guard::REQUEST_ID, request_id.clone());
    let mut request = tonic::Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(handed);
    request
}

/// The error of a failed call for the client. Clients resend after a 504 by themselves, which would double
/// an order, so a write that was not answered in time is a 503 with an unknown outcome.
fn failure(route: &Route, status: &tonic::Status) -> Error {
    let error = status::read(status);
    if error.code == Code::DeadlineExceeded && route.effect() != Effect::Read {
        let message =
            "no answer in time: the outcome is unknown; ask for it before sending it again";
        return Error::new(Code::Unavailable, "OUTCOME_UNKNOWN", message);
    }
    error
}

fn not_here(path: &str) -> Error {
    Error::new(
        Code::NotFound,
        "UNKNOWN_PATH",
        format!("nothing is served at {path}"),
    )
}

/// The replies of a stream, framed; an error ends it with a frame of its own.
fn events(
    route: Arc<Route>,
    framing: Framing,
    replies: Streaming<Bytes>,
    request_id: HeaderValue,
) -> Response<Body> {
    let frames = stream::unfold(Some(replies), move |replies| {
        let (route, request_id) = (Arc::clone(&route), request_id.clone());
        async move {
            let mut replies = replies?;
            let mut frame = Vec::new();
            let item = match tokio::time::timeout(KEEP_ALIVE, replies.next()).await {
                Ok(None) => return None,
                Ok(Some(Ok(message))) => route.encode_item(framing, &message, &mut frame),
                Ok(Some(Err(status))) => Err(status::read(&status)),
                Err(_) => {
                    frame.extend_from_slice(framing.keep_alive());
                    Ok(())
                }
            };
            let Err(error) = item else {
                return Some((Ok::<_, std::convert::Infallible>(frame), Some(replies)));
            };
            framing.write_error(&error, request_id.to_str().unwrap_or_default(), &mut frame);
            Some((Ok(frame), None))
        }
    });
    let mut response = Response::new(Body::from_stream(frames));
    let framing = HeaderValue::from_static(framing.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, framing);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_handed_what_it_or_a_mesh_goes_by_and_nothing_else() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "x-prepx-version",
            "cookie",
            "x-forwarded-for",
        ] {
            headers.insert(name, HeaderValue::from_static("v2"));
        }
        let handed = handed_on(Vec::new(), &headers, &HeaderValue::from_static("id"));
        let handed = handed.into_parts().0.into_headers();
        let mut names: Vec<_> = handed.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "x-prepx-version", "x-request-id"]);
    }
}
