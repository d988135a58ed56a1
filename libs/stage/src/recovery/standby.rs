//! A copy of a partition's state beside its owner, so that a takeover has to fold only the newest records.
//!
//! Owns the copy: started from the newest snapshot, kept current by the same fold that makes snapshots, and handed to the
//! new owner of the partition. It contains durable records only, so it is never ahead of what a new owner finds. Refuses:
//! to continue after a gap or a bad record (the copy is dropped, and takeovers are cold until there is another one), and to
//! block a takeover while it reads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prepx_bus::{Log, ReadError, Record, TopicPartition};

use crate::codec::Codec;
use crate::error::Error;
use crate::recovery::folded::{Folded, READ_BYTES};
use crate::snapshot::Snapshots;
use crate::topology::Seat;

/// A copy's size is measured again when it has folded this many times its size, but not before [`WEIGH_BYTES`].
const WEIGH_TIMES: u64 = 4;
const WEIGH_BYTES: u64 = 64 << 20;

/// What a takeover starts from.
pub trait Origin<C: Codec> {
    /// The snapshots, for a cold takeover.
    fn snapshots(&self) -> &Snapshots;

    /// Takes the standby's copy, if there is one, for a warm takeover.
    fn take_copy(&self) -> Option<Folded<C>> {
        None
    }

    /// About where the new owner will read on, of each partition that inputs come from; empty where that is not known
    /// beforehand.
    fn inputs(&self) -> Vec<(TopicPartition, u64)> {
        Vec::new()
    }
}

impl<C: Codec> Origin<C> for Snapshots {
    fn snapshots(&self) -> &Snapshots {
        self
    }
}

/// The copy of one partition. See the module's documentation.
pub struct Standby<C: Codec> {
    codec: Arc<C>,
    seat: Seat,
    snapshots: Snapshots,
    copy: Mutex<Option<Copy<C>>>,
}

struct Copy<C: Codec> {
    folded: Folded<C>,
    /// The last measured size of its snapshot.
    bytes: u64,
    /// How many bytes of the journal it has folded since.
    folded_bytes: u64,
}

impl<C: Codec> Standby<C> {
    /// The standby of a partition, without a copy.
    pub fn new(codec: Arc<C>, seat: Seat, snapshots: Snapshots) -> Standby<C> {
        Standby {
            codec,
            seat,
            snapshots,
            copy: Mutex::default(),
        }
    }

    /// Which partition it is.
    pub fn seat(&self) -> Seat {
        self.seat
    }

    /// Makes the copy from the newest snapshot, unless there is one.
    ///
    /// # Errors
    /// When the snapshots cannot be read.
    pub fn load(&self) -> Result<(), Error> {
        if self.lock().is_none() {
            let folded = self.snapshots.load(&*self.codec, self.seat)?;
            *self.lock() = Some(Copy {
                bytes: folded.bytes,
                folded_bytes: 0,
                folded,
            });
        }
        Ok(())
    }

    /// Folds a bounded number of the journal's records that are at hand; returns whether there were any.
    ///
    /// # Errors
    /// When the journal cannot be read, or does not follow the copy. The copy is dropped then, unless a retry may help.
    pub fn follow(&self, log: &dyn Log) -> Result<bool, Error> {
        self.fold(|journal, next| log.poll(journal, next, READ_BYTES))
    }

    /// Folds all that the journal has. Blocks.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub fn catch_up(&self, log: &dyn Log) -> Result<(), Error> {
        let end = log.end(self.seat.journal());
        let is_behind = || self.next_offset().is_some_and(|next| next < end);
        while is_behind() && self.fold(|journal, next| log.read(journal, next, READ_BYTES))? {}
        Ok(())
    }

    fn fold(
        &self,
        read: impl Fn(TopicPartition, u64) -> Result<Vec<Record>, ReadError>,
    ) -> Result<bool, Error> {
        let followed = self.step(read);
        if let Err(error) = &followed
            && !matches!(error, Error::Read(ReadError::Io(_)))
        {
            self.forget();
        }
        followed
    }

    fn step(
        &self,
        read: impl Fn(TopicPartition, u64) -> Result<Vec<Record>, ReadError>,
    ) -> Result<bool, Error> {
        let Some(next) = self.next_offset() else {
            return Ok(false);
        };
        // Read while nobody has to wait for the copy.
        let records = read(self.seat.journal(), next)?;
        let mut copy = self.lock();
        let same = |copy: &&mut Copy<C>| copy.folded.next_offset == next;
        let Some(copy) = copy.as_mut().filter(same) else {
            return Ok(false);
        };
        copy.folded.fold(&self.codec, &records)?;
        let bytes = records.iter().map(|record| record.payload.len() as u64);
        copy.folded_bytes += bytes.sum::<u64>();
        if copy.folded_bytes > (copy.bytes * WEIGH_TIMES).max(WEIGH_BYTES) {
            copy.weigh(&self.codec);
        }
        Ok(!records.is_empty())
    }

    /// The offset of the first record of the journal that is not in the copy; `None` without a copy.
    pub fn next_offset(&self) -> Option<u64> {
        let copy = self.lock();
        copy.as_ref().map(|copy| copy.folded.next_offset)
    }

    /// About how large the copy's snapshot is; `None` without a copy.
    pub fn bytes(&self) -> Option<u64> {
        self.lock().as_ref().map(|copy| copy.bytes)
    }

    /// Drops the copy.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    /// A copy is whole between two folds, and dropped where one fails.
    fn lock(&self) -> MutexGuard<'_, Option<Copy<C>>> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Codec> Copy<C> {
    fn weigh(&mut self, codec: &C) {
        let mut bytes = Vec::new();
        codec.encode_state(&self.folded.state.machine, &mut bytes);
        (self.bytes, self.folded_bytes) = (bytes.len() as u64, 0);
    }
}

impl<C: Codec> Origin<C> for Standby<C> {
    fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    fn take_copy(&self) -> Option<Folded<C>> {
        self.lock().take().map(|copy| copy.folded)
    }

    fn inputs(&self) -> Vec<(TopicPartition, u64)> {
        let copy = self.lock();
        let consumed = copy.as_ref().map(|copy| &copy.folded.state.head.consumed);
        let each = consumed.into_iter().flatten();
        each.map(|(from, next)| (*from, *next)).collect()
    }
}
