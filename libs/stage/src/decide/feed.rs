//! Inputs read from the log that a partition has not taken yet.

use std::collections::VecDeque;

use prepx_bus::{Log, TopicPartition};
use prepx_trace::Traces;

use crate::codec::{Codec, Input};
use crate::command;
use crate::decide::cell::Work;
use crate::decide::partition::Partition;
use crate::error::Error;
use crate::lane::{Message, Parcel, Run};

const READ_BYTES: usize = 1 << 20;

/// All durable inputs that the partition has not taken. After a crash these were in progress, so they are bounded by what
/// may be accepted and not yet handed on.
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
                found.push_back(decode(partition, from, record)?);
            }
        }
    }
    Ok(found)
}

impl<C: Codec> Partition<C> {
    /// Takes durable records that it has not taken yet from its commands or its lanes, whichever `from` is: at least one if
    /// there is one, and no more than fit into `max_bytes` and the open transition. Commands are answered under their
    /// offset. For owners whose inputs come through the log.
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
            match decode(self, from, &record)? {
                Work::Recorded {
                    offset,
                    input,
                    trace,
                    ..
                } => self.take_recorded(offset, &input, true, trace)?,
                Work::Parcel(parcel) => {
                    if !self.take_parcel(&parcel)? {
                        break;
                    }
                }
                Work::Command { .. } | Work::Timer => unreachable!("they are not on the log"),
            }
            taken += 1;
        }
        Ok(taken)
    }

    fn has_taken(&self, message: Message) -> bool {
        let last = self.head().received.get(&message.source);
        last.is_some_and(|last| *last >= message.number)
    }

    fn is_past_or_skipped(&self, message: Message) -> bool {
        let Message { source, number } = message;
        self.has_taken(message) || self.head().skips.contains(&(source, number))
    }

    pub(crate) fn next_offset(&self, from: TopicPartition) -> u64 {
        self.head().consumed.get(&from).copied().unwrap_or_default()
    }
}

/// Decodes a record of the partition's commands or lanes, whichever `from` is.
pub(crate) fn decode<C: Codec>(
    partition: &Partition<C>,
    from: TopicPartition,
    record: &prepx_bus::Record,
) -> Result<Work<Input<C>>, Error> {
    let (codec, seat, offset) = (partition.codec(), partition.seat(), record.offset);
    let unreadable = |source| Error::Unreadable {
        journal: seat.journal(),
        from,
        offset,
        source,
    };
    if from == seat.commands() {
        let (reply_to, input) = command::decode(&record.payload).map_err(unreadable)?;
        let (trace, input) = prepx_trace::split(input);
        let input = codec.decode_input(from.topic, input).map_err(unreadable)?;
        return Ok(Work::Recorded {
            offset,
            reply_to,
            input,
            trace,
        });
    }
    let run = Run::decode(&record.payload).map_err(unreadable)?;
    let source = run.source;
    let (mut inputs, mut traces) = (Vec::new(), Traces::default());
    for message in run.traced() {
        let (number, trace, bytes) = message.map_err(unreadable)?;
        traces.push(inputs.len(), trace);
        let input = match codec.decode_input(from.topic, bytes) {
            Ok(input) => input,
            // It is never decided, so anything may stand in its place.
            Err(_) if partition.is_past_or_skipped(Message { source, number }) => codec.timer(),
            Err(error) => {
                return Err(Error::Poison {
                    seat,
                    message: Message { source, number },
                    from,
                    offset,
                    why: error.to_string(),
                });
            }
        };
        inputs.push(input);
    }
    Ok(Work::Parcel(Parcel {
        source,
        from,
        offset,
        first: run.first,
        inputs,
        traces,
    }))
}

/// Whether a message is durable on one of the partition's lanes and not taken yet.
pub(crate) fn stands_before<C: Codec>(
    partition: &Partition<C>,
    log: &dyn Log,
    wanted: Message,
) -> Result<bool, Error> {
    if partition.has_taken(wanted) {
        return Ok(false);
    }
    let from = partition.seat().lanes();
    let mut next = partition.next_offset(from);
    loop {
        let records = log.read(from, next, READ_BYTES)?;
        let Some(last) = records.last() else {
            return Ok(false);
        };
        next = last.offset + 1;
        let holds = |record: &prepx_bus::Record| {
            Run::decode(&record.payload).is_ok_and(|run| {
                let place = wanted.number.checked_sub(run.first);
                run.source == wanted.source && place.is_some_and(|place| place < run.count)
            })
        };
        if records.iter().any(holds) {
            return Ok(true);
        }
    }
}
