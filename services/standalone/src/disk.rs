//! The size bound of a simulated market's data: how it is divided, and the dropping of the log's oldest
//! archives behind a signed checkpoint.
//!
//! A platform without simulated traders keeps everything: segments that are no longer needed are archived.
//! With simulated traders the oldest archives are dropped. Refuses to drop what is not in a signed
//! checkpoint, and any row of a real account. If the process ends between two steps, the rest is complete.

pub mod checkpoint;
mod past;
#[cfg(test)]
mod tests;
mod updates;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use prepx_bus::embedded::archive;
use prepx_bus::file::Dir;
use prepx_env::Clock;
use prepx_stage::Topology;

pub use past::Past;
pub use updates::RecordedUpdates;

/// The log's directory in the data directory.
pub const LOG: &str = "log";
/// The least bound: below it a log would have only incomplete segments.
pub const BYTES_MIN: u64 = 16 << 20;

/// About the size of a journal record with everything that follows from it.
const RECORD_BYTES: u64 = 1_024;

/// The parts of the bound. The rest of it is for snapshots, the audit and the users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The whole bound.
    pub bytes_max: u64,
    /// Segments and archives of the log.
    pub log_bytes_max: u64,
    /// One segment.
    pub segment_bytes: u64,
    /// The most that the log may grow between two snapshots, which hold on to it.
    pub snapshot_bytes: u64,
    /// The ledger and the order history.
    pub portfolio_bytes_max: u64,
    /// Trades, quotes and bars.
    pub market_data_bytes_max: u64,
}

impl Shares {
    /// The parts of a bound of this many bytes.
    pub fn of(bytes_max: u64) -> Shares {
        Shares {
            bytes_max,
            log_bytes_max: bytes_max / 2,
            segment_bytes: (bytes_max / 64).clamp(256 << 10, 64 << 20),
            snapshot_bytes: (bytes_max / 32).clamp(512 << 10, 512 << 20),
            portfolio_bytes_max: bytes_max / 4,
            market_data_bytes_max: bytes_max / 8,
        }
    }

    /// How often the audit signs; what no root covers is kept.
    pub fn audit(self, usual: prepx_analytics::Pace) -> prepx_analytics::Pace {
        prepx_analytics::Pace {
            records: usual.records.min(self.snapshot_bytes / RECORD_BYTES),
            ..usual
        }
    }
}

/// The size of a file, or of everything in a directory; what is removed meanwhile counts as nothing.
fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    };
    let entries = entries.filter_map(std::result::Result::ok);
    entries.map(|entry| size(&entry.path())).sum()
}

/// Drops the oldest archives of a log.
pub struct Dropper {
    /// The log's directory.
    pub dir: Arc<dyn Dir>,
    /// The directory of the key that signs.
    pub data_dir: PathBuf,
    /// The number of journals.
    pub topology: Topology,
    /// The bounds of the log, and of everything together.
    pub shares: Shares,
    /// The clock for the time of checkpoints.
    pub clock: Arc<dyn Clock>,
}

impl Dropper {
    /// When segments and archives exceed their bound: signs a checkpoint of the oldest archives and drops
    /// them, down to seven eighths of the bound, so that one checkpoint covers several.
    ///
    /// # Errors
    /// When something cannot be read or written, or does not follow. Then nothing is dropped that is not in
    /// a checkpoint.
    pub fn look(&self) -> Result<()> {
        let room = self.room()?;
        if self.bytes()? <= room {
            return Ok(());
        }
        let dir = &*self.dir;
        let before = checkpoint::read(dir, &self.data_dir)?;
        let mut past = Past::since(before.as_ref(), self.topology);
        // A process that died between the two steps has left archives that its checkpoint covers.
        archive::drop_before(dir, past.address)?;
        let (covered, mut total) = (past.address, self.bytes()?);
        for archive in archive::list(dir)? {
            if total <= room / 8 * 7 {
                break;
            }
            past.take_archive(dir, &archive, |_, _| Ok(()))?;
            total = total.saturating_sub(archive.size_bytes);
        }
        if past.address > covered {
            checkpoint::write(
                dir,
                &self.data_dir,
                before.as_ref(),
                self.clock.now(),
                &past,
            )?;
            let dropped = archive::drop_before(dir, past.address)?;
            tracing::info!(
                archives = dropped.len(),
                address = past.address,
                "the oldest of the simulated market was dropped behind a signed checkpoint"
            );
        }
        Ok(())
    }

    /// The size that the log may have now: its part, or what the rest of the data directory leaves of the
    /// whole bound, less an eighth, which may be written until the next check.
    fn room(&self) -> Result<u64> {
        let mut rest = 0;
        for entry in std::fs::read_dir(&self.data_dir)? {
            let entry = entry?;
            if entry.file_name() != LOG {
                rest += size(&entry.path());
            }
        }
        let left = (self.shares.bytes_max / 8 * 7).saturating_sub(rest);
        Ok(left.min(self.shares.log_bytes_max))
    }

    /// The size of the log.
    fn bytes(&self) -> Result<u64> {
        let mut total = 0;
        for name in self.dir.list()? {
            // What another thread removes meanwhile counts as nothing.
            match self.dir.open(&name) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                file => total += file?.size()?,
            }
        }
        Ok(total)
    }
}
