//! What can go wrong when chains are kept.

use std::io;
use std::path::PathBuf;

use prepx_bus::{Poisoned, ReadError, TopicPartition};

/// A result of this service.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a chain cannot continue, or the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log has failed.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] prepx_store::Error),
    /// The key's file failed.
    #[error("{path}: {source}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are roots, and not the key that signed them.
    #[error(
        "{path} is not the key that signed root {root}: restore it from a copy, or whoever keeps \
         roots could not tell this platform from an impostor"
    )]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// The newest root.
        root: u64,
    },
    /// A stored value is not one that this service writes.
    #[error("the schema audit is damaged: {0}")]
    Damaged(String),
    /// Another process has moved a chain that is this one's to move.
    #[error("the chain of {0} was moved by somebody else")]
    Moved(TopicPartition),
    /// Another process has signed a root that is this one's to sign.
    #[error("root {0} does not follow the newest: somebody else has signed one")]
    NotNext(u64),
}
