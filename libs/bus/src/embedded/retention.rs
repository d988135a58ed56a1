//! Giving back the space of segments in which nobody needs anything.
//!
//! Segments go from the oldest on, whole, one at a time, each change synced before the next:
//! if a power loss brought back an older segment than one that stays away, the log would have a
//! hole. Refuses: to remove what it was to archive and could not.

use std::io;

use super::{EmbeddedLog, Retention, archive, index, lock, read, write};
use crate::embedded::segment::Segment;
use crate::{Log, Poisoned, TopicPartition};

impl EmbeddedLog {
    /// See [`Log::truncate_before`]. Compresses on the caller's thread: for each segment that
    /// goes a read of it and some hundred milliseconds.
    pub(super) fn retain_from(
        &self,
        partition: TopicPartition,
        offset: u64,
    ) -> Result<(), Poisoned> {
        let _one_at_a_time = lock(&self.retention);
        self.check_alive()?;
        if self.end(partition) > 0 {
            write(&self.view).truncate(partition, offset);
        }
        loop {
            let unneeded = read(&self.view).unneeded();
            let Some((segment, end)) = unneeded else {
                return Ok(());
            };
            self.retire(&segment, end).map_err(|error| {
                let name = Segment::name_of(segment.base);
                self.poison(&format!("retention of {name}: {error}"))
            })?;
        }
    }

    fn retire(&self, segment: &Segment, end: u64) -> io::Result<()> {
        if self.config.retention == Retention::Archive {
            archive::write(&*self.dir, segment, end)?;
        }
        write(&self.view).forget_oldest();
        self.dir.remove(&Segment::name_of(segment.base))?;
        self.dir.sync()?;
        match self.dir.remove(&index::name_of(segment.base)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
