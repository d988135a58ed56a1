//! The thread that makes snapshots from durable records, beside the stages, and drops the oldest archives where disk space
//! is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use prepx_bus::Log;
use prepx_stage::{Codec, Keeper, KeeperError, Pace, Retention, Snapshots, Stage, Topology};

use super::{AccountCodec, MatchingCodec};
use crate::disk::Dropper;

/// How often to look whether a snapshot is due.
const LOOK: Duration = Duration::from_secs(1);

/// How many events each partition has seen, as its owner says.
#[derive(Clone, Default)]
pub(crate) struct Progress {
    pub accounts: Vec<Arc<AtomicU64>>,
    pub matching: Vec<Arc<AtomicU64>>,
}

impl Progress {
    /// Nothing seen by any partition yet.
    pub fn of(topology: Topology) -> Progress {
        let zeros = |count: u32| (0..count).map(|_| Arc::default()).collect();
        Progress {
            accounts: zeros(topology.account_partitions),
            matching: zeros(topology.matching_partitions),
        }
    }
}

/// What the keepers of all partitions share.
pub(crate) struct Deps {
    pub log: Arc<dyn Log>,
    pub retention: Arc<Retention>,
    pub snapshots: Snapshots,
    pub topology: Topology,
    pub pace: Pace,
}

impl Deps {
    /// The keepers of a stage's partitions, by number.
    fn keepers<C: Codec>(
        &self,
        codec: &Arc<C>,
        stage: Stage,
    ) -> Result<Vec<Keeper<C>>, KeeperError> {
        let open = |seat| {
            let (codec, snapshots) = (Arc::clone(codec), self.snapshots.clone());
            Keeper::open(
                codec,
                seat,
                &*self.log,
                snapshots,
                &self.retention,
                self.pace,
            )
        };
        self.topology.seats(stage).map(open).collect()
    }
}

/// The keepers of all partitions of both stages.
pub(crate) struct Keepers {
    deps: Deps,
    progress: Progress,
    accounts: Vec<Keeper<AccountCodec>>,
    matching: Vec<Keeper<MatchingCodec>>,
    dropper: Option<Dropper>,
}

impl Keepers {
    /// Opens the keepers, which hold the log until their first snapshots.
    pub fn open(
        (accounts, matching): (&Arc<AccountCodec>, &Arc<MatchingCodec>),
        deps: Deps,
        progress: Progress,
    ) -> Result<Keepers, KeeperError> {
        Ok(Keepers {
            accounts: deps.keepers(accounts, Stage::ACCOUNT)?,
            matching: deps.keepers(matching, Stage::MATCHING)?,
            deps,
            progress,
            dropper: None,
        })
    }

    /// The same with a bound on the disk.
    pub fn dropping(self, dropper: Option<Dropper>) -> Keepers {
        Keepers { dropper, ..self }
    }

    /// Runs until the other end of `stop` is gone.
    pub fn run(mut self, stop: &Receiver<()>) {
        while stop.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            for (keeper, events) in self.accounts.iter_mut().zip(&self.progress.accounts) {
                keep(keeper, &self.deps, events.load(Ordering::Relaxed));
            }
            for (keeper, events) in self.matching.iter_mut().zip(&self.progress.matching) {
                keep(keeper, &self.deps, events.load(Ordering::Relaxed));
            }
            if let Some(Err(error)) = self.dropper.as_ref().map(Dropper::look) {
                let error = format!("{error:#}");
                tracing::error!(error, "the oldest could not be dropped; it is tried again");
            }
        }
    }
}

/// A snapshot that fails costs nothing but a longer restart and space: it is tried again.
fn keep<C: Codec>(keeper: &mut Keeper<C>, deps: &Deps, events: u64) {
    if !keeper.is_due(&*deps.log, events) {
        return;
    }
    if let Err(error) = keeper.snapshot(&*deps.log, &deps.retention) {
        tracing::error!(%error, "a snapshot failed; it is tried again");
    }
}
