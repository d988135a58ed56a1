//! The inputs of transitions, as far as the log still has them: commands by offset, messages by number.
//!
//! Reads ahead, because transitions have consecutive records. Refuses to decide a transition of which an
//! input is missing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use prepx_bus::{Log, ReadError, Record, TopicPartition};

use super::READ_BYTES;
use crate::DecodeError;
use crate::codec::{Codec, Input};
use crate::command;
use crate::error::Error;
use crate::journal::transition::Taken;
use crate::lane::Run;
use crate::topology::Seat;

/// Messages that operators have had skipped, by the journals of their sources.
type Skips = BTreeSet<(TopicPartition, u64)>;

/// The inputs of one partition.
pub(super) struct Inputs {
    seat: Seat,
    /// The records read from each partition, beginning with the last one that was asked for.
    ahead: BTreeMap<TopicPartition, VecDeque<Record>>,
}

impl Inputs {
    pub fn of(seat: Seat) -> Inputs {
        Inputs {
            seat,
            ahead: BTreeMap::new(),
        }
    }

    /// The inputs of a transition as they were decided, without messages that an operator had skipped. None if the
    /// log has dropped some of them.
    pub fn read<C: Codec>(
        &mut self,
        codec: &C,
        log: &dyn Log,
        taken: &[Taken],
        mut skips: Skips,
    ) -> Result<Option<Vec<Input<C>>>, Error> {
        let mut inputs = Vec::new();
        for taken in taken {
            match self.take(codec, log, taken, &mut skips) {
                Ok(more) => inputs.extend(more),
                Err(Error::Read(ReadError::Truncated { .. })) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(inputs))
    }

    fn take<C: Codec>(
        &mut self,
        codec: &C,
        log: &dyn Log,
        taken: &Taken,
        skips: &mut Skips,
    ) -> Result<Vec<Input<C>>, Error> {
        match *taken {
            Taken::Timer => Ok(vec![codec.timer()]),
            Taken::Skip { source, number, .. } => {
                skips.insert((source, number));
                Ok(Vec::new())
            }
            Taken::Recorded {
                from,
                offset,
                count,
            } => (offset..offset + count)
                .map(|offset| {
                    let record = self.record(log, from, offset)?;
                    let input = command::decode(&record.payload)
                        .and_then(|(_, input)| codec.decode_input(from.topic, input));
                    input.map_err(|source| self.unreadable(from, offset, source))
                })
                .collect(),
            Taken::Lane { count: 0, .. } => Ok(Vec::new()),
            Taken::Lane {
                from,
                offset,
                first,
                count,
                ..
            } => {
                let record = self.record(log, from, offset)?;
                let inputs = messages(codec, from, &record, first..first + count, skips);
                inputs.map_err(|source| self.unreadable(from, offset, source))
            }
        }
    }

    fn unreadable(&self, from: TopicPartition, offset: u64, source: DecodeError) -> Error {
        Error::Unreadable {
            journal: self.seat.journal(),
            from,
            offset,
            source,
        }
    }

    fn record(
        &mut self,
        log: &dyn Log,
        from: TopicPartition,
        offset: u64,
    ) -> Result<Record, ReadError> {
        let ahead = self.ahead.entry(from).or_default();
        while ahead.front().is_some_and(|record| record.offset < offset) {
            ahead.pop_front();
        }
        if ahead.front().is_none_or(|record| record.offset > offset) {
            *ahead = log.read(from, offset, READ_BYTES)?.into();
        }
        let found = ahead.front().filter(|record| record.offset == offset);
        found
            .cloned()
            .ok_or_else(|| ReadError::Damaged(format!("{from} has no record at offset {offset}")))
    }
}

fn messages<C: Codec>(
    codec: &C,
    from: TopicPartition,
    record: &Record,
    numbers: std::ops::Range<u64>,
    skips: &Skips,
) -> Result<Vec<Input<C>>, DecodeError> {
    let run = Run::decode(&record.payload)?;
    let mut inputs = Vec::new();
    for message in run.messages() {
        let (number, bytes) = message?;
        if numbers.contains(&number) && !skips.contains(&(run.source, number)) {
            inputs.push(codec.decode_input(from.topic, bytes)?);
        }
    }
    Ok(inputs)
}
