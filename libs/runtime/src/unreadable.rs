//! Requests that tonic cannot decode. It reports them as faults of the server (INTERNAL) without a code of
//! the closed set; here they become what they are, invalid requests, with what is wrong in them.

use http::HeaderMap;
use tonic::{Code as Grpc, Status};

use crate::status::{self, Code, Error};

/// How tonic's messages begin when it cannot decode a request.
const UNREADABLE: [&str; 4] = [
    "failed to decode Protobuf message",
    "protocol error: received message with",
    "Missing request message",
    "Unexpected EOF decoding stream",
];
const TOO_LARGE: &str = "Error, decoded message length too large";

/// Rewrites the status among the headers or trailers of an answer, if it is one of these.
pub(crate) fn rewrite(headers: &mut HeaderMap) {
    let failed = |code: Grpc| matches!(code, Grpc::Internal | Grpc::OutOfRange);
    if !headers
        .get("grpc-status")
        .is_some_and(|code| failed(Grpc::from_bytes(code.as_bytes())))
    {
        return;
    }
    let error = Status::from_header_map(headers).as_ref().and_then(read);
    if let Some(error) = error {
        // All that it can carry is ASCII or encoded.
        let _ = status::of(&error).add_header(headers);
    }
}

/// What the status says of the request. Those that we chose ourselves have details.
fn read(status: &Status) -> Option<Error> {
    let message = status.message();
    if !status.details().is_empty() {
        return None;
    }
    if message.starts_with(TOO_LARGE) {
        let message = message.trim_start_matches("Error, ");
        return Some(Error::new(Code::TooLarge, "MESSAGE_TOO_LARGE", message));
    }
    let is_unreadable = UNREADABLE.iter().any(|begin| message.starts_with(begin));
    is_unreadable.then(|| {
        let message = format!("the request cannot be read as the method's message: {message}");
        Error::new(Code::Unreadable, "UNREADABLE_MESSAGE", message)
    })
}
