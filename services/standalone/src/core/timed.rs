//! The log's directory with metrics of its disk: how long writes and syncs take, and how much is written. Every
//! acknowledged order waits for one of these syncs.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Histogram};
use prepx_bus::file::{Dir, File, Lock, LockError};
use prepx_env::Clock;

/// A directory whose files are timed.
pub struct Timed {
    dir: Arc<dyn Dir>,
    watch: Watch,
}

#[derive(Clone)]
struct Watch {
    clock: Arc<dyn Clock>,
    write_seconds: Histogram,
    sync_seconds: Histogram,
    bytes: Counter,
}

struct TimedFile {
    file: Arc<dyn File>,
    watch: Watch,
}

impl Timed {
    /// The directory of the event log.
    pub fn dir(dir: Arc<dyn Dir>, clock: &Arc<dyn Clock>) -> Arc<dyn Dir> {
        let watch = Watch {
            clock: Arc::clone(clock),
            write_seconds: metrics::histogram!("prepx_log_write_seconds"),
            sync_seconds: metrics::histogram!("prepx_log_sync_seconds"),
            bytes: metrics::counter!("prepx_log_written_bytes_total"),
        };
        Arc::new(Timed { dir, watch })
    }

    fn file(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        let watch = self.watch.clone();
        Arc::new(TimedFile { file, watch })
    }
}

impl Watch {
    fn took<T>(&self, seconds: &Histogram, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let began: Duration = self.clock.monotonic();
        let done = work();
        seconds.record(self.clock.monotonic().saturating_sub(began));
        done
    }
}

impl Dir for Timed {
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.dir.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.dir.open(name)?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.dir.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.dir.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.dir.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.dir.sync()
    }

    fn lock(&self, holder: &str) -> Result<Lock, LockError> {
        self.dir.lock(holder)
    }
}

impl File for TimedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(at, buffer)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.watch.bytes.increment(bytes.len() as u64);
        let write = || self.file.write_at(at, bytes);
        self.watch.took(&self.watch.write_seconds, write)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_size(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.file.allocate(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.watch
            .took(&self.watch.sync_seconds, || self.file.sync())
    }
}
