//! The outcome of one attempt: whether it can have taken effect.

use std::error::Error;

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tonic::body::Body;
use tonic::{Code, Status};

/// On answers of a service that has refused a call before it was begun, because it stands by.
const NOT_TAKEN: HeaderName = HeaderName::from_static("prepx-not-taken");

/// What became of an attempt.
pub(super) enum Outcome {
    /// The service has answered.
    Answered(Response<Body>),
    /// It has answered that it cannot, UNAVAILABLE; what it has begun by then, nobody knows.
    Refused(Response<Body>),
    /// It was never begun.
    NotTaken,
    /// It was sent, and nobody knows what became of it.
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
        // Whoever refuses has no message to send: the status is where trailers end up that come alone.
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

/// No connection; a connection that ended before the request was written; or a server that says that
/// it did not look at the stream (RFC 9113, 6.8 and 8.7).
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
