//! Collecting records for a reader from frames in memory or on disk, while no lock is held: the writer waits for the view.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::frame::Frame;
use super::segment::{FrameError, Segment};
use crate::{ReadError, Record, TopicPartition};

/// The records collected so far for one read, and what is still wanted.
pub struct Gather {
    partition: TopicPartition,
    /// The next offset wanted.
    pub want: u64,
    /// No offset from here on is wanted.
    pub until: u64,
    left_bytes: usize,
    pub records: Vec<Record>,
}

impl Gather {
    pub fn new(partition: TopicPartition, from: u64, until: u64, max_bytes: usize) -> Gather {
        Gather {
            partition,
            want: from,
            until,
            left_bytes: max_bytes,
            records: Vec::new(),
        }
    }

    /// Takes the wanted records of a frame; `payload` makes their bytes from a range of the frame. Returns false when
    /// nothing more is wanted.
    pub fn take(&mut self, frame: &Frame<'_>, payload: impl Fn(Range<usize>) -> Bytes) -> bool {
        for record in frame.records() {
            if record.to != self.partition || record.offset != self.want {
                continue;
            }
            let size = record.payload.len();
            if self.want >= self.until || (size > self.left_bytes && !self.records.is_empty()) {
                self.until = self.want;
                return false;
            }
            self.records.push(Record {
                offset: record.offset,
                payload: payload(record.payload),
            });
            self.left_bytes = self.left_bytes.saturating_sub(size);
            self.want += 1;
        }
        self.want < self.until
    }
}

/// Where to look for records.
pub enum Place {
    /// In memory.
    Tail(TailSpan),
    /// On disk.
    Disk(Span),
}

/// Frames in memory that may hold the records.
pub struct TailSpan {
    pub blocks: Vec<Block>,
    /// The frame to begin with.
    pub address: u64,
    /// No frame from this address on needs to be looked at.
    pub stop: u64,
}

impl TailSpan {
    /// Takes the wanted records.
    pub fn gather(&self, gather: &mut Gather) {
        let mut at = self.address;
        for block in &self.blocks {
            while at < block.address + block.frames.len() as u64 {
                let frame_at = (at - block.address) as usize;
                let Ok(frame) = Frame::trust(&block.frames[frame_at..], at) else {
                    unreachable!("blocks hold whole frames that were absorbed");
                };
                let payload = |range: Range<usize>| {
                    block
                        .frames
                        .slice(frame_at + range.start..frame_at + range.end)
                };
                if at >= self.stop || !gather.take(&frame, payload) {
                    return;
                }
                at = frame.end();
            }
        }
    }
}

/// Whole frames, as they were written in one go. Cheap to clone.
#[derive(Clone)]
pub struct Block {
    pub address: u64,
    pub frames: Bytes,
}

/// A part of a segment on disk that may hold the records.
pub struct Span {
    pub segment: Arc<Segment>,
    /// The frame to begin with.
    pub address: u64,
    /// No frame from this address on needs to be looked at.
    pub stop: u64,
    /// The end of the readable part of the segment; above `stop` if a frame straddles that.
    pub end: u64,
}

impl Span {
    /// Reads the frames and takes the wanted records.
    pub fn gather(&self, gather: &mut Gather) -> Result<(), ReadError> {
        let before = gather.want;
        let frames = self.segment.frames(self.address, self.end);
        let mut frames = frames.before(self.stop);
        while frames.address < self.stop {
            let address = frames.address;
            let Some(bytes) = frames
                .next()
                .map_err(|error| damaged(&self.segment, error))?
            else {
                break;
            };
            let frame = Frame::trust(&bytes, address)
                .map_err(|error| ReadError::Damaged(error.to_string()))?;
            // A copy: a record that is kept would keep all that was read around it.
            let payload = |range: Range<usize>| Bytes::copy_from_slice(&bytes[range]);
            if !gather.take(&frame, payload) {
                break;
            }
        }
        if gather.want == before && gather.want < gather.until {
            let name = Segment::name_of(self.segment.base);
            return Err(ReadError::Damaged(format!(
                "{name} lacks offset {}",
                gather.want
            )));
        }
        Ok(())
    }
}

/// The error of a reader for frames that cannot be read back.
pub fn damaged(segment: &Segment, error: FrameError) -> ReadError {
    match error {
        FrameError::Io(error) => ReadError::Io(error),
        invalid => ReadError::Damaged(format!("{}: {invalid}", Segment::name_of(segment.base))),
    }
}
