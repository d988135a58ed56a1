//! The trait [`Log`]: what both the embedded log and Apache Kafka can do, and nothing more.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Batch, Progress, TopicPartition, Watermark};

/// A record as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the partition. Offsets increase strictly. Those of the embedded log are dense from 0, Kafka's have
    /// gaps (a commit marker takes one), so reading continues at `offset + 1`, and lane numbers, not offsets, prove that
    /// nothing is missing.
    pub offset: u64,
    /// Its bytes.
    pub payload: Bytes,
}

/// The right to append to one journal, which belongs to the process that fenced it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The journal.
    pub journal: TopicPartition,
    /// Increases with every fence of the journal, from 1; never decreases, whatever crashes.
    pub epoch: u32,
}

/// Where an accepted batch ends in the order of one log handle. Monotone over all partitions.
///
/// Only valid for waiting at the handle that returned it. Store offsets to continue after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How soon a handle must see what others write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Immediately: a caller waits for the result.
    #[default]
    Prompt,
    /// Some ms later, many records at a time, which costs brokers and readers less: for consumers that no caller
    /// waits for.
    Unhurried,
}

/// The log has failed permanently: nothing more is accepted, and the process should end (I8).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event log has failed and accepts nothing more until the process is restarted: {0}")]
pub struct Poisoned(pub Arc<str>);

/// Why a batch was not accepted. No part of it was.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Another owner has fenced the journal: this one is stale and must stop.
    #[error("epoch {} of {} is fenced: the epoch is {current} now", owner.epoch, owner.journal)]
    Fenced {
        /// The stale owner.
        owner: Owner,
        /// The current epoch as far as this handle knows: 0 when it has never fenced the journal; one more than the
        /// owner's when another handle has.
        current: u32,
    },
    /// A record for a journal that the caller does not own.
    #[error("{journal} accepts records of its fenced owner only")]
    NotOwner {
        /// The journal of the record.
        journal: TopicPartition,
    },
    /// The buffer is full: try again after the watermark has moved (I10).
    #[error("the event log's buffer holds {buffered_bytes} of {limit_bytes} bytes; try later")]
    Full {
        /// How much is accepted and not yet durable.
        buffered_bytes: u64,
        /// The bound.
        limit_bytes: u64,
    },
    /// The batch can never be accepted.
    #[error("a batch of {batch_bytes} bytes is above the limit of {limit_bytes}; split it")]
    TooLarge {
        /// The batch with its framing.
        batch_bytes: u64,
        /// The bound.
        limit_bytes: u64,
    },
    /// A batch without records.
    #[error("an empty batch cannot be appended")]
    Empty,
    /// A partition number beyond what the topic has, or can have.
    #[error("{0} is beyond the partitions of its topic, {max} at most", max = TopicPartition::COUNT_MAX)]
    UnknownPartition(TopicPartition),
    /// The log is dead.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why a journal could not be fenced.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FenceError {
    /// Only journals have owners.
    #[error("{0} is not a journal and has no owner")]
    NotAJournal(TopicPartition),
    /// A partition number beyond what the topic has, or can have.
    #[error("{0} is beyond the partitions of its topic, {max} at most", max = TopicPartition::COUNT_MAX)]
    UnknownPartition(TopicPartition),
    /// The brokers do not answer, or another owner has fenced the journal meanwhile. The current epoch is unknown; the
    /// caller may try again.
    #[error("{journal} could not be fenced, try again: {why}")]
    Unavailable {
        /// The journal.
        journal: TopicPartition,
        /// The cause.
        why: String,
    },
    /// The log is dead.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why a wait ended before the position was durable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// Not durable yet; whether it will be is unknown.
    #[error("position {wanted} was not durable after {timeout_ms} ms; {durable} is")]
    Timeout {
        /// The position waited for.
        wanted: Position,
        /// The durable position.
        durable: Position,
        /// How long the wait was.
        timeout_ms: u128,
    },
    /// The batch was accepted, but its owner was fenced before it was known to be durable. It must not be acknowledged
    /// here. It will never be visible, unless it was committed and only the answer was lost; the journal's new owner
    /// then finds it. Only engines whose stages do not run ahead ([`Log::runs_ahead`]) return this.
    #[error("the batch at position {0} is lost here: its owner has been fenced")]
    Fenced(Position),
    /// The log is dead.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why a partition could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Retention has removed the offset.
    #[error("{partition} starts at offset {start}; {wanted} was removed or archived")]
    Truncated {
        /// The partition.
        partition: TopicPartition,
        /// The offset asked for.
        wanted: u64,
        /// The first offset that can be read.
        start: u64,
    },
    /// The reader knows an offset that the log does not: one of them has lost data.
    #[error("{partition} ends at offset {end}; a reader at {wanted} has seen what is lost here")]
    PastEnd {
        /// The partition.
        partition: TopicPartition,
        /// The offset asked for.
        wanted: u64,
        /// One past the last durable offset.
        end: u64,
    },
    /// A durable record does not read back as it was written.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// The disk or the network failed.
    #[error("cannot read the log: {0}")]
    Io(#[from] std::io::Error),
}

