//! The seam: what the embedded log and Apache Kafka can both do, and not one thing more.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Batch, Progress, TopicPartition, Watermark};

/// A record as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where the record stands in its partition. Offsets rise strictly; the embedded log's are
    /// dense from 0, Kafka's have holes (a commit marker takes one), so the next one to read is
    /// always `offset + 1`, and density is proved by lane numbers, not by offsets.
    pub offset: u64,
    /// The bytes as they were appended.
    pub payload: Bytes,
}

/// The right to append to one journal: whoever fenced it last. A clone is the same right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The journal that is owned.
    pub journal: TopicPartition,
    /// Rises with every fence of the journal, from 1; never falls, whatever crashes.
    pub epoch: u32,
}

/// Where an accepted batch ends in the order of one log handle. Monotone over all partitions.
///
/// Only good for waiting at the handle that gave it. To be stored across restarts there are
/// offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How soon a handle is to have what others write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// At once: somebody waits for what comes of it.
    #[default]
    Prompt,
    /// Some ms later, many records at a time, which costs brokers and readers less: for what only follows.
    Unhurried,
}

/// The log has failed for good: nothing more is accepted, and the process should end (I8).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event log has failed and takes nothing more until the process is restarted: {0}")]
pub struct Poisoned(pub Arc<str>);

