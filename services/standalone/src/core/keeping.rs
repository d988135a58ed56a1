//! The thread that makes snapshots, of durable records and beside the stages, and that drops the
//! oldest archives where the disk is bounded.

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

pub(crate) struct Keeping {
    log: Arc<dyn Log>,
    retention: Arc<Retention>,
    progress: Progress,
    accounts: Vec<Keeper<AccountCodec>>,
    matching: Vec<Keeper<MatchingCodec>>,
    dropper: Option<Dropper>,
}

impl Keeping {
    pub fn open(
        (accounts, matching): (&Arc<AccountCodec>, &Arc<MatchingCodec>),
        topology: Topology,
        log: &Arc<dyn Log>,
        snapshots: &Snapshots,
        retention: &Arc<Retention>,
        progress: Progress,
        pace: Pace,
    ) -> Result<Keeping, KeeperError> {
        fn keepers<C: Codec>(
            codec: &Arc<C>,
            seats: impl Iterator<Item = prepx_stage::Seat>,
            log: &dyn Log,
            snapshots: &Snapshots,
            retention: &Retention,
            pace: Pace,
        ) -> Result<Vec<Keeper<C>>, KeeperError> {
            seats
                .map(|seat| {
                    let snapshots = snapshots.clone();
                    Keeper::open(Arc::clone(codec), seat, log, snapshots, retention, pace)
                })
                .collect()
        }
        let (accounts_seats, matching_seats) = (
            topology.seats(Stage::ACCOUNT),
            topology.seats(Stage::MATCHING),
        );
        Ok(Keeping {
            accounts: keepers(accounts, accounts_seats, &**log, snapshots, retention, pace)?,
            matching: keepers(matching, matching_seats, &**log, snapshots, retention, pace)?,
            log: Arc::clone(log),
            retention: Arc::clone(retention),
            progress,
            dropper: None,
        })
    }

    /// The same with a bound on the disk.
    pub fn dropping(self, dropper: Option<Dropper>) -> Keeping {
        Keeping { dropper, ..self }
    }

    /// Runs until the other end of `stop` is gone.
    pub fn run(mut self, stop: &Receiver<()>) {
        while stop.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            let (log, retention) = (&*self.log, &*self.retention);
            for (keeper, events) in self.accounts.iter_mut().zip(&self.progress.accounts) {
                keep(keeper, log, retention, events.load(Ordering::Relaxed));
            }
            for (keeper, events) in self.matching.iter_mut().zip(&self.progress.matching) {
                keep(keeper, log, retention, events.load(Ordering::Relaxed));
            }
            if let Some(Err(error)) = self.dropper.as_ref().map(Dropper::look) {
                let error = format!("{error:#}");
                tracing::error!(error, "the oldest could not be dropped; it is tried again");
            }
        }
    }
}

/// A snapshot that fails costs nothing but a longer restart and space: it is tried again.
fn keep<C: Codec>(keeper: &mut Keeper<C>, log: &dyn Log, retention: &Retention, events: u64) {
    if !keeper.is_due(log, events) {
        return;
    }
    if let Err(error) = keeper.snapshot(log, retention) {
        tracing::error!(%error, "a snapshot failed; it is tried again");
    }
}
