//! Snapshots: a stage partition's state as an object, from which a fold can start.
//!
//! Owns their format, and that the two newest good ones are kept. A damaged one is skipped in favour of the previous one.
//! Refuses to be a source of truth: a snapshot contains nothing that does not follow from the journal.
//!
//! Layout, version 1: `PXSN`, version (4 bytes), version of the state's bytes (4 bytes), journal,
//! next offset, epoch, seq, now (8 bytes), state hash (8 bytes), events, the three maps of the
//! head and its skips, the state's bytes, CRC-32C of all before (4 bytes). Numbers without a size are varints.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use prepx_bus::{Log, TopicPartition};
use prepx_domain::Micros;
use prepx_objects::Objects;

use crate::DecodeError;
use crate::codec::Codec;
use crate::journal::state::{Head, State};
use crate::journal::wire::{Reader, put_partition, put_varint};
use crate::recovery::folded::Folded;
use crate::topology::Seat;

const MAGIC: &[u8; 4] = b"PXSN";
const VERSION: u32 = 1;
/// How many good snapshots of a partition are kept.
pub(crate) const KEPT: usize = 2;

/// Why snapshots could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object storage failed.
    #[error("snapshot {name}: {source}")]
    Io {
        /// The snapshot, or the operation.
        name: String,
        /// Why.
        source: io::Error,
    },
}

fn failed(name: &str) -> impl FnOnce(io::Error) -> Error {
    let name = name.to_owned();
    move |source| Error::Io { name, source }
}

/// The snapshots of all partitions.
#[derive(Clone)]
pub struct Snapshots {
    objects: Arc<dyn Objects>,
}

impl Snapshots {
    /// The snapshots among `objects`.
    pub fn new(objects: Arc<dyn Objects>) -> Snapshots {
        Snapshots { objects }
    }

    /// The newest good snapshot of a partition, or the initial state.
    pub fn load<C: Codec>(&self, codec: &C, seat: Seat) -> Result<Folded<C>, Error> {
        self.find(
            codec,
            seat,
            |generations| generations.reverse(),
            |_, _| true,
        )
    }

    /// The oldest state from which the journal can be folded: the initial one if the log, with its archives, has the whole
    /// journal, or else the oldest good snapshot after which nothing is missing.
    pub fn oldest<C: Codec>(
        &self,
        codec: &C,
        seat: Seat,
        log: &dyn Log,
    ) -> Result<Folded<C>, Error> {
        match log.start(seat.journal()) {
            0 => Ok(Folded::initial(codec, seat)),
            start => self.find(codec, seat, |_| (), |_, next_offset| next_offset >= start),
        }
    }

    /// The first good snapshot, in an order of their generations, that is `wanted` for its head and next
    /// offset; the initial state if there is none.
    pub(crate) fn find<C: Codec>(
        &self,
        codec: &C,
        seat: Seat,
        order: impl FnOnce(&mut [(u64, String)]),
        wanted: impl Fn(&Head, u64) -> bool,
    ) -> Result<Folded<C>, Error> {
        let mut generations = self.generations(seat)?;
        order(&mut generations);
        for (generation, name) in generations {
            let bytes = self.read(&name)?;
            match decode(codec, seat, &bytes) {
                Ok((state, next_offset)) if !wanted(&state.head, next_offset) => {}
                Ok((state, next_offset)) => {
                    return Ok(Folded {
                        seat,
                        state,
                        next_offset,
                        generation,
                        bytes: bytes.len() as u64,
                    });
                }
                Err(error) => {
                    tracing::error!(%name, %error, "a snapshot is damaged; trying another");
                }
            }
        }
        Ok(Folded::initial(codec, seat))
    }

    /// Writes a snapshot durably and returns its size.
    pub fn write<C: Codec>(
        &self,
        codec: &C,
        seat: Seat,
        generation: u64,
        state: &State<C>,
        next_offset: u64,
    ) -> Result<u64, Error> {
        let name = name_of(seat, generation);
        let mut bytes = Vec::new();
        encode(codec, seat, state, next_offset, &mut bytes);
        self.objects.put(&name, &bytes).map_err(failed(&name))?;
        Ok(bytes.len() as u64)
    }

