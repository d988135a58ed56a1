//! Inputs as they are read from the log: what a partition has not taken yet.

use std::collections::VecDeque;

use prepx_bus::{Log, TopicPartition};

use crate::codec::{Codec, Input};
use crate::lane::Run;
use crate::partition::{Error, Parcel, Partition};
use crate::spine::Work;

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
        let consumed = partition.head().consumed.get(&from).copied();
        let mut next = consumed.unwrap_or_default();
        loop {
            let records = log.read(from, next, READ_BYTES)?;
            let Some(last) = records.last() else { break };
            next = last.offset + 1;
            for record in &records {
                found.push_back(decode(partition, from, record.offset, &record.payload)?);
            }
        }
    }
    Ok(found)
}

fn decode<C: Codec>(
    partition: &Partition<C>,
    from: TopicPartition,
    offset: u64,
    payload: &[u8],
) -> Result<Work<Input<C>>, Error> {
    let codec = partition.codec();
    let decoded = if from.topic == partition.seat().stage.commands {
        codec
            .decode_input(from.topic, payload)
            .map(|input| Work::Recorded { offset, input })
    } else {
        Run::decode(payload).and_then(|run| {
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
        journal: partition.seat().journal(),
        from,
        offset,
        source,
    })
}
