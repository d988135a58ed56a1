//! Segments that the log needs no more, compressed for whoever wants the history.
//!
//! An archive is the frames of one segment as an LZ4 frame (`lz4 -d` reads it), in the log's own
//! directory or wherever it was moved since. Owns: writing, reading and dropping archives.
//! Refuses: to archive damage, and to believe an archive whose checksums are wrong.

use std::io::{self, Read, Write};

use bytes::Bytes;
use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::frame::Frame;
use super::segment::Segment;
use crate::file::Dir;
use crate::{ReadError, Record, TopicPartition};

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

impl Archive {
    /// The name of its file, which says from where to where it goes.
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

/// Gives every record of an archive to `each`, in the order of the log.
pub fn read(
    dir: &dyn Dir,
    archive: &Archive,
    mut each: impl FnMut(TopicPartition, Record),
) -> Result<(), ReadError> {
    let mut compressed = vec![0; archive.size_bytes as usize];
    dir.open(&archive.name())?.read_at(0, &mut compressed)?;
    let damaged = |what: String| ReadError::Damaged(format!("{}: {what}", archive.name()));
    let mut frames = Vec::new();
    // LZ4 gives at most 255 bytes for one, so the size of the file bounds what this makes.
    FrameDecoder::new(&compressed[..])
        .read_to_end(&mut frames)
        .map_err(|error| damaged(error.to_string()))?;
    // The decoder takes a file that was cut off between blocks for a whole one.
    if frames.len() as u64 != archive.end - archive.base {
        return Err(damaged(format!("it has {} bytes of frames", frames.len())));
    }
    let (frames, mut at) = (Bytes::from(frames), 0);
    while at < frames.len() {
        let frame = Frame::parse(&frames[at..], archive.base + at as u64)
            .map_err(|invalid| damaged(invalid.to_string()))?;
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

/// Removes the archives that end at or before an address, the oldest first, so that whatever ends the
/// process those that are left follow each other; what was removed.
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
    let info = FrameInfo::new()
        .block_size(BlockSize::Max1MB)
        .content_checksum(true);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    let mut frames = segment.frames(segment.base, end);
    while let Some(bytes) = frames.next().map_err(io::Error::other)? {
        encoder.write_all(&bytes)?;
    }
    let compressed = encoder.finish().map_err(io::Error::other)?;
    // A process that died here before has left its half.
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