impl ReadError {
    /// Whether a partition that has `start` and everything up to `end` can be read from `wanted` on.
    pub(crate) fn check(
        partition: TopicPartition,
        wanted: u64,
        (start, end): (u64, u64),
    ) -> Result<(), ReadError> {
        if wanted < start {
            return Err(ReadError::Truncated {
                partition,
                wanted,
                start,
            });
        }
        if wanted > end {
            return Err(ReadError::PastEnd {
                partition,
                wanted,
                end,
            });
        }
        Ok(())
    }
}

/// Takes the ends of partitions, in the order in which they were asked for.
pub type EndsCallback = Box<dyn FnOnce(Vec<u64>) + Send>;

/// The event log.
///
/// Contract of every engine (the `conformance` module holds it to account):
///
/// - A batch is atomic: all of it becomes visible or nothing, whatever crashes. On Kafka one partition may show its part
///   slightly before another does; a fence waits until all do.
/// - Within a partition, records of one owner, or without an owner, are seen in the order in which their batches were
///   accepted; the embedded log keeps that order over all owners.
/// - [`Log::read`] and [`Log::end`] see durable records only. A durable record can be read at the handle that appended
///   it; on Kafka, unless another owner's transaction before it is still open.
/// - After [`Log::fence`] returns, the journal up to [`Log::end`] is final for every earlier epoch: a batch of a stale
///   owner is in it whole, or will never be.
pub trait Log: Send + Sync {
    /// Makes the caller the owner of a journal: durably increments its epoch, so that every append with a lower one is
    /// refused from now on. `who` names the process that takes over, for people. Blocks for a sync (embedded) or a round
    /// trip (Kafka).
    fn fence(&self, journal: TopicPartition, who: &str) -> Result<Owner, FenceError>;

    /// Whether the owner was still the journal's owner when this was called, whatever handle may have fenced it. Blocks for
    /// a round trip (Kafka), or longer while brokers cannot be reached.
    fn holds(&self, owner: Owner) -> Result<bool, ReadError>;

    /// Accepts a batch, or refuses all of it. Returns before it is durable.
    ///
    /// With an owner, the batch may contain records of that owner's journal and of topics that are not journals; without
    /// one, only of topics that are not journals.
    fn append(&self, owner: Option<Owner>, batch: &Batch) -> Result<Position, AppendError>;

    /// Begins a group of appends that follow immediately: none has to be written before [`Self::end_group`], so that one
    /// write and one sync serve all of them. Groups must be short and never nested. Engines that do not benefit ignore it.
    fn begin_group(&self) {}

    /// Ends the group: what was appended since [`Self::begin_group`] is written now.
    fn end_group(&self) {}

