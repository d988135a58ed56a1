//! The scenarios on the embedded log, which takes any number of handles in one process, and groups in memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::embedded::{Config, WriterHandle};
use prepx_bus::file::RealDir;
use prepx_bus::lease::{Group, Member};
use prepx_bus::{EmbeddedLog, Leases, Log, spawn_writer};
use prepx_owner::Logs;
use prepx_stage::Stage;

use crate::process::{Ground, TOPOLOGY};
use crate::scenarios;

struct Memory {
    directory: tempfile::TempDir,
    log: Arc<EmbeddedLog>,
    _writer: WriterHandle,
    groups: [Arc<Group>; 2],
    members: Vec<std::sync::Weak<Member>>,
}

fn ground() -> Memory {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        holder: "a test".into(),
        ..Config::default()
    };
    let dir = RealDir::open(&directory.path().join("log")).unwrap();
    let log = EmbeddedLog::open(dir, config).unwrap();
    let group =
        |stage: Stage| Group::new(TOPOLOGY.partitions(stage.journal), Duration::from_secs(1));
    Memory {
        directory,
        _writer: spawn_writer(Arc::clone(&log)).unwrap(),
        log,
        groups: [Stage::ACCOUNT, Stage::MATCHING].map(group),
        members: Vec::new(),
    }
}

impl Ground for Memory {
    fn logs(&self, _: &str) -> Logs {
        let log = Arc::clone(&self.log);
        Arc::new(move |_, _| Ok(Arc::clone(&log) as Arc<dyn Log>))
    }

    fn join(&mut self, stage: Stage, _: &str) -> Arc<dyn Leases> {
        let member = self.groups[usize::from(stage == Stage::MATCHING)].join();
        self.members.push(Arc::downgrade(&member));
        member
    }

    fn silence(&mut self, members: &[Arc<dyn Leases>]) {
        for member in self.members.iter().filter_map(std::sync::Weak::upgrade) {
            let same =
                |each: &Arc<dyn Leases>| std::ptr::addr_eq(Arc::as_ptr(each), Arc::as_ptr(&member));
            if members.iter().any(same) {
                member.expire();
            }
        }
    }

    /// All processes have one log here: what is appended becomes durable, as it may elsewhere.
    fn kill(&mut self, _: &str) {}

    fn snapshots(&self) -> PathBuf {
        self.directory.path().join("snapshots")
    }
}

scenarios::tests_on!(ground());
