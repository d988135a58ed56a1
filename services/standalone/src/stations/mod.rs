//! The order path on a log where nobody runs ahead: a thread a stage partition, commands and replies
//! through the log.
//!
//! Owns every partition of both stages, the desk of this process's commands, the thread that makes
//! snapshots. Refuses what does not fit (I10), and to tell anybody what is not durable (I8). When
//! one of the partitions or handles fails, [`Stations::failed`] says so: the process must end then, and the
//! next one takes over.

mod asking;
mod bell;
mod driver;
#[cfg(feature = "kafka")]
pub mod kafka;
mod ports;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use prepx_account as account;
use prepx_bus::{Log, Topic};
use prepx_env::{Clock, Random};
use prepx_risk::AccountCodec;
use prepx_stage::desk::{self, Desk};
use prepx_stage::port::ReadError;
use prepx_stage::{Codec, Pace, Partition, Retention, Snapshots, Stage, Topology};
use prepx_trading::MatchingCodec;
use tokio::sync::{oneshot, watch};

use self::asking::Asking;
use self::driver::{Common, Look, Seated};
use crate::core::gate::Gate;
use crate::core::keeping::{Keeping, Progress};
use crate::core::release::Deliver;
use crate::core::{RETRY_AFTER, failure_of, first_failure};

/// What can go wrong in many ways, for people.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Opens a handle on the log under a name that no other open handle of the platform has.
pub type Logs = Arc<dyn Fn(&str) -> Result<Arc<dyn Log>, BoxError> + Send + Sync>;

/// How long the commands that were accepted may take to be answered when the process ends.
const DRAIN: Duration = Duration::from_secs(5);
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// How the stations run.
pub struct Options {
    /// The log.
    pub logs: Logs,
    /// How many partitions there are.
    pub topology: Topology,
    /// Where snapshots are.
    pub snapshots: Snapshots,
    /// When one is due.
    pub pace: Pace,
    /// Which process this is, for people.
    pub who: String,
    /// How many commands may wait, and how long.
    pub desk: desk::Bounds,
    /// Most reads that may be under way.
    pub reads_max: usize,
}

/// The way to the stages. Clones are the same way.
#[derive(Clone)]
pub struct Stations(Arc<Shared>);

struct Shared {
    accounts: Vec<Seated<AccountCodec>>,
    matching: Vec<Seated<MatchingCodec>>,
    codecs: Codecs,
    asking: Asking,
    reads: Gate,
    closed: AtomicBool,
    logs: Logs,
    topology: Topology,
    failure: watch::Receiver<Option<Arc<str>>>,
}

type Codecs = (Arc<AccountCodec>, Arc<MatchingCodec>);

/// The threads. To be stopped; dropped without, they run until the process ends.
pub struct Running {
    stations: Stations,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    keeping: JoinHandle<()>,
    stop_keeping: mpsc::Sender<()>,
}

impl Stations {
    /// Takes every partition over and starts the threads.
    ///
    /// # Errors
    /// What kept one of them from being owned here.
    pub fn open(
        options: Options,
        clock: Arc<dyn Clock>,
        random: &Random,
    ) -> Result<(Stations, Running), BoxError> {
        let (tell_failure, failure) = watch::channel(None);
        let stop = Arc::new(AtomicBool::new(false));
        let topology = options.topology;
        let config = account::Config::of_partitions(topology.account_partitions);
        let codecs = (
            Arc::new(AccountCodec::new(config)),
            Arc::new(MatchingCodec::bundled()?),
        );
        let common = Common {
            logs: Arc::clone(&options.logs),
            topology,
            snapshots: options.snapshots.clone(),
            clock: Arc::clone(&clock),
            who: options.who.clone(),
            looks_max: options.reads_max,
            failure: tell_failure.clone(),
            stop: Arc::clone(&stop),
        };
        let (opened, owned) = mpsc::channel();
        let mut threads = Vec::new();
        let accounts = seat_all(&codecs.0, Stage::ACCOUNT, &common, &opened, &mut threads)?;
        let matching = seat_all(&codecs.1, Stage::MATCHING, &common, &opened, &mut threads)?;
        drop(opened);
        owned.iter().collect::<Result<Vec<()>, BoxError>>()?;
        let front = (options.logs)("front")?;
        let replies = Topic::CommandReplies.partition(0);
        let desk = Desk::open(Arc::clone(&front), replies, random.next_u64(), options.desk);
        let (asking, hearing) =
            Asking::start(desk, &front, &clock, tell_failure, Arc::clone(&stop))?;
        threads.push(hearing);
        let progress = Progress {
            accounts: accounts
                .iter()
                .map(|seated| Arc::clone(seated.events()))
                .collect(),
            matching: matching
                .iter()
                .map(|seated| Arc::clone(seated.events()))
                .collect(),
        };
        let (keeping, stop_keeping) = keep(&options, &codecs, progress)?;
        let stations = Stations(Arc::new(Shared {
            accounts,
            matching,
            codecs,
            asking,
            reads: Gate::new(options.reads_max),
            closed: AtomicBool::new(false),
            logs: options.logs,
            topology,
            failure,
        }));
        let running = Running {
            stations: stations.clone(),
            stop,
            threads,
            keeping,
            stop_keeping,
        };
        Ok((stations, running))
    }

