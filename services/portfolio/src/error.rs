//! Errors of portfolio.

use std::time::Duration;

use prepx_domain::{Code, FieldError, Reject};
use prepx_stage::port::{ReadError, SubmitError};

/// Why a use case of portfolio failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field is wrong.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The account stage rejected the command.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// A command has no decision.
    #[error("{0}")]
    Submit(#[from] SubmitError),
    /// A read has no answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store failed.
    #[error("transfers cannot be remembered right now; nothing was booked, try again")]
    Store(#[from] prepx_store::Error),
    /// The account has no such position.
    #[error("position does not exist: {0}")]
    NoPosition(String),
    /// Past prices are not available.
    #[error("past prices cannot be read right now; try again")]
    Prices(#[source] tonic::Status),
    /// The idempotency key stands for another transfer.
    #[error(
        "idempotency_key {0:?} was used for another transfer: repeat it with the same values or draw a new key"
    )]
    KeyUsed(String),
}

impl Error {
    /// The closed code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Error::Field(_) => Code::Invalid,
            Error::Rejected(reject) => reject.code(),
            Error::Submit(error) => error.code(),
            Error::Read(error) => error.code(),
            Error::Store(_) | Error::Prices(_) => Code::Unavailable,
            Error::NoPosition(_) => Code::NotFound,
            Error::KeyUsed(_) => Code::Conflict,
        }
    }

    /// The stable name of the reason, for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Error::Field(_) => "INVALID_FIELD",
            Error::Rejected(reject) => reject.reason(),
            Error::Submit(error) => error.reason(),
            Error::Read(error) => error.reason(),
            Error::Store(_) | Error::Prices(_) => "UNAVAILABLE",
            Error::NoPosition(_) => "NO_POSITION",
            Error::KeyUsed(_) => "IDEMPOTENCY_KEY_USED",
        }
    }
    /// When to try again, if that makes sense.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Submit(error) => error.retry_after(),
            Error::Read(error) => error.retry_after(),
            Error::Rejected(reject) => reject.retry_after(),
            _ => None,
        }
    }
}
