//! Why a stage partition cannot be opened, or cannot go on.

use prepx_bus::{AppendError, FenceError, ReadError, TopicPartition};

use crate::DecodeError;
use crate::lane::Gap;
use crate::snapshot;
use crate::state::BadRecord;

/// One input may set off this many more before the machine is taken to be in an endless loop.
pub(crate) const FOLLOW_UPS_MAX: u32 = 1 << 20;

/// Why a stage partition cannot be opened, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal could not be taken over.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The journal does not fold.
    #[error(transparent)]
    BadRecord(#[from] BadRecord),
    /// No snapshot could be read.
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    /// The journal's events do not lead to the outputs that were numbered when they were decided.
    #[error("{journal}: {number} messages were sent to {to}, {derived} follow from the journal")]
    Derived {
        /// The journal.
        journal: TopicPartition,
        /// Where the lane goes.
        to: TopicPartition,
        /// The last number that the journal says.
        number: u64,
        /// The last number that the events lead to.
        derived: u64,
    },
    /// An input is no input.
    #[error("a poison input for {journal}, from {from} at offset {offset}: {source}")]
    Poison {
        /// Who was to take it.
        journal: TopicPartition,
        /// Where it stands.
        from: TopicPartition,
        /// At which offset.
        offset: u64,
        /// Why.
        source: DecodeError,
    },
    /// A message of a lane is missing.
    #[error("{journal} has stopped: {source}")]
    Gap {
        /// Who misses it.
        journal: TopicPartition,
        /// What is missing.
        source: Gap,
    },
    /// One input led to ever more decisions.
    #[error("{journal} has stopped: one input led to more than {FOLLOW_UPS_MAX} decisions")]
    Endless {
        /// Whose machine.
        journal: TopicPartition,
    },
    /// The log takes no transition of this owner.
    #[error(transparent)]
    Append(#[from] AppendError),
}
