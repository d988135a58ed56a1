//! Snapshots, made from durable records by a fold of their own, not by the owner.
//!
//! If a bug let memory and journal diverge, a snapshot of the owner's memory would preserve the error; a fold of the
//! journal does not. The fold exists only while a snapshot is made: the previous snapshot is loaded, the records since are
//! folded, and the result is written. So every snapshot is proved readable by the next, and no second copy of the state
//! stays in memory.

use std::sync::Arc;

use prepx_bus::{Log, Poisoned, ReadError};

use crate::codec::Codec;
use crate::journal::state::{BadRecord, Head};
use crate::past::retention::Retention;
use crate::snapshot::{self, KEPT, Snapshots};
use crate::topology::Seat;

/// The consumer name under which snapshots retain what they need of the log.
const CONSUMER: &str = "snapshots";

/// When a snapshot is due.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// After this many events, so that a restart has a bounded number of them to fold.
    pub events: u64,
    /// After the whole log has grown by this much, so that a quiet partition does not retain old segments.
    pub log_bytes: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            events: 500_000,
            log_bytes: 512 << 20,
        }
    }
}

/// How many bytes of snapshot one event justifies, so that a large state is not written too often.
const SNAPSHOT_BYTES_PER_EVENT: u64 = 64;

/// Why a snapshot could not be made. The partition itself is not affected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The journal cannot be folded.
    #[error(transparent)]
    BadRecord(#[from] BadRecord),
    /// The snapshots could not be read or written.
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    /// The log is dead.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Makes the snapshots of one partition.
pub struct Keeper<C: Codec> {
    codec: Arc<C>,
    seat: Seat,
    snapshots: Snapshots,
    pace: Pace,
    /// Generation, head and next offset of the good snapshots, newest first; at most [`KEPT`].
    marks: Vec<(u64, Head, u64)>,
    bytes: u64,
    /// The log's position when the last snapshot was made.
    log_position: u64,
}

impl<C: Codec> Keeper<C> {
    /// Finds the existing snapshots, and retains what they need of the log.
    pub fn open(
        codec: Arc<C>,
        seat: Seat,
        log: &dyn Log,
        snapshots: Snapshots,
        retention: &Retention,
        pace: Pace,
    ) -> Result<Keeper<C>, Error> {
        // The log is cut behind them: a loss of power must not take one back.
        snapshots.settle()?;
        let mut marks = snapshots.marks(seat)?;
        marks.truncate(KEPT);
        let keeper = Keeper {
            codec,
            seat,
            snapshots,
            pace,
            marks,
            bytes: 0,
            log_position: log.durable().0,
        };
        keeper.release(retention)?;
        Ok(keeper)
    }

    /// Whether a snapshot is due when the owner has decided `events` events.
    pub fn is_due(&self, log: &dyn Log, events: u64) -> bool {
        let since = match self.marks.first() {
            Some((_, head, _)) => events.saturating_sub(head.events),
            None => events,
        };
        let enough = self.pace.events.max(self.bytes / SNAPSHOT_BYTES_PER_EVENT);
        let grown = log.durable().0.saturating_sub(self.log_position);
        let oldest = match self.marks.get(KEPT - 1) {
            Some(&(_, _, next_offset)) => next_offset,
            None => 0,
        };
        let holds_back = oldest < log.end(self.seat.journal());
        since >= enough || (grown >= self.pace.log_bytes && holds_back)
    }

    /// Makes a snapshot of what is durable now, and releases what only older ones needed.
    pub fn snapshot(&mut self, log: &dyn Log, retention: &Retention) -> Result<(), Error> {
        let log_position = log.durable().0;
        let mut shadow = self.snapshots.load(&*self.codec, self.seat)?;
        shadow.fold_to_end::<Error>(&self.codec, log, |_| {})?;
        let newest = self.snapshots.generations(self.seat)?.pop();
        let generation = newest.map_or(1, |(generation, _)| generation + 1);
        let (state, next_offset) = (&shadow.state, shadow.next_offset);
        self.bytes =
            self.snapshots
                .write(&*self.codec, self.seat, generation, state, next_offset)?;
        self.log_position = log_position;
        // What could not be read when this one was made is not worth keeping.
        self.marks.retain(|&(good, ..)| good <= shadow.generation);
        self.marks
            .insert(0, (generation, state.head.clone(), next_offset));
        self.marks.truncate(KEPT);
        let kept: Vec<u64> = self
            .marks
            .iter()
            .map(|&(generation, ..)| generation)
            .collect();
        self.snapshots.keep_only(self.seat, &kept)?;
        Ok(self.release(retention)?)
    }

    /// Releases what is behind the older of the two snapshots; with fewer snapshots, nothing.
    fn release(&self, retention: &Retention) -> Result<(), Poisoned> {
        let seat = self.seat;
        let oldest = self.marks.get(KEPT - 1);
        let journal_next = oldest.map_or(0, |&(_, _, next_offset)| next_offset);
        retention.release(CONSUMER, seat.journal(), journal_next)?;
        for from in [seat.commands(), seat.lanes()] {
            let next = oldest.and_then(|(_, head, _)| head.consumed.get(&from));
            retention.release(CONSUMER, from, next.copied().unwrap_or_default())?;
        }
        Ok(())
    }
}
