//! Reads the log from the disk, frame by frame, for verification.
//!
//! Segments are read whole, including records that retention has already released. Refuses: damage.

use std::sync::Arc;

use bytes::Bytes;

use super::frame::Frame;
use super::gather::damaged;
use super::segment::Segment;
use super::{EmbeddedLog, read};
use crate::{ReadError, Record, TopicPartition};

impl EmbeddedLog {
    /// Reads every durable frame that is still there and checks it; the number of frames.
    pub fn check(&self) -> Result<u64, ReadError> {
        let mut count = 0;
        self.frames(0, |_, _| count += 1)?;
        Ok(count)
    }

    /// The address of the first frame that is still in a segment: what was before is archived, or
    /// gone.
    pub fn first_address(&self) -> u64 {
        let view = read(&self.view);
        view.segments.front().map_or(view.end, |first| first.base)
    }

    /// Gives every durable record that stands in a segment at or after an address, the start of a
    /// frame, to `each`, in the order of the log.
    pub fn scan(
        &self,
        from: u64,
        mut each: impl FnMut(TopicPartition, Record),
    ) -> Result<(), ReadError> {
        self.frames(from, |frame, bytes| {
            for record in frame.records() {
                let payload = bytes.slice(record.payload.clone());
                let offset = record.offset;
                each(record.to, Record { offset, payload });
            }
        })
    }

    fn frames(&self, from: u64, mut each: impl FnMut(&Frame<'_>, &Bytes)) -> Result<(), ReadError> {
        let (segments, end): (Vec<Arc<Segment>>, u64) = {
            let view = read(&self.view);
            (view.segments.iter().cloned().collect(), view.end)
        };
        for (at, segment) in segments.iter().enumerate() {
            let end = segments.get(at + 1).map_or(end, |next| next.base);
            let begin = segment.base.max(from);
            if begin >= end {
                continue;
            }
            let mut frames = segment.frames(begin, end);
            loop {
                let address = frames.address;
                let next = frames.next().map_err(|error| damaged(segment, error))?;
                let Some(bytes) = next else { break };
                let frame = Frame::trust(&bytes, address)
                    .map_err(|error| ReadError::Damaged(error.to_string()))?;
                each(&frame, &bytes);
            }
        }
        Ok(())
    }
}
