//! Why a stage partition cannot be opened or cannot continue.

use prepx_bus::{AppendError, FenceError, ReadError, TopicPartition};

use crate::DecodeError;
use crate::journal::state::BadRecord;
use crate::lane::{Gap, Message};
use crate::snapshot;
use crate::topology::Seat;

/// After this many follow-ups of one input the machine is taken to be in an endless loop.
pub(crate) const FOLLOW_UPS_MAX: u32 = 1 << 20;

/// Why a stage partition cannot be opened or cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal could not be taken over.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The journal cannot be folded.
    #[error(transparent)]
    BadRecord(#[from] BadRecord),
    /// No snapshot could be read.
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    /// The outputs derived from the journal's events do not have the numbers that were recorded.
    #[error("{journal}: {number} messages were sent to {to}, {derived} follow from the journal")]
    Derived {
        /// The journal.
        journal: TopicPartition,
        /// The lane's destination.
        to: TopicPartition,
        /// The last number in the journal.
        number: u64,
        /// The last number derived from the events.
        derived: u64,
    },
    /// A record cannot be decoded as inputs: another version wrote it, or it is damaged.
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
    /// A message of a lane cannot be processed: it comes again at every start, until an operator skips it.
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
    /// A command on the log cannot be decided: it comes again at every start.
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
    /// Deciding an input that is not on the log panicked. The input is lost with the process.
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
    /// One input led to endless follow-ups.
    #[error("{journal} has stopped: one input led to more than {FOLLOW_UPS_MAX} decisions")]
    Endless {
        /// Whose machine.
        journal: TopicPartition,
    },
    /// The log refuses this owner's transitions.
    #[error(transparent)]
    Append(#[from] AppendError),
}
