//! Segments that the log no longer needs, compressed.
//!
//! An archive is the frames of one segment as an LZ4 frame (`lz4 -d` reads it), in the log's own
//! directory or wherever it was moved since. Records of one partition that come from another engine are kept in the
//! same form ([`pack`]), as a log of their own would have them. Owns: writing, reading and dropping archives.
//! Refuses: to archive damage, and to believe an archive whose checksums are wrong.

use std::io::{self, Read, Write};

use bytes::{Bytes, BytesMut};
use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::frame::{self, Frame, Stamp};
use super::segment::Segment;
use crate::file::Dir;
use crate::{Batch, ReadError, Record, TopicPartition};

/// A compressed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The address of its first frame.
    pub base: u64,
    /// The address after its last frame: the base of the archive or segment that comes next.
    pub end: u64,
    /// The size of the file.
    pub size_bytes: u64,
}

const SUFFIX: &str = ".seg.lz4";
const TEMPORARY: &str = "archive.tmp";
/// The approximate size of the frames into which records are packed.
const FRAME_BYTES: usize = 1 << 20;

impl Archive {
    /// The name of its file, which has the addresses of its beginning and end.
    pub fn name(&self) -> String {
        format!("{:020}-{:020}{SUFFIX}", self.base, self.end)
    }

    fn from_name(name: &str) -> Option<Archive> {
        let (base, end) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let archive = Archive {
            base: base.parse().ok()?,
            end: end.parse().ok()?,
            size_bytes: 0,
        };
        (archive.name() == name && archive.base < archive.end).then_some(archive)
    }
}

/// The archives in a directory, oldest first.
pub fn list(dir: &dyn Dir) -> io::Result<Vec<Archive>> {
    let mut archives = Vec::new();
    for name in dir.list()? {
        if let Some(archive) = Archive::from_name(&name) {
            let size_bytes = dir.open(&name)?.size()?;
            archives.push(Archive {
                size_bytes,
                ..archive
            });
        }
    }
    Ok(archives)
}

/// Calls `each` with every record of an archive, in the order of the log.
pub fn read(
    dir: &dyn Dir,
    archive: &Archive,
    mut each: impl FnMut(TopicPartition, Record),
) -> Result<(), ReadError> {
    let mut compressed = vec![0; archive.size_bytes as usize];
    dir.open(&archive.name())?.read_at(0, &mut compressed)?;
    let damaged = |what: String| ReadError::Damaged(format!("{}: {what}", archive.name()));
    let frames = decompress(&compressed).map_err(damaged)?;
    // The decoder does not notice if a file was cut off between two blocks.
    if frames.len() as u64 != archive.end - archive.base {
        return Err(damaged(format!("it has {} bytes of frames", frames.len())));
    }
    each_record(&frames, archive.base, &mut each).map_err(damaged)
}

fn decompress(compressed: &[u8]) -> Result<Bytes, String> {
    let mut frames = Vec::new();
    // LZ4 gives at most 255 bytes for one, so the size of what is read bounds what this makes.
    FrameDecoder::new(compressed)
        .read_to_end(&mut frames)
        .map_err(|error| error.to_string())?;
    Ok(Bytes::from(frames))
}

/// The records of frames of which the first has the address `base`.
fn each_record(
    frames: &Bytes,
    base: u64,
    each: &mut impl FnMut(TopicPartition, Record),
) -> Result<(), String> {
    let mut at = 0;
    while at < frames.len() {
        let frame = Frame::parse(&frames[at..], base + at as u64);
        let frame = frame.map_err(|invalid| invalid.to_string())?;
        for record in frame.records() {
            let payload = frames.slice(at + record.payload.start..at + record.payload.end);
            each(
                record.to,
                Record {
                    offset: record.offset,
                    payload,
                },
            );
        }
        at += frame.size_bytes();
    }
    Ok(())
}