/// Why a batch was not accepted. Nothing of it was.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Somebody else has fenced the journal: this owner is stale and must stop.
    #[error("epoch {} of {} is fenced: the epoch is {current} now", owner.epoch, owner.journal)]
    Fenced {
        /// Who tried.
        owner: Owner,
        /// The epoch that holds, as far as this handle knows: 0 when it has never fenced the
        /// journal; one more than the owner's when somebody elsewhere has.
        current: u32,
    },
    /// A record for a journal that the caller does not own.
    #[error("{journal} takes records of its fenced owner only")]
    NotOwner {
        /// The journal of the record.
        journal: TopicPartition,
    },
    /// The buffer is full: try again when the watermark has moved (I10).
    #[error("the event log's buffer holds {buffered_bytes} of {limit_bytes} bytes; try later")]
    Full {
        /// What is accepted and not yet durable.
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
    /// A batch without records has no place in the order.
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
    #[error("{0} is no journal and has no owner")]
    NotAJournal(TopicPartition),
    /// A partition number beyond what the topic has, or can have.
    #[error("{0} is beyond the partitions of its topic, {max} at most", max = TopicPartition::COUNT_MAX)]
    UnknownPartition(TopicPartition),
    /// The brokers do not answer, or somebody else has fenced the journal meanwhile. Whether a later
    /// epoch holds now is unknown: who still wants the journal tries again.
    #[error("{journal} could not be fenced, try again: {why}")]
    Unavailable {
        /// The journal.
        journal: TopicPartition,
        /// What stood in the way.
        why: String,
    },
    /// The log is dead.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why a wait ended before the position was durable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// Not yet durable: whether it will be is unknown.
    #[error("position {wanted} was not durable after {timeout_ms} ms; {durable} is")]
    Timeout {
        /// What was waited for.
        wanted: Position,
        /// What is durable.
        durable: Position,
        /// How long was waited.
        timeout_ms: u128,
    },
    /// The batch was accepted, and its owner was fenced before it was known to be durable. Nobody may be
    /// told of it here: but for a commit that stood while its answer was lost it will never be visible, and
    /// that one is for whoever owns the journal now to find. Only engines whose stages do not run ahead
    /// ([`Log::runs_ahead`]) can answer this.
    #[error("the batch at position {0} is lost here: its owner has been fenced")]
    Fenced(Position),
    /// The log is dead.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why a partition could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is gone by retention.
    #[error("{partition} starts at offset {start}; {wanted} was removed or archived")]
    Truncated {
        /// The partition.
        partition: TopicPartition,
        /// What was asked for.
        wanted: u64,
        /// The first offset that can be read.
        start: u64,
    },
    /// The reader knows an offset that the log does not: one of them has lost data.
    #[error("{partition} ends at offset {end}; a reader at {wanted} has seen what is lost here")]
    PastEnd {
        /// The partition.
        partition: TopicPartition,
        /// What was asked for.
        wanted: u64,
        /// One past the last durable offset.
        end: u64,
    },
    /// What was durable does not read back as it was written.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// The disk or the network said no.
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
/// - A batch is atomic: all of it becomes visible or nothing, whatever crashes when. On Kafka one
///   partition may show its part a moment before another does; a fence waits for that moment.
/// - Within a partition records of one owner, or of nobody, are seen in the order in which their
///   batches were accepted; the embedded log keeps that order over all owners.
/// - [`Log::read`] and [`Log::end`] know durable records only. What is durable can be read at the
///   handle that appended it, on Kafka unless another owner's transaction before it is open still.
/// - When [`Log::fence`] has returned, the journal's content at [`Log::end`] is final for every
///   earlier epoch: batches of stale owners are in it whole or will never be.
pub trait Log: Send + Sync {
    /// Makes the caller the owner of a journal: durably raises its epoch, so that every append
    /// with a lower one is refused from now on. `who` is for people: which process took over.
    /// Blocks for a sync (embedded) or a round trip (Kafka).
    fn fence(&self, journal: TopicPartition, who: &str) -> Result<Owner, FenceError>;

    /// Whether nobody had fenced the journal after this owner when this was called, at whatever handle.
    /// Blocks for a round trip (Kafka), or more while brokers are away.
    fn holds(&self, owner: Owner) -> Result<bool, ReadError>;

    /// Accepts a batch, or refuses it and leaves nothing behind. Returns before it is durable.
    ///
    /// With an owner, the batch may hold records of that owner's journal and of any topic that
    /// is no journal; without one, of topics that are no journals.
    fn append(&self, owner: Option<Owner>, batch: &Batch) -> Result<Position, AppendError>;

    /// More is appended at once, until [`Self::end_group`]: it need not be on its way before, so that
    /// one write and one sync serve all of it. Not for longer than that takes, and never nested.
    /// Engines that gain nothing by it do nothing.
    fn begin_group(&self) {}

    /// Nothing more is coming: what has been appended since [`Self::begin_group`] is on its way.
    fn end_group(&self) {}

    /// The durable watermark: to wait on, or to be called by.
    fn watermark(&self) -> &Watermark;

    /// Durable records of a partition from offset `from` on: as many as fit into `max_bytes` of
    /// payload, but at least one if there is one. Empty when `from` is the end.
    fn read(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError>;

    /// As [`Self::read`], and where to go on: behind the last record, or, where there is none, at the durable end;
    /// nothing stands between. For those who must know: asking may take a round trip.
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

    /// As [`Self::read`], but only what is at hand: nobody is asked, so empty does not mean that there
    /// is nothing. What has arrived since is told by [`Self::on_news`]. For those who follow a
    /// partition and may look often.
    fn poll(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        self.read(partition, from, max_bytes)
    }

    /// Has `hook` called whenever [`Self::poll`] of a partition that gave nothing may give something,
    /// whoever appended it, and when the log fails. As [`Watermark::subscribe`] does: on threads of
    /// the engine, so it must be short and must not call the log; for as long as the log lives.
    fn on_news(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.watermark().subscribe(move |_| hook());
    }

    /// The first offset that can be read: 0, or what retention left.
    fn start(&self, partition: TopicPartition) -> u64;

    /// One past the last durable offset. On Kafka no record need be between the last one read
    /// and here: a commit marker takes an offset.
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

    /// One past the last accepted offset: what the next record of this partition will get, if
    /// nobody else appends to it meanwhile. The same as [`Log::end`] unless
    /// [`Log::runs_ahead`].
    fn accepted_end(&self, partition: TopicPartition) -> u64;

    /// Whether any durable prefix of this log is causally closed over all its partitions, so
    /// that a stage may act on its own accepted batches before they are durable. True for the
    /// embedded log, false for Kafka: there everyone waits for the watermark first.
    fn runs_ahead(&self) -> bool;

    /// Nothing before `offset` is needed any more. Space is given back when the engine can (a
    /// segment at a time, or by its own retention); readers of earlier offsets get
    /// [`ReadError::Truncated`] from now on. Never goes beyond the durable end.
    fn truncate_before(&self, partition: TopicPartition, offset: u64) -> Result<(), Poisoned>;

    /// The last durable position.
    fn durable(&self) -> Position {
        self.watermark().position()
    }

    /// Waits until `position` is durable, at most for `timeout`.
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
