//! How the core runs, and why it could not be opened.

use std::io;
use std::path::{Path, PathBuf};

use prepx_bus::embedded;
use prepx_stage::{KeeperError, Pace};
use prepx_trading::domain::calendar::ParseError;

use super::manifest;
use crate::disk::Shares;

/// How the core runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is: the log, the snapshots, the manifest. Made if it is not there.
    pub data_dir: PathBuf,
    /// Bounds of the log; `holder` is what a second process is told.
    pub log: embedded::Config,
    /// Most commands that may be under way.
    pub commands_max: usize,
    /// Most reads that may be under way.
    pub reads_max: usize,
    /// When a snapshot is due.
    pub snapshots: Pace,
    /// How the disk is shared out, when the oldest of the log is to be dropped beyond it.
    pub bound: Option<Shares>,
}

impl Options {
    /// The defaults for a data directory.
    pub fn new(data_dir: &Path) -> Options {
        Options {
            data_dir: data_dir.to_owned(),
            log: embedded::Config {
                // What a decision causes is taken in parts, but the stops that one trade triggers all
                // queue at once: this holds a million of them.
                batch_bytes_max: 64 << 20,
                buffer_bytes: 64 << 20,
                retention: embedded::Retention::Archive,
                ..embedded::Config::default()
            },
            commands_max: 16_384,
            reads_max: 4_096,
            snapshots: Pace::default(),
            bound: None,
        }
    }

    /// The same within a bound on the disk.
    #[must_use]
    pub fn within(mut self, shares: Shares) -> Options {
        self.log.segment_bytes = shares.segment_bytes;
        self.snapshots.log_bytes = shares.snapshot_bytes;
        self.bound = Some(shares);
        self
    }
}

/// Why the core could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error("the data directory {path}: {source}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] embedded::OpenError),
    /// A stage cannot be taken over.
    #[error(transparent)]
    Stage(#[from] prepx_stage::Error),
    /// The sessions of the exchange are not known.
    #[error("the exchange's calendar: {0}")]
    Calendar(#[from] ParseError),
    /// The snapshots cannot be read.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// No thread can be had.
    #[error("a thread of the core could not be started: {0}")]
    Thread(io::Error),
}
