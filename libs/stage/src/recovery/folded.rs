//! A state folded from durable records, and where its fold continues: the basis of snapshots, standbys and a new owner's
//! state.
//!
//! Owns the only way to read a journal: every record in order, folded by [`State`], which checks its hash.

use prepx_bus::{Log, ReadError, Record};

use crate::codec::Codec;
use crate::journal::state::{BadRecord, FoldError, State};
use crate::topology::Seat;

/// How much of a journal is read at once.
pub(crate) const READ_BYTES: usize = 4 << 20;

/// A state, and where its fold continues.
pub struct Folded<C: Codec> {
    /// The partition.
    pub seat: Seat,
    /// The state.
    pub state: State<C>,
    /// The offset of the first journal record that is not in it.
    pub next_offset: u64,
    /// The generation of the snapshot that it began with, 0 for none. Increases with every snapshot of a partition.
    pub generation: u64,
    /// The size of that snapshot.
    pub bytes: u64,
}

impl<C: Codec> Folded<C> {
    /// The initial state.
    pub(crate) fn initial(codec: &C, seat: Seat) -> Folded<C> {
        Folded {
            seat,
            state: State::initial(codec),
            next_offset: 0,
            generation: 0,
            bytes: 0,
        }
    }

    /// Folds the journal from here to its current durable end. `passed` is called with the progress.
    ///
    /// # Errors
    /// When a record cannot be read, or does not follow the ones before.
    pub fn fold_to_end<E>(
        &mut self,
        codec: &C,
        log: &dyn Log,
        passed: impl FnMut(u64),
    ) -> Result<(), E>
    where
        E: From<ReadError> + From<BadRecord>,
    {
        // What comes meanwhile is not waited for: it may be without end.
        let end = log.end(self.seat.journal());
        let (state, next) = (&mut self.state, &mut self.next_offset);
        let fold = |record: &[u8]| state.fold(codec, record);
        fold_journal((log, self.seat), (next, end), fold, passed)
    }

    /// Folds consecutive records of the journal, from here on.
    pub(crate) fn fold(&mut self, codec: &C, records: &[Record]) -> Result<(), BadRecord> {
        let (state, next) = (&mut self.state, &mut self.next_offset);
        let mut fold = |record: &[u8]| state.fold(codec, record);
        records
            .iter()
            .try_for_each(|record| fold_record(self.seat, record, next, &mut fold))
    }
}

/// Calls `fold` with every durable record of a journal from `next` on, until there are no more or `next` has reached `end`.
pub(crate) fn fold_journal<E>(
    (log, seat): (&dyn Log, Seat),
    (next, end): (&mut u64, u64),
    mut fold: impl FnMut(&[u8]) -> Result<(), FoldError>,
    mut passed: impl FnMut(u64),
) -> Result<(), E>
where
    E: From<ReadError> + From<BadRecord>,
{
    while *next < end {
        let records = log.read(seat.journal(), *next, READ_BYTES)?;
        if records.is_empty() {
            break;
        }
        for record in &records {
            fold_record(seat, record, next, &mut fold)?;
        }
        passed(*next);
    }
    Ok(())
}

fn fold_record(
    seat: Seat,
    record: &Record,
    next: &mut u64,
    fold: &mut impl FnMut(&[u8]) -> Result<(), FoldError>,
) -> Result<(), BadRecord> {
    let offset = record.offset;
    fold(&record.payload).map_err(|source| BadRecord {
        seat,
        offset,
        source,
    })?;
    *next = offset + 1;
    Ok(())
}
