//! The updates of accounts by the archives and segments of a log, from its signed checkpoint on, whether somebody
//! writes to it or not.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use prepx_bus::embedded::archive;
use prepx_bus::file::Dir;
use prepx_bus::{EmbeddedLog, Record, Topic, TopicPartition};
use prepx_stage::port::{ReadError, UpdatesPort};

use super::{checkpoint, past};

/// The log of a data directory.
pub struct RecordedUpdates {
    /// The log's directory.
    pub dir: Arc<dyn Dir>,
    /// Where the key is by which checkpoints are signed.
    pub data_dir: PathBuf,
    /// The log.
    pub log: Arc<EmbeddedLog>,
}

impl RecordedUpdates {
    fn read(&self, seen: &mut dyn FnMut(TopicPartition, &Record)) -> Result<()> {
        let dir = &*self.dir;
        let checkpoint = checkpoint::read(dir, &self.data_dir)?;
        let mut address = checkpoint.map_or(0, |checkpoint| checkpoint.past.address);
        let mut each = |from: TopicPartition, record: Record| {
            if from.topic == Topic::PortfolioUpdates {
                seen(from, &record);
            }
        };
        loop {
            // While archives are read others are made of segments that are gone then.
            let archives = past::behind(dir, (address, self.log.first_address()))?;
            if archives.is_empty() {
                break;
            }
            for archive in archives {
                let read = archive::read(dir, &archive, &mut each);
                read.context("was it dropped meanwhile? try again")?;
                address = archive.end;
            }
        }
        Ok(self.log.scan(address, each)?)
    }
}

impl UpdatesPort for RecordedUpdates {
    fn each_record(&self, seen: &mut dyn FnMut(TopicPartition, &Record)) -> Result<(), ReadError> {
        let read = self.read(seen);
        read.map_err(|error| ReadError::Unavailable(format!("the event log: {error:#}")))
    }
}
