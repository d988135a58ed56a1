//! How a partition gets its owner: fence, newest good snapshot, the journal to its end, and again
//! what may not have left.

use std::sync::Arc;

use prepx_bus::{Batch, Log, TopicPartition};
use prepx_domain::Micros;

use crate::codec::Codec;
use crate::error::Error;
use crate::partition::Partition;
use crate::snapshot::Snapshots;
use crate::state::{BadRecord, FoldError};
use crate::topology::{Seat, Topology};

/// How much of a journal is read at once.
const READ_BYTES: usize = 4 << 20;
/// Outputs that are sent again are appended in batches of about this size.
const REEMIT_BYTES: usize = 1 << 20;

/// Who hears how far the fold of a journal has come; `()` does not listen.
pub trait Watch {
    /// So many records of those that were there have been folded.
    fn folded(&self, seat: Seat, records: u64, of: u64);
}

impl Watch for () {
    fn folded(&self, _: Seat, _: u64, _: u64) {}
}

/// How a partition is taken over.
#[derive(Clone, Copy)]
pub struct Takeover<'a> {
    /// Which process takes over, for people.
    pub who: &'a str,
    /// The time now.
    pub now: Micros,
    /// Whether everything that follows from the journal after the snapshot is sent again. Needed
    /// where outputs may have been lost apart from their journal, as after restoring a journal
    /// from its archive; a transition and its outputs are one atomic batch otherwise.
    pub reemit: bool,
    /// Who hears how it goes on.
    pub watch: &'a dyn Watch,
}

impl<C: Codec> Partition<C> {
    /// Takes a partition over: fences the owner before, folds the journal to its end, and begins
    /// the first transition of the new epoch, which the caller appends before anything else.
    pub fn open(
        codec: Arc<C>,
        seat: Seat,
        topology: Topology,
        log: &dyn Log,
        snapshots: &Snapshots,
        takeover: Takeover<'_>,
    ) -> Result<Partition<C>, Error> {
        let owner = log.fence(seat.journal(), takeover.who)?;
        let loaded = snapshots.load(&*codec, seat)?;
        let mut partition = Partition::new(codec, seat, topology, owner, loaded.state);
        partition.fold_from(log, loaded.next_offset, takeover)?;
        partition.begin_epoch(log, takeover.now)?;
        Ok(partition)
    }

    fn fold_from(
        &mut self,
        log: &dyn Log,
        first: u64,
        Takeover { reemit, watch, .. }: Takeover<'_>,
    ) -> Result<(), Error> {
        let journal = self.seat.journal();
        let (mut next, end) = (first, log.end(journal));
        loop {
            let records = log.read(journal, next, READ_BYTES)?;
            let Some(last) = records.last() else { break };
            next = last.offset + 1;
            for record in &records {
                let folded = match reemit {
                    false => self.state.fold(&self.codec, &record.payload),
                    true => self.fold_again(&record.payload),
                };
                folded.map_err(|source| BadRecord {
                    seat: self.seat,
                    offset: record.offset,
                    source,
                })?;
            }
            watch.folded(self.seat, next - first, end.max(next) - first);
        }
        match reemit {
            true => self.check_derived(),
            false => {
                let sent = self.state.head.sent.clone();
                self.outbox.go_on_after(sent);
                Ok(())
            }
        }
    }

    /// Folds a record and puts what it sent into the backlog.
    fn fold_again(&mut self, record: &[u8]) -> Result<(), FoldError> {
        let (codec, outbox) = (&self.codec, &mut self.outbox);
        self.state.fold_into(codec, record, outbox)?;
        if self.outbox.bytes() > 0 {
            let filled = |batch: &&mut Batch| batch.payload_bytes() < REEMIT_BYTES;
            if self.backlog.back_mut().filter(filled).is_none() {
                self.backlog.push_back(Batch::new());
            }
            if let Some(batch) = self.backlog.back_mut() {
                self.outbox.encode(self.state.head.seq, batch);
            }
            self.outbox.drain().for_each(drop);
        }
        Ok(())
    }

    fn check_derived(&self) -> Result<(), Error> {
        let sent = &self.state.head.sent;
        let differs = |&(to, derived): &(TopicPartition, u64)| sent.get(&to) != Some(&derived);
        match self.outbox.lanes().find(differs) {
            None => Ok(()),
            Some((to, derived)) => Err(Error::Derived {
                journal: self.seat.journal(),
                to,
                number: sent.get(&to).copied().unwrap_or_default(),
                derived,
            }),
        }
    }
}
