//! HTTP answers that do not come from a service: JSON errors from before a service is called.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use prepx_env::Random;
use prepx_trace::Trace;
use prepx_transcode::Error;

use crate::body::is_grpc;
use crate::{guard, status};

/// A JSON answer; with 204 there is no body.
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    response
}

/// An error in the form of the JSON API.
pub fn told(error: &Error, request_id: &HeaderValue) -> Response<Body> {
    let body = error.to_json(request_id.to_str().unwrap_or_default());
    let mut response = json(error.http_status(), body);
    let headers = response.headers_mut();
    if let Some(allow) = error.allow().and_then(|methods| methods.parse().ok()) {
        headers.insert(header::ALLOW, allow);
    }
    if let Some(after_ms) = error.retry_after_ms {
        headers.insert(header::RETRY_AFTER, after_ms.div_ceil(1_000).into());
    }
    headers.insert(guard::REQUEST_ID, request_id.clone());
    response
}

/// An error in the form that fits a request's headers: a gRPC status, or JSON.
pub fn answer(error: &Error, headers: &HeaderMap, random: &Random) -> Response<Body> {
    let request_id = guard::request_id(headers, Trace::current(), random);
    if !is_grpc(headers) {
        return told(error, &request_id);
    }
    let mut response = status::of(error).into_http();
    response.headers_mut().insert(guard::REQUEST_ID, request_id);
    response
}
