//! Lanes: what one stage partition sends to one partition of a topic, numbered densely from 1.
//!
//! Owns the bytes of a lane record and the rule that every receiver follows, stage or projection: store the
//! last number of each lane together with the effects, drop repeats, stop at a gap (I2). A record has
//! consecutive messages of one transition, so that framing is paid once.
//!
//! Layout, version 1: version (1 byte), source, seq, first number, count, then each message after its length.
//! Numbers are varints. A sampled message is preceded by its trace context (`prepx-trace`).

use std::fmt;
use std::str::FromStr;

use prepx_bus::{Topic, TopicPartition};
use prepx_trace::{Trace, Traces};

use crate::DecodeError;
use crate::journal::wire::{Reader, all_prefixed, put_partition, put_prefixed, put_varint};

const VERSION: u8 = 1;

/// Messages on one lane, borrowed from the bytes of their record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// The journal of the stage partition that sent them.
    pub source: TopicPartition,
    /// The transition that caused them, in that journal.
    pub seq: u64,
    /// The lane number of the first message.
    pub first: u64,
    /// The number of messages.
    pub count: u64,
    message_bytes: &'a [u8],
}

/// Consecutive messages of one lane, from one record of the log, as typed values.
pub struct Parcel<I> {
    /// The journal of the sender.
    pub source: TopicPartition,
    /// The partition that has the record.
    pub from: TopicPartition,
    /// The offset of the record.
    pub offset: u64,
    /// The lane number of the first message.
    pub first: u64,
    /// The messages, as inputs of the receiver.
    pub inputs: Vec<I>,
    /// The traces of those that are sampled.
    pub traces: Traces,
}

pub(crate) struct Header {
    pub source: TopicPartition,
    pub seq: u64,
    pub first: u64,
    pub count: u64,
}

/// Appends a record. `message_bytes` has each message after its length.
pub(crate) fn encode(header: &Header, message_bytes: &[u8], to: &mut Vec<u8>) {
    to.push(VERSION);
    put_partition(to, header.source);
    put_varint(to, header.seq);
    put_varint(to, header.first);
    put_varint(to, header.count);
    to.extend_from_slice(message_bytes);
}

/// Appends a record with these messages, for tests of receivers and for tools. Stages write theirs through
/// their outbox.
pub fn write(source: TopicPartition, seq: u64, first: u64, messages: &[&[u8]], to: &mut Vec<u8>) {
    let mut message_bytes = Vec::new();
    for message in messages {
        put_prefixed(&mut message_bytes, |to| to.extend_from_slice(message));
    }
    let header = Header {
        source,
        seq,
        first,
        count: messages.len() as u64,
    };
    encode(&header, &message_bytes, to);
}

impl<'a> Run<'a> {
    /// Decodes a whole record.
    pub fn decode(bytes: &'a [u8]) -> Result<Run<'a>, DecodeError> {
        let mut reader = Reader::new("a lane record", bytes);
        let version = reader.byte()?;
        if version != VERSION {
            return Err(reader.error(format!(
                "it is of version {version}; this program reads {VERSION}"
            )));
        }
        Ok(Run {
            source: reader.partition()?,
            seq: reader.varint()?,
            first: reader.varint()?,
            count: reader.count()? as u64,
            message_bytes: reader.rest(),
        })
    }

    /// The number and the bytes of each message.
    pub fn messages(&self) -> impl Iterator<Item = Result<(u64, &'a [u8]), DecodeError>> + use<'a> {
        let traced = self.traced();
        traced.map(|message| message.map(|(number, _, bytes)| (number, bytes)))
    }

    /// As [`Self::messages`], with the trace of each message that is sampled.
    pub(crate) fn traced(
        &self,
    ) -> impl Iterator<Item = Result<(u64, Option<Trace>, &'a [u8]), DecodeError>> + use<'a> {
        let first = self.first;
        let numbers = (0..).map(move |place| first.saturating_add(place));
        let messages = all_prefixed(
            "the messages of a lane record",
            self.message_bytes,
            self.count,
        );
        numbers.zip(messages).map(|(number, message)| {
            let (trace, bytes) = prepx_trace::split(message?);
            Ok((number, trace, bytes))
        })
    }
}

/// A message of a lane, identified by its sender and its number: `account-journal/2#57`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// The journal of the sender.
    pub source: TopicPartition,
    /// Its number on the lane.
    pub number: u64,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.source, self.number)
    }
}

impl FromStr for Message {
    type Err = String;

    fn from_str(text: &str) -> Result<Message, String> {
        let parse = || {
            let (source, number) = text.split_once('#')?;
            let (topic, partition) = source.split_once('/')?;
            let journal = [Topic::AccountJournal, Topic::MatchingJournal]
                .into_iter()
                .find(|journal| journal.name() == topic)?;
            Some(Message {
                source: journal.partition(partition.parse().ok()?),
                number: number.parse().ok()?,
            })
        };
        parse().ok_or_else(|| {
            format!("{text:?} is not a message of a lane, such as account-journal/2#57")
        })
    }
}

/// A number is missing on a lane: a message did not arrive, or arrived too early. To continue would lose
/// it, so the receiver stops and raises an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lane from {source_journal} has a gap: {found} follows {last}")]
pub struct Gap {
    /// The journal of the sender.
    pub source_journal: TopicPartition,
    /// The last number that was processed.
    pub last: u64,
    /// The number that came next.
    pub found: u64,
}

/// How many of these messages the receiver has already processed, when `last` is the last number that it
/// has (0 for none). Those are repeats; the rest comes next.
pub fn repeats(
    source_journal: TopicPartition,
    last: u64,
    first: u64,
    count: u64,
) -> Result<u64, Gap> {
    match last.saturating_add(1).checked_sub(first) {
        Some(repeats) => Ok(repeats.min(count)),
        None => Err(Gap {
            source_journal,
            last,
            found: first,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn golden_bytes_of_version_1() {
        let mut messages = Vec::new();
        put_prefixed(&mut messages, |to| to.extend_from_slice(b"place"));
        put_prefixed(&mut messages, |to| to.extend_from_slice(b"cancel"));
        let header = Header {
            source: Topic::AccountJournal.partition(3),
            seq: 1_000,
            first: 200,
            count: 2,
        };
        let mut bytes = Vec::new();
        encode(&header, &messages, &mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        expect!["010e03e807c8010205706c6163650663616e63656c"].assert_eq(&hex);

        let run = Run::decode(&bytes).unwrap();
        let found: Result<Vec<_>, _> = run.messages().collect();
        assert_eq!(found.unwrap(), [(200, &b"place"[..]), (201, b"cancel")]);
        for cut in 0..bytes.len() {
            let whole = Run::decode(&bytes[..cut])
                .and_then(|run| run.messages().collect::<Result<Vec<_>, _>>());
            assert!(whole.is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_receiver_drops_repeats_and_stops_at_a_gap() {
        let source = Topic::AccountJournal.partition(0);
        let check = |last, first, count| repeats(source, last, first, count);
        assert_eq!(check(0, 1, 5), Ok(0));
        assert_eq!(check(3, 1, 5), Ok(3));
        assert_eq!(check(9, 1, 5), Ok(5));
        assert_eq!(check(5, 6, 1), Ok(0));
        let gap = check(5, 7, 1).unwrap_err();
        expect!["the lane from account-journal/0 has a gap: 7 follows 5"]
            .assert_eq(&gap.to_string());
    }
}