    /// Makes the existence of the files durable. The process that wrote the newest may have been killed before it did.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        self.objects.settle().map_err(failed("settle"))
    }

    /// Removes a partition's snapshots, all but those of the given generations.
    pub fn keep_only(&self, seat: Seat, kept: &[u64]) -> Result<(), Error> {
        for (generation, name) in self.generations(seat)? {
            if !kept.contains(&generation) {
                self.objects.remove(&name).map_err(failed(&name))?;
            }
        }
        Ok(())
    }

    /// The generations of a partition's snapshots with their files, oldest first.
    pub(crate) fn generations(&self, seat: Seat) -> Result<Vec<(u64, String)>, Error> {
        let prefix = prefix_of(seat);
        let names = self.objects.list(&prefix).map_err(failed("list"))?;
        let generation = |name: String| Some((name.strip_prefix(&prefix)?.parse().ok()?, name));
        let mut found: Vec<_> = names.into_iter().filter_map(generation).collect();
        found.sort_unstable();
        Ok(found)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.objects.get(name).map_err(failed(name))
    }

    /// Every good snapshot of a partition, newest first: generation, head and next offset.
    pub(crate) fn marks(&self, seat: Seat) -> Result<Vec<(u64, Head, u64)>, Error> {
        let mut marks = Vec::new();
        for (generation, name) in self.generations(seat)?.into_iter().rev() {
            if let Ok(parts) = open(seat, &self.read(&name)?) {
                marks.push((generation, parts.head, parts.next_offset));
            }
        }
        Ok(marks)
    }
}

fn prefix_of(seat: Seat) -> String {
    format!("{}-{}-", seat.stage.journal, seat.partition)
}

fn name_of(seat: Seat, generation: u64) -> String {
    format!("{}{generation:012}", prefix_of(seat))
}

fn put_map(to: &mut Vec<u8>, map: &BTreeMap<TopicPartition, u64>) {
    put_varint(to, map.len() as u64);
    for (&at, &number) in map {
        put_partition(to, at);
        put_varint(to, number);
    }
}

fn take_map(reader: &mut Reader<'_>) -> Result<BTreeMap<TopicPartition, u64>, DecodeError> {
    take_pairs(reader)
}

fn take_pairs<C: FromIterator<(TopicPartition, u64)>>(
    reader: &mut Reader<'_>,
) -> Result<C, DecodeError> {
    let count = reader.count()?;
    (0..count)
        .map(|_| Ok((reader.partition()?, reader.varint()?)))
        .collect()
}

fn encode<C: Codec>(codec: &C, seat: Seat, state: &State<C>, next_offset: u64, to: &mut Vec<u8>) {
    let head = &state.head;
    to.extend_from_slice(MAGIC);
    to.extend_from_slice(&VERSION.to_le_bytes());
    to.extend_from_slice(&C::STATE_VERSION.to_le_bytes());
    put_partition(to, seat.journal());
    put_varint(to, next_offset);
    put_varint(to, u64::from(head.epoch));
    put_varint(to, head.seq);
    to.extend_from_slice(&head.now.0.to_le_bytes());
    to.extend_from_slice(&head.state_hash.to_le_bytes());
    put_varint(to, head.events);
    put_map(to, &head.received);
    put_map(to, &head.sent);
    put_map(to, &head.consumed);
    put_varint(to, head.skips.len() as u64);
    for &(source, number) in &head.skips {
        put_partition(to, source);
        put_varint(to, number);
    }
    codec.encode_state(&state.machine, to);
    let crc = crc32c::crc32c(to);
    to.extend_from_slice(&crc.to_le_bytes());
}

/// A snapshot's parts, the state still as bytes.
struct Parts<'a> {
    head: Head,
    next_offset: u64,
    state_version: u32,
    state: &'a [u8],
}

fn open(seat: Seat, bytes: &[u8]) -> Result<Parts<'_>, DecodeError> {
    let mut reader = Reader::new("a snapshot", bytes);
    let Some((content, crc)) = bytes.split_last_chunk::<4>() else {
        return Err(reader.error("it is empty"));
    };
    if crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
        return Err(reader.error("its checksum is wrong"));
    }
    reader = Reader::new("a snapshot", content);
    let (magic, version) = (reader.array::<4>()?, u32::from_le_bytes(reader.array()?));
    if &magic != MAGIC || version != VERSION {
        return Err(reader.error(format!("version {version}; this program reads {VERSION}")));
    }
    let state_version = u32::from_le_bytes(reader.array()?);
    let journal = reader.partition()?;
    if journal != seat.journal() {
        return Err(reader.error(format!("it is of {journal}, not of {}", seat.journal())));
    }
    let next_offset = reader.varint()?;
    let head = Head {
        epoch: reader.varint_u32()?,
        seq: reader.varint()?,
        now: Micros(reader.i64()?),
        state_hash: reader.u64()?,
        events: reader.varint()?,
        received: take_map(&mut reader)?,
        sent: take_map(&mut reader)?,
        consumed: take_map(&mut reader)?,
        skips: take_pairs(&mut reader)?,
    };
    Ok(Parts {
        head,
        next_offset,
        state_version,
        state: reader.rest(),
    })
}

fn decode<C: Codec>(codec: &C, seat: Seat, bytes: &[u8]) -> Result<(State<C>, u64), DecodeError> {
    let parts = open(seat, bytes)?;
    let state = State {
        machine: codec.decode_state(parts.state_version, parts.state)?,
        head: parts.head,
    };
    Ok((state, parts.next_offset))
}
