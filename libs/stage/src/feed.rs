//! Inputs as they are read from the log: what a partition has not taken yet.

use std::collections::VecDeque;

use prepx_bus::{Log, TopicPartition};

use crate::codec::{Codec, Input};
use crate::error::Error;
use crate::lane::Run;
use crate::partition::{Parcel, Partition};
use crate::spine::Work;
use crate::topology::Seat;

const READ_BYTES: usize = 1 << 20;

/// Everything durable that the partition has not taken. After a crash that is what was under way:
/// bounded by what may be accepted and not yet handed on.
pub(crate) fn unread<C: Codec>(
    partition: &Partition<C>,
    log: &dyn Log,
) -> Result<VecDeque<Work<Input<C>>>, Error> {
    let mut found = VecDeque::new();
    let seat = partition.seat();
    for from in [seat.commands(), seat.lanes()] {
        let mut next = partition.next_offset(from);
        loop {
            let records = log.read(from, next, READ_BYTES)?;
            let Some(last) = records.last() else { break };
            next = last.offset + 1;
            for record in &records {
                found.push_back(decode(partition.codec(), seat, from, record)?);
            }
        }
    }
    Ok(found)
}

impl<C: Codec> Partition<C> {
    /// Takes durable records that it has not taken from its commands or its lanes, whichever
    /// `from` is: at least one if there is one, no more than `max_bytes` or the open transition
    /// hold. Commands are answered under their offset. For owners whose inputs come through the
    /// log.
    pub fn take_unread(
        &mut self,
        log: &dyn Log,
        from: TopicPartition,
        max_bytes: usize,
    ) -> Result<usize, Error> {
        let mut taken = 0;
        for record in log.read(from, self.next_offset(from), max_bytes)? {
            if self.is_full() {
                break;
            }
            match decode(self.codec(), self.seat(), from, &record)? {
                Work::Recorded { offset, input } => self.take_recorded(offset, &input, true)?,
                Work::Parcel(parcel) => self.take_parcel(&parcel)?,
                Work::Command { .. } | Work::Timer => unreachable!("they are not on the log"),
            }
            taken += 1;
        }
        Ok(taken)
    }

    fn next_offset(&self, from: TopicPartition) -> u64 {
        self.head().consumed.get(&from).copied().unwrap_or_default()
    }
}

fn decode<C: Codec>(
    codec: &C,
    seat: Seat,
    from: TopicPartition,
    record: &prepx_bus::Record,
) -> Result<Work<Input<C>>, Error> {
    let offset = record.offset;
    let decoded = if from == seat.commands() {
        codec
            .decode_input(from.topic, &record.payload)
            .map(|input| Work::Recorded { offset, input })
    } else {
        Run::decode(&record.payload).and_then(|run| {
            let inputs = run
                .messages()
                .map(|message| codec.decode_input(from.topic, message?.1))
                .collect::<Result<_, _>>()?;
            Ok(Work::Parcel(Parcel {
                source: run.source,
                from,
                offset,
                first: run.first,
                inputs,
            }))
        })
    };
    decoded.map_err(|source| Error::Poison {
        journal: seat.journal(),
        from,
        offset,
        source,
    })
}
