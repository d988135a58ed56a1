//! How a partition gets a new owner: fence, start from the standby's copy or the newest good snapshot, fold the journal to
//! its end, and send again what may not have been sent.

use std::sync::Arc;

use prepx_bus::{Batch, Log, Owner, TopicPartition};
use prepx_domain::Micros;

use crate::codec::Codec;
use crate::decide::partition::Partition;
use crate::error::Error;
use crate::journal::state::FoldError;
use crate::recovery::folded::{Folded, fold_journal};
use crate::recovery::standby::Origin;
use crate::topology::{Seat, Topology};

/// Outputs that are sent again are appended in batches of about this size.
const REEMIT_BYTES: usize = 1 << 20;

/// Is told the progress of folding a journal; `()` ignores it.
pub trait RecoveryObserver {
    /// Called when `records` of the journal's `of` records have been folded.
    fn folded(&self, seat: Seat, records: u64, of: u64);
}

impl RecoveryObserver for () {
    fn folded(&self, _: Seat, _: u64, _: u64) {}
}

/// How a partition is taken over.
#[derive(Clone, Copy)]
pub struct Takeover<'a> {
    /// Which process takes over, for people.
    pub who: &'a str,
    /// The time now.
    pub now: Micros,
    /// Whether all outputs of the journal after the snapshot are sent again. Needed only if outputs may have been lost
    /// without their journal, as after restoring a journal from its archive; otherwise a transition and its outputs are one
    /// atomic batch.
    pub reemit: bool,
    /// Is told the progress.
    pub watch: &'a dyn RecoveryObserver,
}

/// How a takeover began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Whether it started from a standby's copy, not from a snapshot.
    pub warm: bool,
    /// How many records of the journal had to be folded.
    pub records: u64,
}

impl<C: Codec> Partition<C> {
    /// Takes a partition over: fences the previous owner, folds the journal to its end, and begins the first transition of
    /// the new epoch, which the caller must append before anything else.
    ///
    /// # Errors
    /// When the journal cannot be fenced, read or folded. An unusable copy is not an error: the takeover is cold then.
    pub fn open(
        codec: Arc<C>,
        seat: Seat,
        topology: Topology,
        log: &dyn Log,
        origin: &impl Origin<C>,
        takeover: Takeover<'_>,
    ) -> Result<Partition<C>, Error> {
        let owner = log.fence(seat.journal(), takeover.who)?;
        let begin = |folded: Folded<C>, warm| {
            let own = Arc::clone(&codec);
            Partition::begin_with(own, topology, owner, (folded, warm), log, takeover)
        };
        // What a copy has folded told others things too, and nobody derives them again.
        let copy = origin.take_copy().filter(|_| !takeover.reemit);
        let mut partition = match copy.map(|copy| begin(copy, true)) {
            Some(Ok(partition)) => partition,
            unfit => {
                if let Some(Err(error)) = unfit {
                    tracing::warn!(%seat, %error, "what stood by does not serve: it is taken over from a snapshot");
                }
                begin(origin.snapshots().load(&*codec, seat)?, false)?
            }
        };
        partition.begin_epoch(log, takeover.now)?;
        Ok(partition)
    }

    fn begin_with(
        codec: Arc<C>,
        topology: Topology,
        owner: Owner,
        (folded, warm): (Folded<C>, bool),
        log: &dyn Log,
        takeover: Takeover<'_>,
    ) -> Result<Partition<C>, Error> {
        let Folded {
            seat, next_offset, ..
        } = folded;
        let mut partition = Partition::new(codec, seat, topology, owner, folded.state);
        let seq = partition.state.head.seq;
        partition.fold_from(log, next_offset, takeover)?;
        let records = partition.state.head.seq - seq;
        partition.begun = Begun { warm, records };
        Ok(partition)
    }

    fn fold_from(
        &mut self,
        log: &dyn Log,
        first: u64,
        Takeover { reemit, watch, .. }: Takeover<'_>,
    ) -> Result<(), Error> {
        let (seat, mut next) = (self.seat, first);
        let end = log.end(seat.journal());
        let fold = |record: &[u8]| match reemit {
            false => self.state.fold(&self.codec, record),
            true => self.fold_again(record),
        };
        let passed = |next: u64| watch.folded(seat, next - first, end.max(next) - first);
        // To where there is nothing more, whatever the end was said to be.
        fold_journal::<Error>((log, seat), (&mut next, u64::MAX), fold, passed)?;
        match reemit {
            true => self.check_derived(),
            false => {
                let sent = self.state.head.sent.clone();
                self.outbox.go_on_after(sent);
                Ok(())
            }
        }
    }

    /// Folds a record and adds its outputs to the backlog.
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
