//! The way in which services return errors over gRPC: the public error with its closed code, as a status
//! with `google.rpc.ErrorInfo`.
//!
//! The error itself, and its JSON, are `prepx_transcode::Error`; this module only converts it to and from
//! tonic's type.

use std::time::Duration;

pub use prepx_domain::Code;
pub use prepx_transcode::Error;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// The header and trailer with the seconds after which to try again.
pub const RETRY_AFTER: &str = "retry-after";

/// The status of `error`: code, message, ErrorInfo, and with a retry time also RetryInfo and the
/// `retry-after` metadata, in whole seconds rounded up.
pub fn of(error: &Error) -> Status {
    let (code, message, details) = error.to_status();
    let mut metadata = MetadataMap::new();
    if let Some(after_ms) = error.retry_after_ms {
        metadata.insert(RETRY_AFTER, after_ms.div_ceil(1_000).into());
    }
    Status::with_details_and_metadata(code.into(), message, details.into(), metadata)
}

/// The error of a status: the closed code that a service set, otherwise the one that corresponds to its
/// gRPC code, without the texts of transports and faults.
pub fn read(status: &Status) -> Error {
    Error::from_status(status.code() as i32, status.message(), status.details())
}

/// The error for an invalid `field`; the message says what would be right.
pub fn invalid(field: &'static str, message: impl Into<String>) -> Status {
    of(&Error::new(Code::Invalid, "INVALID_FIELD", message).with("field", field))
}

/// The error for a full queue: nothing was accepted, and the caller may try again after a time.
pub fn overloaded(what: &str, after: Duration) -> Error {
    let error = Error::new(
        Code::TooManyRequests,
        "OVERLOADED",
        format!("{what} is at its limit; nothing was accepted, try again in {after:?}"),
    );
    error.retry_after(Some(after))
}

/// The error for a write with an unknown outcome. Its code is not one on which clients resend by
/// themselves.
pub fn outcome_unknown() -> Status {
    let words = "no answer came in time and the outcome is unknown: read what became of it \
                 before sending it again";
    of(&Error::new(Code::Unavailable, "OUTCOME_UNKNOWN", words))
}

/// The error for a fault of ours. The text is for clients and names no internals; log the cause.
pub fn internal() -> Status {
    let words = "something went wrong on our side; the request id finds it";
    of(&Error::new(Code::Internal, "INTERNAL", words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_way_through_a_status() {
        let mut error = Error::new(Code::InsufficientBalance, "INSUFFICIENT_BALANCE", "needs 3")
            .with("asset", "USD");
        error.retry_after_ms = Some(1_500);
        let status = of(&error);
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
        assert_eq!(status.metadata().get(RETRY_AFTER).expect("was set"), "2");
        assert_eq!(read(&status), error);
    }

    #[test]
    fn a_status_that_nobody_chose_tells_nothing() {
        let error = read(&Status::unknown("panicked at src/secret.rs:7"));
        assert_eq!(error.code, Code::Internal);
        assert!(!error.message.contains("secret"), "{}", error.message);
    }
}
