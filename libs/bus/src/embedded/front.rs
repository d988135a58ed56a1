//! Batches that have been accepted and wait in memory to be flushed. Refuses: appends of owners that have been fenced.

use bytes::BytesMut;

use super::partitions::PartitionMap;
use super::segment::Standing;
use crate::{AppendError, Owner};

/// The accepting end of the log.
pub struct Front {
    pub buffer: BytesMut,
    /// The address after the last accepted frame.
    pub accepted: u64,
    pub partitions: PartitionMap<Accepted>,
    pub writer_waits: bool,
    /// Whether a group of appends is under way, which the writer leaves to be complete.
    pub grouping: bool,
    pub closing: bool,
}

#[derive(Clone, Copy, Default)]
pub struct Accepted {
    pub end: u64,
    pub epoch: u32,
}

/// Memory for frames is taken in pieces of this size.
const CHUNK_BYTES: usize = 1 << 20;

impl Front {
    /// The front of a log that ends at address `end`.
    pub fn new(end: u64, standings: &PartitionMap<Standing>) -> Front {
        let mut partitions = PartitionMap::<Accepted>::default();
        for (at, standing) in standings.iter() {
            *partitions.get_mut(at) = Accepted {
                end: standing.end,
                epoch: standing.epoch,
            };
        }
        Front {
            buffer: BytesMut::new(),
            accepted: end,
            partitions,
            writer_waits: false,
            grouping: false,
            closing: false,
        }
    }

    /// Whether there is something to write and no group under way that more belongs to.
    pub fn is_due(&self) -> bool {
        !self.buffer.is_empty() && !self.grouping
    }

    pub fn check_owner(&self, owner: Option<Owner>) -> Result<(), AppendError> {
        let Some(owner) = owner else { return Ok(()) };
        let current = self
            .partitions
            .get(owner.journal)
            .map_or(0, |accepted| accepted.epoch);
        match owner.epoch == current && current > 0 {
            true => Ok(()),
            false => Err(AppendError::Fenced { owner, current }),
        }
    }

    /// Makes room for `more` bytes. What was split off shares its chunk with what comes next until that is full;
    /// a buffer that outgrows its chunk doubles, so that copying stays cheap.
    pub fn reserve(&mut self, more: usize) {
        if self.buffer.capacity() - self.buffer.len() < more {
            self.buffer
                .reserve(more.max(self.buffer.len()).max(CHUNK_BYTES));
        }
    }
}
