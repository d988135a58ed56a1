//! The file beside a sealed segment that saves reading it at start.
//!
//! It holds nothing that the segment does not say: it is never synced, and one that is missing
//! or damaged is made again. Little-endian: CRC32C of the rest 4, end address of the segment 8,
//! then a partition's topic 2 and number 4, offset 8, address 8 for each entry.

use std::io;

use super::frame::{partition_of, u16_at, u32_at, u64_at};
use super::view::Entry;
use crate::TopicPartition;
use crate::file::Dir;

const FIXED_BYTES: usize = 12;
const ENTRY_BYTES: usize = 22;

/// The name of the index of the segment with this base.
pub fn name_of(base: u64) -> String {
    format!("{base:020}.idx")
}

/// Writes the index of the segment from `base` to `end`, over one that may be there.
pub fn write(
    dir: &dyn Dir,
    base: u64,
    end: u64,
    entries: impl Iterator<Item = (TopicPartition, Entry)>,
) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&end.to_le_bytes());
    for (at, entry) in entries {
        bytes.extend_from_slice(&at.topic.code().to_le_bytes());
        bytes.extend_from_slice(&at.partition.to_le_bytes());
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
        bytes.extend_from_slice(&entry.address.to_le_bytes());
    }
    let crc = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    match dir.remove(&name_of(base)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => dir.create(&name_of(base))?.write_at(0, &bytes),
    }
}

/// Reads the index of the segment from `base` to `end`; none if there is no good one.
pub fn read(
    dir: &dyn Dir,
    base: u64,
    end: u64,
) -> io::Result<Option<Vec<(TopicPartition, Entry)>>> {
    let file = match dir.open(&name_of(base)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = vec![0; file.size()? as usize];
    file.read_at(0, &mut bytes)?;
    Ok(decode(&bytes, base, end))
}

fn decode(bytes: &[u8], base: u64, end: u64) -> Option<Vec<(TopicPartition, Entry)>> {
    if bytes.len() < FIXED_BYTES
        || crc32c::crc32c(&bytes[4..]) != u32_at(bytes, 0)
        || u64_at(bytes, 4) != end
    {
        return None;
    }
    let entries = bytes[FIXED_BYTES..].chunks_exact(ENTRY_BYTES);
    if !entries.remainder().is_empty() {
        return None;
    }
    entries
        .map(|entry| {
            let at = partition_of(u16_at(entry, 0), u32_at(entry, 2))?;
            let entry = Entry {
                offset: u64_at(entry, 6),
                address: u64_at(entry, 14),
            };
            (base..end).contains(&entry.address).then_some((at, entry))
        })
        .collect()
}