    /// The durable watermark, to wait for or subscribe to.
    fn watermark(&self) -> &Watermark;

    /// Durable records of a partition from offset `from` on: as many as fit into `max_bytes` of
    /// payload, but at least one if there is one. Empty when `from` is the end.
    fn read(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError>;

    /// As [`Self::read`], and the offset to continue at: behind the last record or, if there is none, the durable end;
    /// there are no records in between. May take a round trip.
    fn search(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<(Vec<Record>, u64), ReadError> {
        let end = self.end(partition);
        let records = self.read(partition, from, max_bytes)?;
        let next = records.last().map_or(end, |last| last.offset + 1);
        Ok((records, next))
    }

    /// As [`Self::read`], but returns only records that have arrived already, without asking brokers, so an empty
    /// result does not mean that there are none. [`Self::on_news`] signals when more arrive. For consumers that
    /// follow a partition and poll often.
    fn poll(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        self.read(partition, from, max_bytes)
    }

    /// Nobody follows a partition here until it is polled or read again: an engine that prefetches it stops doing so. What
    /// was read stays where it was.
    fn leave(&self, _partition: TopicPartition) {}

    /// Calls `hook` whenever [`Self::poll`] of a partition that returned nothing may return something, from any
    /// process, and when the log fails. As with [`Watermark::subscribe`], the hook runs on threads of the engine, so
    /// it must be short and must not call the log; it lasts as long as the log.
    fn on_news(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.watermark().subscribe(move |_| hook());
    }

    /// The first offset that can be read: 0, or the first that retention left.
    fn start(&self, partition: TopicPartition) -> u64;

    /// One past the last durable offset. On Kafka there may be no record between the last one read and this: a commit
    /// marker takes an offset.
    fn end(&self, partition: TopicPartition) -> u64;

    /// Calls `callback` with an offset for each partition that is past every record acknowledged to anybody so far, at
    /// whatever handle. A reader that has read up to there has seen all of them. It may also be past records of open
    /// transactions, which may never become visible.
    ///
    /// The same as [`Log::end`] except on Kafka, where a commit is acknowledged before it is visible: there it is the high
    /// watermark, and finding it takes a round trip. `callback` is then called on a thread of the engine, or dropped if a
    /// partition does not exist, the brokers do not answer, or too many callers wait.
    fn acknowledged_ends(&self, partitions: &[TopicPartition], callback: EndsCallback) {
        callback(partitions.iter().map(|&at| self.end(at)).collect());
    }

    /// One past the last accepted offset: the offset of the next record of this partition, if nobody else appends to it
    /// meanwhile. The same as [`Log::end`] unless [`Log::runs_ahead`].
    fn accepted_end(&self, partition: TopicPartition) -> u64;

    /// Whether every durable prefix of this log is causally closed over all its partitions, so that a stage may act on its
    /// own accepted batches before they are durable. True for the embedded log, false for Kafka, where every stage waits for
    /// the watermark first.
    fn runs_ahead(&self) -> bool;

    /// Declares that nothing before `offset` is needed any more. The engine frees space when it can (a segment at a time,
    /// or by its own retention); reads of earlier offsets get [`ReadError::Truncated`] from now on. Never goes beyond the
    /// durable end.
    fn truncate_before(&self, partition: TopicPartition, offset: u64) -> Result<(), Poisoned>;

    /// The last durable position.
    fn durable(&self) -> Position {
        self.watermark().position()
    }

    /// Waits until `position` is durable, but no longer than `timeout`.
    fn wait_durable(&self, position: Position, timeout: Duration) -> Result<(), WaitError> {
        match self.watermark().wait(position, timeout) {
            Progress::Failed(poisoned) => Err(poisoned.into()),
            Progress::Durable(durable) if durable >= position => Ok(()),
            Progress::Durable(durable) => Err(WaitError::Timeout {
                wanted: position,
                durable,
                timeout_ms: timeout.as_millis(),
            }),
        }
    }
}
