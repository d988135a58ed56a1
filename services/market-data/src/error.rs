//! Errors of market-data.

use std::sync::Arc;
use std::time::Duration;

use prepx_domain::{Code, FieldError};

/// When a reader that found the store busy should try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a use case of market-data failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A field is wrong.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The past cannot be read.
    #[error("market data cannot be read right now; try again")]
    Store(#[source] Arc<prepx_store::Error>),
}

impl From<prepx_store::Error> for Error {
    fn from(error: prepx_store::Error) -> Error {
        Error::Store(Arc::new(error))
    }
}

impl Error {
    /// A wrong field.
    pub fn field(field: &'static str, message: String) -> Error {
        FieldError::new(field, message).into()
    }

    /// The closed code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Error::Field(_) => Code::Invalid,
            Error::Store(_) => Code::Unavailable,
        }
    }

    /// The stable name of the reason, for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Error::Field(_) => "INVALID_FIELD",
            Error::Store(_) => "UNAVAILABLE",
        }
    }

    /// When to try again, if that can help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Field(_) => None,
            Error::Store(error) => error.is_retryable().then_some(RETRY_AFTER),
        }
    }
}
