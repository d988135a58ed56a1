//! The outcome of one attempt: whether it can have taken effect.

use std::error::Error;

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tonic::body::Body;
use tonic::{Code, Status};

/// A header of answers with which a service on standby refuses a call before it begins.
const NOT_TAKEN: HeaderName = HeaderName::from_static("prepx-not-taken");

/// The outcome of an attempt.
pub(super) enum Outcome {
    /// The service has answered.
    Answered(Response<Body>),
    /// It has answered UNAVAILABLE; it may have begun the call before that.
    Refused(Response<Body>),
    /// The call was never begun.
    NotTaken,
    /// The call was sent, and whether it was carried out is unknown.
    Lost,
}

/// Marks an answer: the call was not begun, and another replica may have it.
pub(crate) fn mark_not_taken(headers: &mut HeaderMap) {
    headers.insert(NOT_TAKEN, HeaderValue::from_static("1"));
}

impl Outcome {
    pub fn of_answer(response: Response<Body>) -> Outcome {
        let headers = response.headers();
        if headers.contains_key(NOT_TAKEN) {
            return Outcome::NotTaken;
        }
        // A refusal has no message, so its status is among the headers (gRPC's "Trailers-Only").
        match Status::from_header_map(headers).map(|status| status.code()) {
            Some(Code::Unavailable) => Outcome::Refused(response),
            _ => Outcome::Answered(response),
        }
    }

    pub fn of_error(error: &(dyn Error + 'static)) -> Outcome {
        let first: Option<&(dyn Error + 'static)> = Some(error);
        let mut causes = std::iter::successors(first, |error| (*error).source());
        match causes.any(says_not_sent) {
            true => Outcome::NotTaken,
            false => Outcome::Lost,
        }
    }
}

/// No connection; a connection that ended before the request was written; or a server that reports that
/// it has not processed the stream (RFC 9113, 6.8 and 8.7).
fn says_not_sent(error: &(dyn Error + 'static)) -> bool {
    if let Some(hyper) = error.downcast_ref::<hyper::Error>() {
        return hyper.is_canceled();
    }
    if let Some(h2) = error.downcast_ref::<h2::Error>() {
        let left = h2.is_go_away() && h2.is_remote() && h2.reason() == Some(h2::Reason::NO_ERROR);
        return left || h2.reason() == Some(h2::Reason::REFUSED_STREAM);
    }
    error.is::<tonic::ConnectError>()
}
