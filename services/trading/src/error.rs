//! What order entry answers when it cannot do what was asked.

use std::time::Duration;

use prepx_domain::{Asset, Code, FieldError, Reject, Symbol};
use prepx_stage::port::{ReadError, SubmitError};

/// Why a use case of order entry failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The form of the request is wrong.
    #[error(transparent)]
    Form(#[from] FieldError),
    /// The account stage refused it.
    #[error(transparent)]
    Rejected(Reject),
    /// A command has no decision.
    #[error("{source}{hint}")]
    Submit {
        /// Why.
        source: SubmitError,
        /// How to ask for the outcome; empty when nothing was accepted.
        hint: String,
    },
    /// A read has no answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No such instrument.
    #[error("asset {0} not found; GET /v2/assets lists what trades here")]
    UnknownAsset(String),
    /// No such order of this account.
    #[error("order not found for {0}")]
    UnknownOrder(String),
    /// It exists with other values.
    #[error("{0}")]
    Conflict(String),
    /// Shares and a currency would have one name.
    #[error(
        "{asset} would be shares and a currency: {of} is listed, and accounts have one balance of each name; \
         give it another symbol"
    )]
    AmbiguousAsset {
        /// The name.
        asset: Asset,
        /// Whose name it is.
        of: Symbol,
    },
}

/// What the account stage finds too is told as it is found here.
impl From<Reject> for Error {
    fn from(reject: Reject) -> Error {
        match reject {
            Reject::UnknownInstrument(symbol) => Error::UnknownAsset(symbol.to_string()),
            other => Error::Rejected(other),
        }
    }
}

impl Error {
    /// No such instrument.
    pub fn unknown_asset(symbol_or_id: &str) -> Error {
        Error::UnknownAsset(symbol_or_id.chars().take(64).collect())
    }

    /// The closed code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Error::Form(_) => Code::Invalid,
            Error::Rejected(reject) => reject.code(),
            Error::Submit { source, .. } => source.code(),
            Error::Read(error) => error.code(),
            Error::UnknownAsset(_) | Error::UnknownOrder(_) => Code::NotFound,
            Error::Conflict(_) | Error::AmbiguousAsset { .. } => Code::Conflict,
        }
    }

    /// The stable name of the reason, for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Error::Form(_) => "INVALID_FIELD",
            Error::Rejected(reject) => reject.reason(),
            Error::Submit { source, .. } => source.reason(),
            Error::Read(error) => error.reason(),
            Error::UnknownAsset(_) => "UNKNOWN_ASSET",
            Error::UnknownOrder(_) => "UNKNOWN_ORDER",
            Error::Conflict(_) => "CONFLICT",
            Error::AmbiguousAsset { .. } => "AMBIGUOUS_ASSET",
        }
    }

    /// When to try again, where it makes sense.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Submit { source, .. } => source.retry_after(),
            Error::Read(error) => error.retry_after(),
            Error::Rejected(reject) => reject.retry_after(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_too_many_names_hears_when_to_try_again() {
        let refused = Error::from(Reject::TooManyClientOrderIds { limit: 500 });
        assert_eq!(refused.code(), Code::TooManyRequests);
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(60)));
    }
}
