//! From the files of a directory to a view of what is durable.
//!
//! Owns: the difference between a torn tail, which is cut off, and damage, which is refused.
//! Each frame says how far the log was synced when it was encoded, so a frame that is wrong is
//! damage if a good one behind it was encoded when it was durable already; otherwise its sync
//! never returned and nobody was told of it. Refuses: to start on a log with a hole.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::segment::{FrameError, HeaderError, Segment, find_frame};
use super::view::View;
use super::{Config, OpenError, index};
use crate::embedded::frame::Frame;
use crate::embedded::partitions::PartitionMap;
use crate::file::Dir;

/// Opens what is in `dir`, or begins a new log; everything in the answer is synced.
pub fn recover(dir: &dyn Dir, config: &Config) -> Result<View, OpenError> {
    let mut segments = open_segments(dir, config)?;
    if segments.is_empty() {
        let first = Segment::create(dir, 0, PartitionMap::default(), config.segment_bytes)?;
        segments.push_back(Arc::new(first));
    }
    let mut view = View::new(segments.clone(), config.tail_bytes);
    for (at, segment) in segments.iter().enumerate() {
        match segments.get(at + 1) {
            Some(next) => load_sealed(dir, &mut view, segment, next)?,
            None => load_last(&mut view, segment, config)?,
        }
    }
    // The process before this one may have died before it did so.
    dir.sync()?;
    Ok(view)
}

fn damaged(segment: &Segment, what: impl Into<String>) -> OpenError {
    OpenError::Damaged {
        file: Segment::name_of(segment.base),
        what: what.into(),
    }
}

/// All segments in order. A last one whose creation was never finished is removed.
fn open_segments(dir: &dyn Dir, config: &Config) -> Result<VecDeque<Arc<Segment>>, OpenError> {
    let names = dir.list()?;
    let bases: Vec<u64> = names
        .iter()
        .filter_map(|name| Segment::base_in(name))
        .collect();
    let mut segments = VecDeque::new();
    for (at, &base) in bases.iter().enumerate() {
        match Segment::open(dir, base) {
            Ok(segment) => segments.push_back(Arc::new(segment)),
            Err(HeaderError::Damaged) if at + 1 == bases.len() && (at > 0 || base == 0) => {
                remove_unfinished(dir, base, config)?;
            }
            Err(HeaderError::Io(error)) => return Err(error.into()),
            Err(HeaderError::Version { found }) => return Err(OpenError::Version { found }),
            Err(HeaderError::Damaged) => {
                let what = "the header is damaged".into();
                return Err(OpenError::Damaged {
                    file: Segment::name_of(base),
                    what,
                });
            }
        }
    }
    Ok(segments)
}

/// Frames are written to a segment after its header is synced, so one with a bad header and no
/// frame was being created when the process died. With a frame it is damaged.
fn remove_unfinished(dir: &dyn Dir, base: u64, config: &Config) -> Result<(), OpenError> {
    let name = Segment::name_of(base);
    let file = dir.open(&name)?;
    let mut bytes = vec![0; file.size()?.min(2 * config.segment_bytes) as usize];
    file.read_at(0, &mut bytes)?;
    // Where frames begin only the header knows; the first of them carries the base.
    if (0..bytes.len()).any(|at| Frame::parse(&bytes[at..], base).is_ok()) {
        return Err(OpenError::Damaged {
            file: name,
            what: "the header is damaged".into(),
        });
    }
    dir.remove(&name)?;
    Ok(dir.sync()?)
}

/// A sealed segment ends where the next begins; anything else is damage.
fn load_sealed(
    dir: &dyn Dir,
    view: &mut View,
    segment: &Arc<Segment>,
    next: &Segment,
) -> Result<(), OpenError> {
    if let Some(entries) = index::read(dir, segment.base, next.base)? {
        view.add_index(entries);
        return Ok(());
    }
    // A view of its own finds the index, and whether the frames lead to what the next says.
    let mut alone = View::new(VecDeque::from([Arc::clone(segment)]), 0);
    let mut frames = segment.frames(segment.base, next.base);
    while let Some(bytes) = frames.next().map_err(|error| frame_error(segment, error))? {
        absorb(&mut alone, segment, &bytes)?;
    }
    if alone.end != next.base {
        return Err(damaged(
            segment,
            format!("it ends at {}, not {}", alone.end, next.base),
        ));
    }
    view.add_index(alone.index_from(segment.base));
    Ok(index::write(
        dir,
        segment.base,
        next.base,
        alone.index_from(segment.base),
    )?)
}

/// The last segment ends where its frames do. What is behind is cut off, and the header and what
/// else may not have been synced is written once more: after a failed sync the kernel shows as clean what the disk
/// does not have.
fn load_last(view: &mut View, segment: &Segment, config: &Config) -> Result<(), OpenError> {
    let size = segment.file.size()?;
    let written = size.saturating_sub(segment.position_of(segment.base));
    let mut frames = segment.frames(segment.base, segment.base + written);
    let mut synced = segment.base;
    loop {
        match frames.next() {
            Ok(Some(bytes)) => synced = synced.max(absorb(view, segment, &bytes)?),
            Ok(None) => break,
            Err(FrameError::Io(error)) => return Err(error.into()),
            Err(FrameError::Invalid { address, invalid }) => {
                let rest = segment.read(address, segment.base + written - address)?;
                let behind = find_frame(&rest, address, |frame| frame.synced > address);
                match behind {
                    None => break,
                    Some(later) => {
                        let what = format!(
                            "at address {address}: {invalid}; it was durable when the frame at \
                             {later} was written"
                        );
                        return Err(damaged(segment, what));
                    }
                }
            }
        }
    }
    let end = view.end;
    segment.rewrite_header()?;
    if end > synced {
        let unsure = segment.read(synced, end - synced)?;
        segment
            .file
            .write_at(segment.position_of(synced), &unsure)?;
    }
    // Cut and lengthened again: frames of a future that never was must not be found later.
    segment.file.set_size(segment.position_of(end))?;
    segment.file.allocate(config.segment_bytes)?;
    Ok(segment.file.sync()?)
}

/// Adds a frame to the view, and says how far the log was synced when it was written.
fn absorb(view: &mut View, segment: &Segment, bytes: &[u8]) -> Result<u64, OpenError> {
    let frame =
        Frame::trust(bytes, view.end).map_err(|error| damaged(segment, error.to_string()))?;
    view.absorb(&frame).map_err(|what| damaged(segment, what))?;
    Ok(frame.synced)
}

fn frame_error(segment: &Segment, error: FrameError) -> OpenError {
    match error {
        FrameError::Io(error) => OpenError::Io(error),
        invalid => damaged(segment, invalid.to_string()),
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> OpenError {
        OpenError::Io(error)
    }
}
