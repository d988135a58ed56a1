//! Why a group of consumers stopped. It is started again, unless the log itself has failed.

use prepx_bus::{AppendError, Poisoned};
use prepx_stage::follow::{self, Poison};

/// A result of a group's work.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a group cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be followed.
    #[error(transparent)]
    Follow(#[from] follow::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] prepx_store::Error),
    /// The outcomes of attempts cannot be appended.
    #[error("the outcome of an attempt cannot be appended: {0}")]
    Append(#[from] AppendError),
    /// A message is not understood.
    #[error(transparent)]
    Poison(#[from] Poison<Malformed>),
    /// The group's own error.
    #[error(transparent)]
    Effect(Box<dyn std::error::Error + Send + Sync>),
}

impl From<Poisoned> for Error {
    fn from(poisoned: Poisoned) -> Error {
        Error::Follow(poisoned.into())
    }
}

/// Bytes that are none of ours: a newer version wrote them, or they are damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not a message at all.
    #[error("the bytes are not a valid message: {0}")]
    Message(#[from] prost::DecodeError),
    /// A part is missing or of another form.
    #[error("{0} is missing, or not of the form that this version knows")]
    Part(&'static str),
}
