//! One file of the log: a header that says where everything stood when it began, then frames.
//!
//! Owns: file names, the header, the sparse index beside a sealed segment, reading frames back.
//! Refuses: frames whose checksum or place is wrong.
//!
//! Header, little-endian: magic 8, version 4, length of the header 4, CRC32C of the rest 4, zero
//! 4, base address 8, number of partitions 4; a partition is topic 2, number 4, end 8, start 8,
//! epoch 4. A segment is self-contained: with it alone the log opens, whatever was removed before.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::frame::{self, Frame, Invalid, partition_of, u16_at, u32_at, u64_at};
use super::partitions::PartitionMap;
use crate::TopicPartition;
use crate::file::{Dir, File};

const MAGIC: &[u8; 8] = b"PREPXLOG";
pub const VERSION: u32 = 1;
const FIXED_BYTES: usize = 36;
const ENTRY_BYTES: usize = 26;
/// Frames are read back in windows of this size, or of one frame if that is larger.
const WINDOW_BYTES: u64 = 256 << 10;

/// Where a partition stands at an address of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// One past the last offset.
    pub end: u64,
    /// The first offset that is still needed.
    pub start: u64,
    /// The epoch of a journal; 0 if never fenced.
    pub epoch: u32,
}

/// An open segment.
pub struct Segment {
    /// The address of its first frame.
    pub base: u64,
    /// Where every partition stood at the base.
    pub standings: PartitionMap<Standing>,
    pub file: Arc<dyn File>,
    header_bytes: u64,
}

/// Why a segment's header cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    #[error("the header is damaged")]
    Damaged,
    #[error("the format is {found}")]
    Version { found: u32 },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Segment {
    /// The name of the segment whose first frame has the address `base`.
    pub fn name_of(base: u64) -> String {
        format!("{base:020}.seg")
    }

    /// The base in a file name, if it is a segment's.
    pub fn base_in(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".seg")?;
        (digits.len() == 20).then(|| digits.parse().ok())?
    }

    /// Makes a segment, preallocated up to `segment_bytes`, and syncs it and its name.
    pub fn create(
        dir: &dyn Dir,
        base: u64,
        standings: PartitionMap<Standing>,
        segment_bytes: u64,
    ) -> io::Result<Segment> {
        let header = encode_header(base, &standings);
        let file = dir.create(&Segment::name_of(base))?;
        file.allocate(segment_bytes.max(header.len() as u64))?;
        file.write_at(0, &header)?;
        file.sync()?;
        dir.sync()?;
        Ok(Segment {
            base,
            standings,
            file,
            header_bytes: header.len() as u64,
        })
    }

    /// Opens a segment that is there.
    pub fn open(dir: &dyn Dir, base: u64) -> Result<Segment, HeaderError> {
        let file = dir.open(&Segment::name_of(base))?;
        let size = file.size()?;
        let mut fixed = [0; FIXED_BYTES];
        if size < FIXED_BYTES as u64 {
            return Err(HeaderError::Damaged);
        }
        file.read_at(0, &mut fixed)?;
        let length = u64::from(u32_at(&fixed, 12));
        let length_max = FIXED_BYTES as u64
            + ENTRY_BYTES as u64
                * u64::from(TopicPartition::COUNT_MAX)
                * crate::Topic::ALL.len() as u64;
        if &fixed[..8] != MAGIC || length > size.min(length_max) || length < FIXED_BYTES as u64 {
            return Err(HeaderError::Damaged);
        }
        let mut header = vec![0; length as usize];
        file.read_at(0, &mut header)?;
        let (found, standings) = decode_header(&header)?;
        if found != base {
            return Err(HeaderError::Damaged);
        }
        Ok(Segment {
            base,
            standings,
            file,
            header_bytes: length,
        })
    }

    /// Writes the header once more, as it is; the caller syncs.
    pub fn rewrite_header(&self) -> io::Result<()> {
        self.file
            .write_at(0, &encode_header(self.base, &self.standings))
    }

    /// Where the frame of an address is in the file.
    pub fn position_of(&self, address: u64) -> u64 {
        self.header_bytes + (address - self.base)
    }

    /// The bytes at an address.
    pub fn read(&self, address: u64, length: u64) -> io::Result<Bytes> {
        let mut bytes = BytesMut::zeroed(length as usize);
        self.file.read_at(self.position_of(address), &mut bytes)?;
        Ok(bytes.freeze())
    }

    /// The frames from `address`, the start of one, up to `end`.
    pub fn frames(&self, address: u64, end: u64) -> Frames<'_> {
        Frames {
            segment: self,
            window: Bytes::new(),
            address,
            stop: end,
            end,
        }
    }
}

/// Frames read from a file, checked.
pub struct Frames<'a> {
    segment: &'a Segment,
    /// What has been read and not yet given out; starts at `address`.
    window: Bytes,
    /// The address of the next frame: after an error, of the one that is wrong.
    pub address: u64,
    /// Nothing from here on is read ahead.
    stop: u64,
    end: u64,
}

