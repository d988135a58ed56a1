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
        Arc::new(move |_| Ok(Arc::clone(&log) as Arc<dyn Log>))
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

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_process_takes_its_share_and_all_when_the_first_leaves() {
    scenarios::share_and_leave(&mut ground()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_killed_process_had_is_taken_over() {
    scenarios::killed(&mut ground()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_that_was_not_heard_of_is_fenced_and_comes_back() {
    scenarios::silent_and_back(&mut ground()).await;
}
