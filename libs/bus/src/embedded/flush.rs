//! Writes and syncs accepted frames, and begins a new segment when one is full.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::segment::Segment;
use super::{EmbeddedLog, frame, index, lock, read, write};
use crate::{Log, Poisoned, Position};

/// The written end of the log: the segment that frames go to.
pub struct Back {
    pub segment: Arc<Segment>,
    /// The address of the next frame.
    pub address: u64,
}

impl EmbeddedLog {
    /// Writes and syncs everything that has been accepted, in one go, and moves the watermark.
    /// Any failure is for good: what the disk holds then is known only after a restart.
    pub fn flush(&self) -> Result<Position, Poisoned> {
        let mut back = lock(&self.back);
        self.check_alive()?;
        let frames = lock(&self.front).buffer.split().freeze();
        self.write_out(&mut back, frames)
            .map_err(|what| self.poison(&what))?;
        Ok(self.durable())
    }

    fn write_out(&self, back: &mut Back, mut frames: Bytes) -> Result<(), String> {
        while !frames.is_empty() {
            let fitting = self.fitting(back, &frames);
            if fitting == 0 {
                self.roll(back)
                    .map_err(|error| format!("a new segment: {error}"))?;
                continue;
            }
            let part = frames.split_to(fitting);
            let position = back.segment.position_of(back.address);
            back.segment
                .file
                .write_at(position, &part)
                .and_then(|()| back.segment.file.sync())
                .map_err(|error| {
                    format!("writing {}: {error}", Segment::name_of(back.segment.base))
                })?;
            back.address += part.len() as u64;
            write(&self.view).publish(part)?;
            self.watermark.advance(Position(back.address));
        }
        Ok(())
    }

    /// How many bytes of whole frames fit into the segment; a frame always fits into an empty one.
    fn fitting(&self, back: &Back, frames: &[u8]) -> usize {
        let position = back.segment.position_of(back.address);
        let room = self.config.segment_bytes.saturating_sub(position) as usize;
        if frames.len() <= room {
            return frames.len();
        }
        let mut fitting = 0;
        while fitting < frames.len() {
            let size = frame::u32_at(frames, fitting) as usize;
            let alone = fitting == 0 && back.address == back.segment.base;
            if fitting + size > room && !alone {
                break;
            }
            fitting += size;
        }
        fitting
    }

    /// Seals the segment and begins the next. Everything in the old one is synced already, so
    /// that only the last segment of a log can have a torn tail.
    fn roll(&self, back: &mut Back) -> io::Result<()> {
        let (base, end) = (back.segment.base, back.address);
        // Space that was reserved and not used goes back; nothing depends on when.
        back.segment.file.set_size(back.segment.position_of(end))?;
        let standings = {
            let view = read(&self.view);
            index::write(&*self.dir, base, end, view.index_from(base))?;
            view.standings()
        };
        let next = Segment::create(&*self.dir, end, standings, self.config.segment_bytes)?;
        back.segment = Arc::new(next);
        write(&self.view)
            .segments
            .push_back(Arc::clone(&back.segment));
        Ok(())
    }
}
