//! What webhooks refuse, and the closed code of each refusal.

use prepx_domain::Code;

use super::endpoint::Problem;

/// A result of a use case.
pub type Result<T> = std::result::Result<T, Error>;

/// A refusal or a fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be sent to.
    #[error("url: {0}")]
    Url(#[from] Problem),
    /// No such event.
    #[error(
        "events: {0} is not an event; they are new, fill, partial_fill, canceled, rejected and so on"
    )]
    UnknownEvent(i32),
    /// The account has as many as it may.
    #[error("there are {0} webhooks already, which is the limit of an account: delete one first")]
    TooMany(u32),
    /// The account has no such webhook.
    #[error("there is no webhook `{0}`")]
    Unknown(String),
    /// The store failed or is busy.
    #[error(transparent)]
    Store(#[from] prepx_store::Error),
    /// The key in the data directory cannot be used.
    #[error("the key of the webhooks: {0}")]
    Key(#[from] std::io::Error),
    /// The settings cannot be used.
    #[error("{0}")]
    Config(String),
    /// The group cannot go on.
    #[error(transparent)]
    Errands(#[from] prepx_errand::Error),
    /// An event has no JSON.
    #[error("an event has no JSON: {0}")]
    Codec(#[from] prepx_transcode::BuildError),
}

impl Error {
    /// The closed code.
    pub fn code(&self) -> Code {
        match self {
            Error::Url(_) | Error::UnknownEvent(_) => Code::Invalid,
            Error::TooMany(_) => Code::Conflict,
            Error::Unknown(_) => Code::NotFound,
            Error::Store(error) if error.is_retryable() => Code::Unavailable,
            Error::Store(_)
            | Error::Key(_)
            | Error::Config(_)
            | Error::Errands(_)
            | Error::Codec(_) => Code::Internal,
        }
    }

    /// The stable word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Error::Url(Problem::Address) => "ADDRESS_NOT_ALLOWED",
            Error::Url(_) => "INVALID_URL",
            Error::UnknownEvent(_) => "UNKNOWN_EVENT",
            Error::TooMany(_) => "TOO_MANY_WEBHOOKS",
            Error::Unknown(_) => "UNKNOWN_WEBHOOK",
            Error::Store(error) if error.is_retryable() => "BUSY",
            _ => "INTERNAL",
        }
    }
}
