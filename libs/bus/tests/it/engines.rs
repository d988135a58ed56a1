//! The embedded log as engines for the conformance suite.

use std::sync::Arc;

use prepx_bus::brokers::{self, BrokerLog, Brokers};
use prepx_bus::conformance::Engine;
use prepx_bus::embedded::{Config, EmbeddedLog, WriterHandle, spawn_writer};
use prepx_bus::faulty::FaultyDir;
use prepx_bus::file::{Dir, RealDir};
use prepx_bus::{Log, TopicPartition};

/// Small enough that every check meets full buffers, several segments and reads from disk.
pub fn small() -> Config {
    Config {
        segment_bytes: 4_096,
        buffer_bytes: 64 << 10,
        batch_bytes_max: 8 << 10,
        tail_bytes: 1_000,
        holder: "a test".into(),
        ..Config::default()
    }
}

/// On a disk in memory that loses and tears what was not synced; flushed by hand.
pub struct Faulty {
    dir: Arc<FaultyDir>,
    log: Option<Arc<EmbeddedLog>>,
    /// After how many changes to the disk the next crash comes.
    changes: u64,
}

impl Faulty {
    pub fn new(seed: u64) -> Faulty {
        Faulty {
            dir: FaultyDir::new(seed),
            log: None,
            changes: 1 + seed % 3,
        }
    }
}

impl Engine for Faulty {
    fn open(&mut self) -> Arc<dyn Log> {
        self.log = None;
        let dir: Arc<dyn Dir> = self.dir.clone();
        let log = EmbeddedLog::open(dir, small()).unwrap();
        self.log = Some(Arc::clone(&log));
        log
    }

    fn rival(&mut self) -> Arc<dyn Log> {
        self.log.clone().unwrap()
    }

    /// The power goes while the log writes what it had accepted.
    fn crash(&mut self) {
        self.dir.die_after(self.changes);
        self.changes = self.changes % 7 + 1;
        if let Some(log) = self.log.take() {
            // Whether it gets through depends on when the power goes.
            let _ = log.flush();
        }
        self.dir = self.dir.crash();
    }

    fn settle(&mut self) {
        self.log.as_ref().unwrap().flush().unwrap();
    }

    fn dense_offsets(&self) -> bool {
        true
    }

    fn buffer_bytes(&self) -> u64 {
        small().buffer_bytes
    }
}

/// On files, flushed by hand or by the writer's thread. A crash forgets what was not flushed.
pub struct Real {
    path: tempfile::TempDir,
    log: Option<Arc<EmbeddedLog>>,
    threaded: bool,
    writer: Option<WriterHandle>,
}

impl Real {
    pub fn new(threaded: bool) -> Real {
        Real {
            path: tempfile::tempdir().unwrap(),
            log: None,
            threaded,
            writer: None,
        }
    }
}

impl Engine for Real {
    fn open(&mut self) -> Arc<dyn Log> {
        self.crash();
        let log = EmbeddedLog::open(RealDir::open(self.path.path()).unwrap(), small()).unwrap();
        self.writer = self
            .threaded
            .then(|| spawn_writer(Arc::clone(&log)).unwrap());
        self.log = Some(Arc::clone(&log));
        log
    }

    fn rival(&mut self) -> Arc<dyn Log> {
        self.log.clone().unwrap()
    }

    fn crash(&mut self) {
        self.writer = None;
        self.log = None;
    }

    fn settle(&mut self) {
        if !self.threaded {
            self.log.as_ref().unwrap().flush().unwrap();
        }
    }

    fn dense_offsets(&self) -> bool {
        true
    }

    fn buffer_bytes(&self) -> u64 {
        small().buffer_bytes
    }
}

/// Brokers in memory. A crash kills every process that has a handle.
pub struct InMemory {
    brokers: Brokers,
    handles: Vec<Arc<BrokerLog>>,
}

impl InMemory {
    pub fn new(seed: u64) -> InMemory {
        let config = brokers::Config {
            partitions: |_| TopicPartition::COUNT_MAX,
            buffer_bytes: small().buffer_bytes,
            batch_bytes_max: small().batch_bytes_max,
        };
        InMemory {
            brokers: Brokers::new(seed, config),
            handles: Vec::new(),
        }
    }
}

impl Engine for InMemory {
    fn open(&mut self) -> Arc<dyn Log> {
        self.crash();
        self.rival()
    }

    fn rival(&mut self) -> Arc<dyn Log> {
        let log = self.brokers.handle();
        self.handles.push(Arc::clone(&log));
        log
    }

    /// Some of what was under way has come somewhere.
    fn crash(&mut self) {
        for _ in 0..self.handles.len() * 5 {
            self.brokers.step();
        }
        self.handles.drain(..).for_each(|log| log.kill());
    }

    /// Markers and readers may still be behind.
    fn settle(&mut self) {
        self.handles.iter().for_each(|log| log.flush());
    }

    fn dense_offsets(&self) -> bool {
        false
    }

    fn buffer_bytes(&self) -> u64 {
        small().buffer_bytes
    }
}