    /// Looks into a partition's memory; returns when everything that was seen is durable. `look` runs
    /// on the partition's thread: it must be short.
    async fn query<C: Codec, T: Send + 'static>(
        &self,
        seated: &Seated<C>,
        look: impl FnOnce(&Partition<C>) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let busy = ReadError::Busy {
            retry_after: RETRY_AFTER,
        };
        let pass = self.0.reads.enter(1).ok_or(busy)?;
        let (answer, answered) = oneshot::channel();
        let look: Look<C> = Box::new(move |partition| -> Deliver {
            let seen = look(partition);
            Box::new(move || {
                drop(pass);
                // Whoever asked may have gone.
                let _ = answer.send(seen);
            })
        });
        let gone = || ReadError::Unavailable(failure_of(&self.0.failure));
        if !seated.look(look) {
            return Err(gone());
        }
        answered.await.map_err(|_| gone())
    }

    /// Waits until the order path has failed, and says why: the process must end then (I8).
    pub async fn failed(&self) -> Arc<str> {
        first_failure(self.0.failure.clone()).await
    }

    /// A handle on the log for a consumer of what the stages tell.
    ///
    /// # Errors
    /// When the log cannot be reached.
    pub fn log(&self, name: &str) -> Result<Arc<dyn Log>, BoxError> {
        (self.0.logs)(name)
    }

    /// How many partitions there are.
    pub fn topology(&self) -> Topology {
        self.0.topology
    }
}

/// Starts the thread of every partition of a stage.
fn seat_all<C: Codec>(
    codec: &Arc<C>,
    stage: Stage,
    common: &Common,
    opened: &mpsc::Sender<Result<(), BoxError>>,
    threads: &mut Vec<JoinHandle<()>>,
) -> std::io::Result<Vec<Seated<C>>> {
    let mut all = Vec::new();
    for seat in common.topology.seats(stage) {
        let (seated, thread) = driver::start(codec, seat, common, opened.clone())?;
        all.push(seated);
        threads.push(thread);
    }
    Ok(all)
}

/// Starts the thread that makes snapshots, on a handle of its own.
fn keep(
    options: &Options,
    codecs: &Codecs,
    progress: Progress,
) -> Result<(JoinHandle<()>, mpsc::Sender<()>), BoxError> {
    let log = (options.logs)("keeper")?;
    let retention = Arc::new(Retention::shared(Arc::clone(&log)));
    let keeping = Keeping::open(
        (&codecs.0, &codecs.1),
        options.topology,
        &log,
        &options.snapshots,
        &retention,
        progress,
        options.pace,
    )?;
    let (stop_keeping, stop) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("keeper".into())
        .spawn(move || keeping.run(&stop))?;
    Ok((thread, stop_keeping))
}

impl Running {
    /// Takes nothing more, waits for the answers to what was accepted, and ends the threads.
    ///
    /// # Errors
    /// Why the order path had failed.
    pub fn stop(self) -> Result<(), Arc<str>> {
        let shared = &self.stations.0;
        shared.closed.store(true, Ordering::Release);
        let mut looks = DRAIN.as_millis() / DRAIN_LOOK.as_millis();
        while shared.asking.waiting() > 0 && shared.failure.borrow().is_none() && looks > 0 {
            std::thread::sleep(DRAIN_LOOK);
            looks -= 1;
        }
        self.stop.store(true, Ordering::Release);
        shared.accounts.iter().for_each(Seated::ring);
        shared.matching.iter().for_each(Seated::ring);
        shared.asking.ring();
        drop(self.stop_keeping);
        let threads = self.threads.into_iter().chain([self.keeping]);
        let panicked = threads.map(JoinHandle::join).any(|joined| joined.is_err());
        match &*shared.failure.borrow() {
            Some(failure) => Err(Arc::clone(failure)),
            None if panicked => Err("a thread of the order path panicked".into()),
            None => Ok(()),
        }
    }
}
