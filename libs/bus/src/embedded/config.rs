//! The bounds of the embedded log, and why it may refuse to open.

use std::io;

use super::segment;
use crate::file::LockError;

/// The bounds of the embedded log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The size of a segment file; space is reserved and given back in these steps.
    pub segment_bytes: u64,
    /// What may be accepted and not yet durable; beyond it [`AppendError::Full`].
    pub buffer_bytes: u64,
    /// The largest batch, with its framing.
    pub batch_bytes_max: u64,
    /// The newest durable frames that are kept in memory, so that followers do not read the disk.
    pub tail_bytes: usize,
    /// What becomes of segments that nobody needs any more.
    pub retention: Retention,
    /// What a second process that wants the directory is told, such as
    /// `pid 4711, started 2026-11-21T03:00:00Z`.
    pub holder: String,
}

/// What becomes of a segment in which no partition needs anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// It is removed.
    Remove,
    /// It is compressed into an [`archive`](super::archive) first.
    Archive,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            segment_bytes: 64 << 20,
            buffer_bytes: 32 << 20,
            batch_bytes_max: 4 << 20,
            tail_bytes: 16 << 20,
            retention: Retention::Remove,
            holder: format!("pid {}", std::process::id()),
        }
    }
}

impl Config {
    pub(super) fn validate(&self) -> Result<(), OpenError> {
        let too_small = |name, value, least| {
            Err(OpenError::Config(format!(
                "{name} is {value}; it must be at least {least}"
            )))
        };
        if self.buffer_bytes < self.batch_bytes_max {
            return too_small("buffer_bytes", self.buffer_bytes, self.batch_bytes_max);
        }
        // Lengths and distances within what is buffered are 32-bit numbers in a frame.
        if self.buffer_bytes > 1 << 30 {
            let value = self.buffer_bytes;
            return Err(OpenError::Config(format!(
                "buffer_bytes is {value}; at most 1 GiB"
            )));
        }
        match self.segment_bytes < 4_096 {
            true => too_small("segment_bytes", self.segment_bytes, 4_096),
            false => Ok(()),
        }
    }
}

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration cannot work.
    #[error("the event log's {0}")]
    Config(String),
    /// Somebody else has the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What was durable does not read back as it was written. Nothing has been changed.
    #[error("the event log is damaged in {file}: {what}; restore the file from a copy")]
    Damaged {
        /// The segment.
        file: String,
        /// What is wrong in it.
        what: String,
    },
    /// Another version of the program wrote it.
    #[error("the event log is of format {found}; this program reads {reads}", reads = segment::VERSION)]
    Version {
        /// The format that was found.
        found: u32,
    },
    /// The operating system said no.
    #[error("cannot open the event log: {0}")]
    Io(io::Error),
}
