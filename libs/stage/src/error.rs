//! Why a stage partition cannot be opened, or cannot go on.

use prepx_bus::{AppendError, FenceError, ReadError, TopicPartition};

use crate::DecodeError;
use crate::journal::state::BadRecord;
use crate::lane::{Gap, Message};
use crate::snapshot;
use crate::topology::Seat;

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
    /// A record holds no inputs: another version wrote it, or it is damaged.
    #[error("{journal} has stopped: the record of {from} at offset {offset}: {source}")]
    Unreadable {
        /// Who was to take it.
        journal: TopicPartition,
        /// Where it stands.
        from: TopicPartition,
        /// At which offset.
        offset: u64,
        /// Why.
        source: DecodeError,
    },
    /// A message of a lane cannot be taken: it will come again at every start until an operator has
    /// it skipped.
    #[error(
        "{seat} has stopped at a poison input, {message}, which stands in {from} at offset {offset}: \
         {why}. It comes again at every start; to go on without it, for good: prepx stage skip \
         --partition {seat} --input {message} --reason …"
    )]
    Poison {
        /// Who was to take it.
        seat: Seat,
        /// Which message.
        message: Message,
        /// Where its record stands.
        from: TopicPartition,
        /// At which offset.
        offset: u64,
        /// What went wrong.
        why: String,
    },
    /// A command that is on the log cannot be decided: it will come again at every start.
    #[error(
        "{seat} has stopped at a command that it cannot decide, which stands in {from} at offset \
         {offset}: {why}. It comes again at every start"
    )]
    PoisonCommand {
        /// Who was to take it.
        seat: Seat,
        /// Where it stands.
        from: TopicPartition,
        /// At which offset.
        offset: u64,
        /// What went wrong.
        why: String,
    },
    /// Deciding an input that is not on the log panicked. It is gone with the process.
    #[error(
        "{seat} has stopped: it cannot decide a command, which was not recorded and has had no \
         effect: {why}"
    )]
    Panicked {
        /// Whose machine.
        seat: Seat,
        /// What the panic said.
        why: String,
    },
    /// There is no such message to skip.
    #[error(
        "{message} is not an input that {seat} has yet to take: the error with which it stopped names it"
    )]
    NothingToSkip {
        /// Who was to take it.
        seat: Seat,
        /// Which message.
        message: Message,
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