/// Consecutive records of a partition as the bytes of an archive, whose first frame has the address 0.
pub fn pack(partition: TopicPartition, records: &[Record]) -> io::Result<Vec<u8>> {
    let (mut encoder, mut frame, mut synced) = (encoder(), BytesMut::new(), 0);
    let mut left = records;
    while !left.is_empty() {
        let (mut batch, mut offsets) = (Batch::new(), Vec::new());
        for record in left {
            if !batch.is_empty() && batch.payload_bytes() + record.payload.len() > FRAME_BYTES {
                break;
            }
            batch.push(partition, &record.payload);
            offsets.push(record.offset);
        }
        left = &left[offsets.len()..];
        let (address, mut offsets) = (synced, offsets.into_iter());
        let stamp = Stamp {
            address,
            synced,
            owner: None,
        };
        frame.clear();
        frame::encode_batch(&mut frame, stamp, &batch, |_| offsets.next().unwrap_or(0));
        synced += frame.len() as u64;
        encoder.write_all(&frame)?;
    }
    encoder.finish().map_err(io::Error::other)
}

/// Calls `each` with every record in the bytes from [`pack`]. The caller must know whether records are missing at the
/// end: bytes that were cut off between two blocks look complete.
///
/// # Errors
/// What is wrong with the bytes.
pub fn unpack(packed: &[u8], mut each: impl FnMut(TopicPartition, Record)) -> Result<(), String> {
    each_record(&decompress(packed)?, 0, &mut each)
}

fn encoder() -> FrameEncoder<Vec<u8>> {
    let info = FrameInfo::new()
        .block_size(BlockSize::Max1MB)
        .content_checksum(true);
    FrameEncoder::with_frame_info(info, Vec::new())
}

/// Removes the archives that end at or before an address, oldest first, so that the rest has no gaps even
/// if the process ends in between; returns what was removed.
pub fn drop_before(dir: &dyn Dir, address: u64) -> io::Result<Vec<Archive>> {
    let mut old = list(dir)?;
    old.retain(|archive| archive.end <= address);
    for archive in &old {
        dir.remove(&archive.name())?;
        dir.sync()?;
    }
    Ok(old)
}

/// Compresses a segment that ends at `end`, durably; the segment itself stays.
pub(super) fn write(dir: &dyn Dir, segment: &Segment, end: u64) -> io::Result<()> {
    let mut encoder = encoder();
    let mut frames = segment.frames(segment.base, end);
    while let Some(bytes) = frames.next().map_err(io::Error::other)? {
        encoder.write_all(&bytes)?;
    }
    let compressed = encoder.finish().map_err(io::Error::other)?;
    // A process that died here before has left an incomplete file.
    match dir.remove(TEMPORARY) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = dir.create(TEMPORARY)?;
    file.write_at(0, &compressed)?;
    file.sync()?;
    let archive = Archive {
        base: segment.base,
        end,
        size_bytes: compressed.len() as u64,
    };
    dir.rename(TEMPORARY, &archive.name())?;
    dir.sync()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Topic;

    const OF: TopicPartition = TopicPartition {
        topic: Topic::AccountJournal,
        partition: 3,
    };

    fn unpacked(packed: &[u8]) -> Result<Vec<Record>, String> {
        let mut records = Vec::new();
        unpack(packed, |of, record| {
            assert_eq!(of, OF);
            records.push(record);
        })?;
        Ok(records)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Offsets may have holes, and records are larger than a frame together.
        #[test]
        fn what_is_packed_is_unpacked_and_no_damage_is_believed(
            sizes in prop::collection::vec((1_u64..5, 0_usize..700_000), 1..12),
            at in any::<prop::sample::Index>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut offset = 100;
            let mut record = |(step, size): (u64, usize)| {
                offset += step;
                let payload = Bytes::from(vec![size as u8; size]);
                Record { offset, payload }
            };
            let records: Vec<Record> = sizes.into_iter().map(&mut record).collect();
            let mut packed = pack(OF, &records).unwrap();
            prop_assert!(unpacked(&packed) == Ok(records.clone()));
            // Cut off between two blocks it may look whole; then records are missing at its end.
            if let Ok(found) = unpacked(&packed[..cut.index(packed.len())]) {
                prop_assert!(found.len() < records.len() || found == records);
            }
            let at = at.index(packed.len());
            packed[at] ^= 4;
            // Damage may also change nothing: a match at another distance in repeated bytes.
            if let Ok(found) = unpacked(&packed) {
                prop_assert!(found == records);
            }
        }
    }
}