/// Why the next frame could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("at address {address}: {invalid}")]
    Invalid { address: u64, invalid: Invalid },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Frames<'_> {
    /// The same for who wants no frame that begins at `stop` or later.
    pub fn before(self, stop: u64) -> Self {
        Frames { stop, ..self }
    }

    /// The bytes of the next whole frame, which [`Frame::trust`] may take; none at the end.
    pub fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        while self.address < self.end {
            match Frame::parse(&self.window, self.address) {
                Ok(frame) => {
                    let size = frame.size_bytes();
                    self.address += size as u64;
                    return Ok(Some(self.window.split_to(size)));
                }
                Err(Invalid::Short { needed_bytes }) if self.can_grow(needed_bytes) => {
                    let ahead = self.stop.saturating_sub(self.address).min(WINDOW_BYTES);
                    let wanted = ahead.max(needed_bytes as u64);
                    self.window = self.fetch(wanted.min(self.end - self.address))?;
                }
                Err(invalid) => {
                    return Err(FrameError::Invalid {
                        address: self.address,
                        invalid,
                    });
                }
            }
        }
        Ok(None)
    }

    /// A file that ends before the log does is damaged, not unreadable.
    fn fetch(&self, wanted: u64) -> Result<Bytes, FrameError> {
        self.segment
            .read(self.address, wanted)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    let invalid = Invalid::Short {
                        needed_bytes: wanted as usize,
                    };
                    FrameError::Invalid {
                        address: self.address,
                        invalid,
                    }
                }
                _ => error.into(),
            })
    }

    fn can_grow(&self, needed_bytes: usize) -> bool {
        self.window.len() < needed_bytes && needed_bytes as u64 <= self.end - self.address
    }
}

fn encode_header(base: u64, standings: &PartitionMap<Standing>) -> Vec<u8> {
    let mut header = vec![0; FIXED_BYTES];
    let mut count = 0u32;
    for (partition, standing) in standings.iter() {
        if *standing != Standing::default() {
            count += 1;
            header.extend_from_slice(&partition.topic.code().to_le_bytes());
            header.extend_from_slice(&partition.partition.to_le_bytes());
            header.extend_from_slice(&standing.end.to_le_bytes());
            header.extend_from_slice(&standing.start.to_le_bytes());
            header.extend_from_slice(&standing.epoch.to_le_bytes());
        }
    }
    let length = header.len() as u32;
    header[0..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&length.to_le_bytes());
    header[24..32].copy_from_slice(&base.to_le_bytes());
    header[32..36].copy_from_slice(&count.to_le_bytes());
    let crc = crc32c::crc32c(&header);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The base and the standings in a whole header. Never panics, whatever the bytes.
pub fn decode_header(bytes: &[u8]) -> Result<(u64, PartitionMap<Standing>), HeaderError> {
    if bytes.len() < FIXED_BYTES || &bytes[..8] != MAGIC {
        return Err(HeaderError::Damaged);
    }
    let mut unsigned = bytes.to_vec();
    unsigned[16..20].fill(0);
    if crc32c::crc32c(&unsigned) != u32_at(bytes, 16) {
        return Err(HeaderError::Damaged);
    }
    // Only now: the version of a torn header is no version. So magic, version, length and
    // checksum stay where they are in every format to come.
    match u32_at(bytes, 8) {
        VERSION => {}
        found => return Err(HeaderError::Version { found }),
    }
    let entries = bytes[FIXED_BYTES..].chunks_exact(ENTRY_BYTES);
    if !entries.remainder().is_empty() || entries.len() != u32_at(bytes, 32) as usize {
        return Err(HeaderError::Damaged);
    }
    let mut standings = PartitionMap::default();
    for entry in entries {
        let partition = partition_of(u16_at(entry, 0), u32_at(entry, 2));
        *standings.get_mut(partition.ok_or(HeaderError::Damaged)?) = Standing {
            end: u64_at(entry, 6),
            start: u64_at(entry, 14),
            epoch: u32_at(entry, 22),
        };
    }
    Ok((u64_at(bytes, 24), standings))
}

/// Looks in `bytes`, which were found at `address`, for a frame that satisfies `test`. Damage
/// destroys lengths, so every byte is a candidate; the address that each frame carries rules out
/// nearly all of them before a checksum is computed.
pub fn find_frame(bytes: &[u8], address: u64, test: impl Fn(&Frame<'_>) -> bool) -> Option<u64> {
    let written = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    let last = written.saturating_sub(frame::HEADER_BYTES - 4);
    (0..=last).find_map(|at| {
        let here = address + at as u64;
        let stamp = bytes.get(at + 8..at + 16)?;
        if stamp != here.to_le_bytes() {
            return None;
        }
        Frame::parse(&bytes[at..], here)
            .ok()
            .filter(&test)
            .map(|frame| frame.address)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Topic;

    #[test]
    fn golden_bytes_of_a_header() {
        let mut standings = PartitionMap::default();
        *standings.get_mut(Topic::MatchingJournal.partition(1)) = Standing {
            end: 5,
            start: 4,
            epoch: 3,
        };
        let header = encode_header(258, &standings);
        let hex: String = header.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = "50524550584c4f47010000003e000000e25e4614000000000201000000000000\
                        010000000f00010000000500000000000000040000000000000003000000";
        assert_eq!(hex, expected);
        let (base, decoded) = decode_header(&header).unwrap();
        assert_eq!(base, 258);
        assert!(decoded.iter().eq(standings.iter()));
    }

    #[test]
    fn a_header_of_another_version_says_so() {
        let mut header = encode_header(0, &PartitionMap::default());
        header[8] = 2;
        assert!(matches!(decode_header(&header), Err(HeaderError::Damaged)));
        header[16..20].fill(0);
        let crc = crc32c::crc32c(&header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(
            decode_header(&header),
            Err(HeaderError::Version { found: 2 })
        ));
    }

    proptest! {
        #[test]
        fn a_header_of_garbage_is_refused_and_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), right_magic: bool
        ) {
            let mut bytes = bytes;
            if right_magic && bytes.len() >= 12 {
                bytes[..8].copy_from_slice(MAGIC);
                bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
            }
            prop_assert!(decode_header(&bytes).is_err());
        }
    }
}
