//! The bytes of the log: frames and segment headers, and nothing about files.
//!
//! A frame is the unit of atomicity: one batch, or one fence. Little-endian:
//!
//! | at | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4 | length of the whole frame; 0 where nothing was written |
//! | 4 | 4 | CRC32C of everything else in the frame |
//! | 8 | 8 | address: bytes of frames in the log before this one |
//! | 16 | 4 | how many bytes before this frame were not known to be synced when it was encoded |
//! | 20 | 1 | kind: 1 batch, 2 fence |
//! | 21 | 1 | zero |
//! | 22 | 2 | topic code of the owner's journal; 0 without owner |
//! | 24 | 4 | partition of the owner's journal |
//! | 28 | 4 | epoch of the owner |
//! | 32 | 4 | number of records |
//! | 36 | … | records: topic 2, partition 4, length 4, offset 8, payload; of a fence: who, UTF-8 |
//!
//! Refuses: to trust a byte. Whatever it is given it answers with an error, never a panic.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::BytesMut;

use crate::{Batch, Owner, Topic, TopicPartition};

/// The bytes of a frame before its records.
pub const HEADER_BYTES: usize = 36;
/// The bytes of a record before its payload.
pub const RECORD_HEADER_BYTES: usize = 18;
/// A fence notes at most so much of who it was for.
pub const WHO_BYTES_MAX: usize = 256;

const LENGTH: Range<usize> = 0..4;
const CRC: Range<usize> = 4..8;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records.
    Batch,
    /// A new epoch of a journal.
    Fence,
}

/// Why bytes are no frame.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Nothing was written here.
    #[error("there is no frame")]
    Nothing,
    /// The bytes end before the frame does.
    #[error("the frame is cut off: it takes {needed_bytes} bytes")]
    Short {
        /// The length of the whole frame, or of its header if that is cut off too.
        needed_bytes: usize,
    },
    /// The bytes are not those that were written.
    #[error("{0}")]
    Wrong(&'static str),
}

/// A frame in the bytes that hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Bytes of frames in the log before this one.
    pub address: u64,
    /// Everything before this address was durable when the frame was encoded.
    pub synced: u64,
    /// What it is for.
    pub kind: Kind,
    /// Who appended it; of a fence, the new owner.
    pub owner: Option<Owner>,
    bytes: &'a [u8],
}

/// A record inside a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRef {
    /// Where it belongs.
    pub to: TopicPartition,
    /// Its offset there.
    pub offset: u64,
    /// Where its payload is, in the bytes of the frame.
    pub payload: Range<usize>,
}

impl<'a> Frame<'a> {
    /// Takes the frame at the start of `bytes`, checking its checksum, its place in the log and
    /// its inner structure.
    pub fn parse(bytes: &'a [u8], address: u64) -> Result<Frame<'a>, Invalid> {
        let frame = Frame::trust(bytes, address)?;
        if checksum(frame.bytes) != u32_at(frame.bytes, CRC.start) {
            return Err(Invalid::Wrong("the checksum does not match"));
        }
        frame.check_records()?;
        Ok(frame)
    }

    /// Takes the frame at the start of `bytes` that this process wrote or checked itself.
    pub fn trust(bytes: &'a [u8], address: u64) -> Result<Frame<'a>, Invalid> {
        if bytes.len() < HEADER_BYTES {
            return Err(Invalid::Short {
                needed_bytes: HEADER_BYTES,
            });
        }
        let length = u32_at(bytes, LENGTH.start) as usize;
        if length == 0 {
            return Err(Invalid::Nothing);
        }
        if length < HEADER_BYTES {
            return Err(Invalid::Wrong("the length is below that of a header"));
        }
        // The address is believed before the length: a length of garbage must not make a reader
        // wait for gigabytes.
        if u64_at(bytes, 8) != address {
            return Err(Invalid::Wrong("the frame belongs to another place"));
        }
        let bytes = bytes.get(..length).ok_or(Invalid::Short {
            needed_bytes: length,
        })?;
        let synced = address
            .checked_sub(u64::from(u32_at(bytes, 16)))
            .ok_or(Invalid::Wrong("more than the whole log was not synced"))?;
        let kind = match bytes[20] {
            1 => Kind::Batch,
            2 => Kind::Fence,
            _ => return Err(Invalid::Wrong("the kind is unknown")),
        };
        Ok(Frame {
            address,
            synced,
            kind,
            owner: owner_of(bytes)?,
            bytes,
        })
    }

    /// The length of the frame.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The address after this frame.
    pub fn end(&self) -> u64 {
        self.address + self.bytes.len() as u64
    }

    /// The records in order; none in a fence.
    pub fn records(&self) -> impl Iterator<Item = RecordRef> + use<'a> {
        let bytes = self.bytes;
        let mut left = self.record_count();
        let mut at = HEADER_BYTES;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let record = record_at(bytes, at)?;
            at = record.payload.end;
            Some(record)
        })
    }

    /// Who a fence was for; empty in a batch.
    pub fn who(&self) -> &'a str {
        match self.kind {
            Kind::Fence => std::str::from_utf8(&self.bytes[HEADER_BYTES..]).unwrap_or("?"),
            Kind::Batch => "",
        }
    }

    fn record_count(&self) -> u32 {
        u32_at(self.bytes, 32)
    }

    fn check_records(&self) -> Result<(), Invalid> {
        let (mut count, mut end) = (0u32, HEADER_BYTES);
        for record in self.records() {
            (count, end) = (count + 1, record.payload.end);
        }
        let filled = match self.kind {
            Kind::Batch => end == self.bytes.len() && count > 0,
            Kind::Fence => self.owner.is_some() && self.record_count() == 0,
        };
        if count != self.record_count() || !filled {
            return Err(Invalid::Wrong("the records do not fill the frame"));
        }
        Ok(())
    }
}

