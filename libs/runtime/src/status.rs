//! The one way in which services refuse over gRPC: the public error with its closed code, as a
//! status with `google.rpc.ErrorInfo`.
//!
//! The form itself, and its JSON, are `prepx_transcode::Error`; this module only carries it in and out
//! of tonic's type.

use std::time::Duration;

pub use prepx_domain::Code;
pub use prepx_transcode::Error;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// Header and trailer with the seconds after which to try again.
pub const RETRY_AFTER: &str = "retry-after";

/// The status that says `error`: code, message, ErrorInfo, and with a retry time also RetryInfo and
/// the `retry-after` metadata, in whole seconds rounded up.
pub fn of(error: &Error) -> Status {
    let (code, message, details) = error.to_status();
    let mut metadata = MetadataMap::new();
    if let Some(after_ms) = error.retry_after_ms {
        metadata.insert(RETRY_AFTER, after_ms.div_ceil(1_000).into());
    }
    Status::with_details_and_metadata(code.into(), message, details.into(), metadata)
}

/// What a status says: the closed code that a service named, else the one that goes with its gRPC
/// code, without the words of transports and faults.
pub fn read(status: &Status) -> Error {
    Error::from_status(status.code() as i32, status.message(), status.details())
}

/// A request whose `field` is not as it must be; the message says what would be right.
pub fn invalid(field: &'static str, message: impl Into<String>) -> Status {
    of(&Error::new(Code::Invalid, "INVALID_FIELD", message).with("field", field))
}

/// Nothing was accepted because there is no room for it; the caller may try again after a time.
pub fn overloaded(what: &str, after: Duration) -> Error {
    let error = Error::new(
        Code::TooManyRequests,
        "OVERLOADED",
        format!("{what} is at its limit; nothing was accepted, try again in {after:?}"),
    );
    error.retry_after(Some(after))
}

/// A write that nobody knows the outcome of. It is never one that clients resend by themselves.
pub fn outcome_unknown() -> Status {
    let words = "no answer came in time and the outcome is unknown: read what became of it \
                 before sending it again";
    of(&Error::new(Code::Unavailable, "OUTCOME_UNKNOWN", words))
}

/// A fault of ours. The words are for clients and name nothing of our insides; log the cause.
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
