//! Why a read of a partition's memory has no answer.

use std::time::Duration;

/// Why a partition could not be asked here. Nothing was changed, so it may be asked again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// This process does not own the partition, or not yet, or not for certain any more.
    #[error("this process does not own the partition; it had it last under epoch {epoch}")]
    NotOwner {
        /// The last epoch under which this process had it, 0 if it never did: whoever owns it has a later one.
        epoch: u32,
    },
    /// Too many reads wait (I10).
    #[error("too many reads are waiting; try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The order path of this process has ended.
    #[error("{0}")]
    Unavailable(String),
}