/// What a frame says besides its records.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// See [`Frame::address`].
    pub address: u64,
    /// See [`Frame::synced`]; not above the address and less than 4 GiB below it.
    pub synced: u64,
    /// See [`Frame::owner`].
    pub owner: Option<Owner>,
}

/// The length of the frame that a batch makes.
pub fn batch_bytes(batch: &Batch) -> usize {
    HEADER_BYTES + batch.len() * RECORD_HEADER_BYTES + batch.payload_bytes()
}

/// Appends the frame of a batch to `out`; `offset_of` gives each record its offset, in order.
pub fn encode_batch(
    out: &mut BytesMut,
    stamp: Stamp,
    batch: &Batch,
    mut offset_of: impl FnMut(TopicPartition) -> u64,
) {
    let start = begin(
        out,
        stamp,
        Kind::Batch,
        batch.len() as u32,
        batch_bytes(batch),
    );
    for (to, payload) in batch.iter() {
        let mut header = [0; RECORD_HEADER_BYTES];
        header[0..2].copy_from_slice(&to.topic.code().to_le_bytes());
        header[2..6].copy_from_slice(&to.partition.to_le_bytes());
        header[6..10].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[10..18].copy_from_slice(&offset_of(to).to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(payload);
    }
    seal(&mut out[start..]);
}

/// Appends the frame of a fence to `out`; the new owner is that of the stamp. Of `who` the first
/// [`WHO_BYTES_MAX`] bytes are kept.
pub fn encode_fence(out: &mut BytesMut, stamp: Stamp, who: &str) {
    let who = &who[..who.floor_char_boundary(WHO_BYTES_MAX)];
    let start = begin(out, stamp, Kind::Fence, 0, HEADER_BYTES + who.len());
    out.extend_from_slice(who.as_bytes());
    seal(&mut out[start..]);
}

fn begin(out: &mut BytesMut, stamp: Stamp, kind: Kind, records: u32, length: usize) -> usize {
    let start = out.len();
    let mut header = [0; HEADER_BYTES];
    header[LENGTH].copy_from_slice(&(length as u32).to_le_bytes());
    header[8..16].copy_from_slice(&stamp.address.to_le_bytes());
    header[16..20].copy_from_slice(&((stamp.address - stamp.synced) as u32).to_le_bytes());
    header[20] = match kind {
        Kind::Batch => 1,
        Kind::Fence => 2,
    };
    if let Some(owner) = stamp.owner {
        header[22..24].copy_from_slice(&owner.journal.topic.code().to_le_bytes());
        header[24..28].copy_from_slice(&owner.journal.partition.to_le_bytes());
        header[28..32].copy_from_slice(&owner.epoch.to_le_bytes());
    }
    header[32..36].copy_from_slice(&records.to_le_bytes());
    out.extend_from_slice(&header);
    start
}

/// Puts the checksum into a frame that is otherwise complete.
///
/// # Panics
/// If there are fewer than [`HEADER_BYTES`].
pub fn seal(frame: &mut [u8]) {
    let crc = checksum(frame);
    frame[CRC].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[LENGTH]), &frame[CRC.end..])
}

fn owner_of(bytes: &[u8]) -> Result<Option<Owner>, Invalid> {
    match u16_at(bytes, 22) {
        0 => Ok(None),
        code => {
            let journal = partition_of(code, u32_at(bytes, 24))
                .ok_or(Invalid::Wrong("the owner's journal is unknown"))?;
            Ok(Some(Owner {
                journal,
                epoch: u32_at(bytes, 28),
            }))
        }
    }
}

fn record_at(bytes: &[u8], at: usize) -> Option<RecordRef> {
    let header = bytes.get(at..at.checked_add(RECORD_HEADER_BYTES)?)?;
    let start = at + RECORD_HEADER_BYTES;
    let end = start.checked_add(u32_at(header, 6) as usize)?;
    if end > bytes.len() {
        return None;
    }
    let to = partition_of(u16_at(header, 0), u32_at(header, 2))?;
    Some(RecordRef {
        to,
        offset: u64_at(header, 10),
        payload: start..end,
    })
}

/// The partition with this topic code and number, if there can be one.
pub(crate) fn partition_of(code: u16, partition: u32) -> Option<TopicPartition> {
    let topic = Topic::from_code(code)?;
    (partition < TopicPartition::COUNT_MAX).then_some(TopicPartition { topic, partition })
}

/// # Panics
/// If there are fewer than two bytes at `at`, as with its siblings below: callers have checked.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes make a u32"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(
        bytes[at..at + 8]
            .try_into()
            .expect("eight bytes make a u64"),
    )
}
