//! The journal record: one whole transition of a stage partition.
//!
//! Owns the bytes; knows nothing of the meaning of events. A transition has a bounded group of inputs, so
//! that its frame, its hash and its lane records are paid for once per group.
//!
//! Layout, version 1: version (1 byte), epoch, seq, now (8 bytes), inputs, lane heads, events
//! (their number, then each after its length), state hash (8 bytes). Numbers without a size are
//! varints.

use prepx_bus::TopicPartition;
use prepx_domain::Micros;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::DecodeError;
use crate::journal::wire::{Reader, all_prefixed, put_partition, put_prefixed, put_varint};

const VERSION: u8 = 1;

/// An input of a transition, in the order of decision. Enough to decide it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The timer.
    Timer,
    /// Consecutive records of the stage's command topic.
    Recorded {
        /// The topic's partition.
        from: TopicPartition,
        /// The offset of the first.
        offset: u64,
        /// The number of records, with consecutive offsets.
        count: u64,
    },
    /// New messages of one lane record; none if all were repeats.
    Lane {
        /// The journal of the stage partition that sent them.
        source: TopicPartition,
        /// The partition that has their record.
        from: TopicPartition,
        /// The offset of their record.
        offset: u64,
        /// The lane number of the first new one.
        first: u64,
        /// The number of new ones.
        count: u64,
        /// Whether the record has no more messages for the next transition.
        whole: bool,
    },
    /// An operator's decision: this message of a lane will be skipped when it comes.
    Skip {
        /// The journal of the stage partition that sent it.
        source: TopicPartition,
        /// Its lane number.
        number: u64,
        /// The reason, in the operator's words.
        reason: String,
    },
}

/// One transition, borrowed from the bytes of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition<'a> {
    /// The epoch of the owner that wrote it.
    pub epoch: u32,
    /// One more than that of the transition before; the first is 1.
    pub seq: u64,
    /// The time at which it was decided.
    pub now: Micros,
    /// Its inputs.
    pub inputs: Vec<Taken>,
    /// The last number sent on each lane on which this transition sends: the topic and partition of the
    /// receiver, and the number.
    pub sent: Vec<(TopicPartition, u64)>,
    /// The number of events.
    pub event_count: usize,
    /// The events, each after its length.
    event_bytes: &'a [u8],
    /// The hash over all events from the first transition to this one.
    pub state_hash: u64,
}

/// The state hash after the events of one more transition.
pub(crate) fn roll(state_hash: u64, event_bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(event_bytes, state_hash)
}

/// The parts of a record besides the events.
pub(crate) struct Header<'a> {
    pub epoch: u32,
    pub seq: u64,
    pub now: Micros,
    pub inputs: &'a [Taken],
    pub sent: &'a [(TopicPartition, u64)],
    pub event_count: usize,
}

/// Appends a record. `event_bytes` has each event after its length. Returns the new hash.
pub(crate) fn encode(
    header: &Header<'_>,
    event_bytes: &[u8],
    hash_before: u64,
    to: &mut Vec<u8>,
) -> u64 {
    to.push(VERSION);
    put_varint(to, u64::from(header.epoch));
    put_varint(to, header.seq);
    to.extend_from_slice(&header.now.0.to_le_bytes());
    put_varint(to, header.inputs.len() as u64);
    for taken in header.inputs {
        encode_taken(taken, to);
    }
    put_varint(to, header.sent.len() as u64);
    for &(lane, number) in header.sent {
        put_partition(to, lane);
        put_varint(to, number);
    }
    put_varint(to, header.event_count as u64);
    to.extend_from_slice(event_bytes);
    let state_hash = roll(hash_before, event_bytes);
    to.extend_from_slice(&state_hash.to_le_bytes());
    state_hash
}

fn encode_taken(taken: &Taken, to: &mut Vec<u8>) {
    match *taken {
        Taken::Timer => to.push(0),
        Taken::Skip {
            source,
            number,
            ref reason,
        } => {
            to.push(3);
            put_partition(to, source);
            put_varint(to, number);
            put_prefixed(to, |to| to.extend_from_slice(reason.as_bytes()));
        }
        Taken::Recorded {
            from,
            offset,
            count,
        } => {
            to.push(1);
            put_partition(to, from);
            put_varint(to, offset);
            put_varint(to, count);
        }
        Taken::Lane {
            source,
            from,
            offset,
            first,
            count,
            whole,
        } => {
            to.push(if whole { 2 } else { 4 });
            put_partition(to, source);
            put_partition(to, from);
            put_varint(to, offset);
            put_varint(to, first);
            put_varint(to, count);
        }
    }
}

fn decode_taken(reader: &mut Reader<'_>) -> Result<Taken, DecodeError> {
    match reader.byte()? {
        0 => Ok(Taken::Timer),
        1 => Ok(Taken::Recorded {
            from: reader.partition()?,
            offset: reader.varint()?,
            count: reader.varint()?,
        }),
        kind @ (2 | 4) => Ok(Taken::Lane {
            source: reader.partition()?,
            from: reader.partition()?,
            offset: reader.varint()?,
            first: reader.varint()?,
            count: reader.varint()?,
            whole: kind == 2,
        }),
        3 => Ok(Taken::Skip {
            source: reader.partition()?,
            number: reader.varint()?,
            reason: String::from_utf8_lossy(reader.prefixed()?).into_owned(),
        }),
        kind => Err(reader.error(format!("there is no input of kind {kind}"))),
    }
}

impl<'a> Transition<'a> {
    /// Decodes a whole record.
    pub fn decode(bytes: &'a [u8]) -> Result<Transition<'a>, DecodeError> {
        let mut reader = Reader::new("a transition", bytes);
        let version = reader.byte()?;
        if version != VERSION {
            return Err(reader.error(format!(
                "it is of version {version}; this program reads {VERSION}"
            )));
        }
        let (epoch, seq) = (reader.varint_u32()?, reader.varint()?);
        let now = Micros(reader.i64()?);
        let inputs = (0..reader.count()?)
            .map(|_| decode_taken(&mut reader))
            .collect::<Result<_, _>>()?;
        let sent = (0..reader.count()?)
            .map(|_| Ok((reader.partition()?, reader.varint()?)))
            .collect::<Result<_, _>>()?;
        let event_count = reader.count()?;
        let rest = reader.rest();
        let Some((event_bytes, hash)) = rest.split_last_chunk::<8>() else {
            return Err(reader.error("it ends before its hash"));
        };
        Ok(Transition {
            epoch,
            seq,
            now,
            inputs,
            sent,
            event_count,
            event_bytes,
            state_hash: u64::from_le_bytes(*hash),
        })
    }

    /// The bytes of each event.
    pub fn events(&self) -> impl Iterator<Item = Result<&'a [u8], DecodeError>> + use<'a> {
        let count = self.event_count as u64;
        all_prefixed("the events of a transition", self.event_bytes, count)
    }

    /// The hash that `state_hash` must equal, given that of the transition before.
    pub fn hash_after(&self, hash_before: u64) -> u64 {
        roll(hash_before, self.event_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use prepx_bus::Topic;

    fn sample() -> Vec<u8> {
        let mut events = Vec::new();
        put_prefixed(&mut events, |to| to.extend_from_slice(b"held"));
        put_prefixed(&mut events, |to| to.extend_from_slice(b""));
        let header = Header {
            epoch: 3,
            seq: 300,
            now: Micros(1_800_000_000_000_000),
            inputs: &[
                Taken::Recorded {
                    from: Topic::TradingCommands.partition(1),
                    offset: 41,
                    count: 2,
                },
                Taken::Timer,
                Taken::Lane {
                    source: Topic::MatchingJournal.partition(2),
                    from: Topic::OrderExecutions.partition(1),
                    offset: 7,
                    first: 130,
                    count: 1,
                    whole: true,
                },
                Taken::Lane {
                    source: Topic::MatchingJournal.partition(3),
                    from: Topic::OrderExecutions.partition(1),
                    offset: 8,
                    first: 7,
                    count: 2,
                    whole: false,
                },
                Taken::Skip {
                    source: Topic::MatchingJournal.partition(2),
                    number: 131,
                    reason: "bug 7".to_owned(),
                },
            ],
            sent: &[(Topic::OrderProcessing.partition(2), 129)],
            event_count: 2,
        };
        let mut bytes = Vec::new();
        encode(&header, &events, 99, &mut bytes);
        bytes
    }

    #[test]
    fn golden_bytes_of_version_1() {
        let bytes = sample();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        expect!["0103ac02008098281765060005010101290200020f02030107820101040f030301080702030f0283010562756720370102028101020468656c64009705fa0c8af88fef"].assert_eq(&hex);
        let transition = Transition::decode(&bytes).unwrap();
        expect![[r#"Transition { epoch: 3, seq: 300, now: Micros(1800000000000000), inputs: [Recorded { from: TopicPartition { topic: TradingCommands, partition: 1 }, offset: 41, count: 2 }, Timer, Lane { source: TopicPartition { topic: MatchingJournal, partition: 2 }, from: TopicPartition { topic: OrderExecutions, partition: 1 }, offset: 7, first: 130, count: 1, whole: true }, Lane { source: TopicPartition { topic: MatchingJournal, partition: 3 }, from: TopicPartition { topic: OrderExecutions, partition: 1 }, offset: 8, first: 7, count: 2, whole: false }, Skip { source: TopicPartition { topic: MatchingJournal, partition: 2 }, number: 131, reason: "bug 7" }], sent: [(TopicPartition { topic: OrderProcessing, partition: 2 }, 129)], event_count: 2, event_bytes: [4, 104, 101, 108, 100, 0], state_hash: 17262289168541287831 }"#]].assert_eq(&format!("{transition:?}"));
        let events: Result<Vec<_>, _> = transition.events().collect();
        assert_eq!(events.unwrap(), [&b"held"[..], b""]);
        assert_eq!(transition.hash_after(99), transition.state_hash);
        assert_ne!(transition.hash_after(98), transition.state_hash);
    }

    #[test]
    fn whatever_is_cut_or_changed_is_refused_or_fails_its_hash() {
        let good = sample();
        let sound = |bytes: &[u8]| -> Option<Vec<u8>> {
            let transition = Transition::decode(bytes).ok()?;
            let events: Result<Vec<_>, _> = transition.events().collect();
            let intact = transition.hash_after(99) == transition.state_hash;
            intact.then_some(events.ok()?.concat())
        };
        assert_eq!(sound(&good).as_deref(), Some(&b"held"[..]));
        for cut in 0..good.len() {
            assert_eq!(sound(&good[..cut]), None, "cut at {cut}");
        }
        let events_at = good.len() - 8 - 6;
        for at in events_at..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(sound(&bad), None, "flipped at {at}");
        }
    }
}
