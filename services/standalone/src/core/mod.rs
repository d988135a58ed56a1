//! The order path of the standalone process: the account and matching stages on one thread over a
//! bounded ring, the log written and synced by a second, snapshots made by a third.
//!
//! Owns the event log of the data directory and all stage partitions. Refuses what does not fit
//! (I10, before anything is accepted), and to tell anybody what is not durable (I8). When the
//! stages or the log fail, [`Core::failed`] says so: the process must end then.

mod driver;
pub(crate) mod keeping;
pub mod manifest;
mod ports;
#[cfg(test)]
pub(crate) mod tests;
mod timed;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};

use prepx_account as account;
use prepx_bus::embedded::{self, WriterHandle};
use prepx_bus::file::RealDir;
use prepx_bus::{EmbeddedLog, Log, Position, Progress as LogProgress, spawn_writer};
use prepx_domain::Slot;
use prepx_domain::message::{Command, ToMatching};
use prepx_domain::update::Reply;
use prepx_env::Clock;
use prepx_matching as matching;
use prepx_owner::{Deliver, Failure, Gate, RETRY_AFTER, Release};
use prepx_risk::AccountCodec;
use prepx_stage::port::{ReadError, SubmitError};
use prepx_stage::{KeeperError, Pace, Retention, Snapshots, Topology, Watch};
use prepx_trace::Traces;
use prepx_trading::MatchingCodec;
use prepx_trading::domain::calendar::ParseError;
use tokio::sync::oneshot;

use crate::disk::{self, Dropper, Shares};

use driver::{Driver, Gathered, Request};
use keeping::{Keeping, Progress};
use timed::Timed;

/// Both stages as the core runs them.
pub type Spine = prepx_stage::Spine<AccountCodec, MatchingCodec>;

/// How the core runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is: the log, the snapshots, the manifest. Made if it is not there.
    pub data_dir: PathBuf,
    /// Bounds of the log; `holder` is what a second process is told.
    pub log: embedded::Config,
    /// Most commands that may be under way.
    pub commands_max: usize,
    /// Most reads that may be under way.
    pub reads_max: usize,
    /// When a snapshot is due.
    pub snapshots: Pace,
    /// How the disk is shared out, when the oldest of the log is to be dropped beyond it.
    pub bound: Option<Shares>,
}

impl Options {
    /// The defaults for a data directory.
    pub fn new(data_dir: &Path) -> Options {
        Options {
            data_dir: data_dir.to_owned(),
            log: embedded::Config {
                // What a decision causes is taken in parts, but the stops that one trade triggers all
                // queue at once: this holds a million of them.
                batch_bytes_max: 64 << 20,
                buffer_bytes: 64 << 20,
                retention: embedded::Retention::Archive,
                ..embedded::Config::default()
            },
            commands_max: 16_384,
            reads_max: 4_096,
            snapshots: Pace::default(),
            bound: None,
        }
    }

    /// The same within a bound on the disk.
    #[must_use]
    pub fn within(mut self, shares: Shares) -> Options {
        self.log.segment_bytes = shares.segment_bytes;
        self.snapshots.log_bytes = shares.snapshot_bytes;
        self.bound = Some(shares);
        self
    }
}

/// Why the core could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error("the data directory {path}: {source}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] embedded::OpenError),
    /// A stage cannot be taken over.
    #[error(transparent)]
    Stage(#[from] prepx_stage::Error),
    /// The sessions of the exchange are not known.
    #[error("the exchange's calendar: {0}")]
    Calendar(#[from] ParseError),
    /// The snapshots cannot be read.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// No thread can be had.
    #[error("a thread of the core could not be started: {0}")]
    Thread(io::Error),
}

/// The way to the stages. Clones are the same way.
#[derive(Clone)]
pub struct Core(Arc<Shared>);

struct Shared {
    ring: SyncSender<Request>,
    commands: Gate,
    reads: Gate,
    closed: AtomicBool,
    log: Arc<EmbeddedLog>,
    retention: Arc<Retention>,
    topology: Topology,
    failure: Failure,
}

/// The core's threads. To be stopped; dropped without, they run until the process ends.
pub struct Running {
    core: Core,
    driver: JoinHandle<()>,
    keeping: JoinHandle<()>,
    stop_keeping: mpsc::Sender<()>,
    writer: WriterHandle,
}

impl Core {
    /// Opens the data directory, recovers both stages and starts the threads.
    pub fn open(options: Options, clock: Arc<dyn Clock>) -> Result<(Core, Running), OpenError> {
        Core::recover(options, clock, &())
    }

    /// The same, and tells how the recovery goes on.
    pub fn recover(
        options: Options,
        clock: Arc<dyn Clock>,
        watch: &dyn Watch,
    ) -> Result<(Core, Running), OpenError> {
        let open_dir = |path: PathBuf| {
            RealDir::open(&path).map_err(|source| OpenError::Directory { path, source })
        };
        let log_dir = open_dir(options.data_dir.join(disk::LOG))?;
        let snapshots = Snapshots::new(open_dir(options.data_dir.join("snapshots"))?);
        let who = options.log.holder.clone();
        // The log's lock is the data directory's.
        let timed = Timed::dir(log_dir.clone(), &clock);
        let embedded = EmbeddedLog::open(timed, options.log.clone())?;
        let topology = manifest::open(&options.data_dir, None)?;
        let log: Arc<dyn Log> = embedded.clone();

        let config = account::Config::of_partitions(topology.account_partitions);
        let codecs = (
            Arc::new(AccountCodec::new(config)),
            Arc::new(MatchingCodec::bundled()?),
        );
        let spine = Spine::open(
            codecs.clone(),
            topology,
            Arc::clone(&log),
            &snapshots,
            Arc::clone(&clock),
            &who,
            watch,
        )?;
        let retention = Arc::new(Retention::new(Arc::clone(&log)));
        let progress = Progress::of(topology);
        let dropper = options.bound.map(|shares| Dropper {
            dir: log_dir,
            data_dir: options.data_dir.clone(),
            topology,
            shares,
            clock: Arc::clone(&clock),
        });
        let keeping = Keeping::open(
            (&codecs.0, &codecs.1),
            topology,
            &log,
            &snapshots,
            &retention,
            progress.clone(),
            options.snapshots,
        )?
        .dropping(dropper);
        let parts = Parts {
            spine,
            keeping,
            log,
            clock,
            progress,
        };
        start(&options, embedded, retention, topology, parts).map_err(OpenError::Thread)
    }

    /// Has commands decided in their order: one answer for each, when all are durable. Only what
    /// was accepted can be [`SubmitError::Unknown`]. `traces` as [`AccountPort::submit`] has them.
    ///
    /// [`AccountPort::submit`]: prepx_stage::port::AccountPort::submit
    pub async fn submit_batch(
        &self,
        commands: Vec<Command>,
        traces: Traces,
    ) -> Result<Vec<Option<Reply>>, SubmitError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let pass = self.0.commands.enter(commands.len()).ok_or(BUSY)?;
        let (answer, answered) = oneshot::channel();
        self.send(Request::Commands {
            commands,
            traces,
            answer,
            pass,
        })?;
        answered.await.map_err(|_| self.unknown())
    }

    /// Has one command decided.
    pub async fn submit(&self, command: Command) -> Result<Reply, SubmitError> {
        let mut replies = self.submit_batch(vec![command], Traces::default()).await?;
        replies.pop().flatten().ok_or_else(|| self.unknown())
    }

    /// Has an operator's command on an instrument decided; returns when it is durable, and every
    /// account partition knows of it then.
    pub async fn submit_instrument(&self, command: ToMatching) -> Result<(), SubmitError> {
        let pass = self.0.commands.enter(1).ok_or(BUSY)?;
        let (answer, answered) = oneshot::channel();
        self.send(Request::Instrument {
            slot: command.slot(),
            command,
            answer,
            pass,
        })?;
        answered.await.map_err(|_| self.unknown())
    }

    /// Looks into the memory of both stages; returns when everything that was seen is durable.
    /// `look` runs on the core's thread: it must be short.
    pub async fn query<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Spine) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let busy = ReadError::Busy {
            retry_after: RETRY_AFTER,
        };
        let pass = self.0.reads.enter(1).ok_or(busy)?;
        let (answer, answered) = oneshot::channel();
        let look = Box::new(move |spine: &Spine| -> Deliver {
            let seen = look(spine);
            Box::new(move || {
                drop(pass);
                // Whoever asked may have gone.
                let _ = answer.send(seen);
            })
        });
        let unavailable = |error: SubmitError| ReadError::Unavailable(error.to_string());
        self.send(Request::Look(look)).map_err(unavailable)?;
        answered.await.map_err(|_| unavailable(self.unknown()))
    }

    /// Looks into the account partition of a slot. See [`Self::query`].
    pub async fn query_account<T: Send + 'static>(
        &self,
        slot: Slot,
        look: impl FnOnce(&account::Stage) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        self.query(move |spine| look(spine.account_partition(slot).machine()))
            .await
    }

    /// Looks into the matching partition of a slot. See [`Self::query`].
    pub async fn query_matching<T: Send + 'static>(
        &self,
        slot: Slot,
        look: impl FnOnce(&matching::Engine) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        self.query(move |spine| look(spine.matching_partition(slot).machine()))
            .await
    }

    fn send(&self, request: Request) -> Result<(), SubmitError> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(SubmitError::Closed("this process is draining".into()));
        }
        self.0.ring.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => BUSY,
            TrySendError::Disconnected(_) => SubmitError::Closed(self.0.failure.words()),
        })
    }

    fn unknown(&self) -> SubmitError {
        SubmitError::Unknown(self.0.failure.words())
    }

    /// Waits until the core has failed, and says why: the process must end then (I8).
    pub async fn failed(&self) -> Arc<str> {
        self.0.failure.first().await
    }

    /// The event log, for consumers of what the stages tell.
    pub fn log(&self) -> Arc<dyn Log> {
        self.0.log.clone()
    }

    /// The same, with what stands on the disk.
    pub fn embedded(&self) -> Arc<EmbeddedLog> {
        Arc::clone(&self.0.log)
    }

    /// Where consumers say how far they have come.
    pub fn retention(&self) -> Arc<Retention> {
        Arc::clone(&self.0.retention)
    }

    /// How many partitions there are.
    pub fn topology(&self) -> Topology {
        self.0.topology
    }

    /// The last durable position of the log.
    pub fn durable(&self) -> Position {
        self.0.log.durable()
    }

    /// The end of the last transition that the stages have decided when this is asked; it answers
    /// when that is durable.
    pub async fn head(&self) -> Result<Position, ReadError> {
        self.query(Spine::head).await
    }
}

pub(crate) const BUSY: SubmitError = SubmitError::Busy {
    retry_after: RETRY_AFTER,
};

impl Progress {
    fn of(topology: Topology) -> Progress {
        let zeros = |count: u32| (0..count).map(|_| Arc::default()).collect();
        Progress {
            accounts: zeros(topology.account_partitions),
            matching: zeros(topology.matching_partitions),
        }
    }
}

/// What the threads take with them.
struct Parts {
    spine: Spine,
    keeping: Keeping,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    progress: Progress,
}

fn start(
    options: &Options,
    embedded: Arc<EmbeddedLog>,
    retention: Arc<Retention>,
    topology: Topology,
    parts: Parts,
) -> io::Result<(Core, Running)> {
    let failure = Failure::default();
    let release = Arc::new(Release::default());
    embedded.watermark().subscribe({
        let (release, failure) = (Arc::clone(&release), failure.clone());
        move |progress| match progress {
            LogProgress::Durable(position) => release.advance(*position),
            LogProgress::Failed(poisoned) => {
                failure.fail(&poisoned.to_string());
                release.kill();
            }
        }
    });
    // Gates are narrower than the ring, which is therefore never full; one place is for the stop.
    let (ring, requests) = mpsc::sync_channel(options.commands_max + options.reads_max + 1);
    let driver = Driver {
        spine: parts.spine,
        ring: requests,
        log: parts.log,
        clock: parts.clock,
        release,
        progress: parts.progress,
        turn: Gathered::default(),
    };
    let writer = spawn_writer(Arc::clone(&embedded))?;
    let told = failure.clone();
    let driver = thread::Builder::new().name("core".into()).spawn(move || {
        let _alarm = told.alarm();
        if let Err(error) = driver.run() {
            told.fail(&error.to_string());
        }
    })?;
    let (stop_keeping, stop) = mpsc::channel();
    let keeping = parts.keeping;
    let keeping = thread::Builder::new()
        .name("keeper".into())
        .spawn(move || keeping.run(&stop))?;
    let core = Core(Arc::new(Shared {
        ring,
        commands: Gate::new("commands", options.commands_max),
        reads: Gate::new("reads", options.reads_max),
        closed: AtomicBool::new(false),
        log: embedded,
        retention,
        topology,
        failure,
    }));
    let running = Running {
        core: core.clone(),
        driver,
        keeping,
        stop_keeping,
        writer,
    };
    Ok((core, running))
}

impl Running {
    /// Takes nothing more, decides what was accepted, makes it durable, and ends the threads.
    /// Blocks for a few syncs.
    pub fn stop(self) -> Result<(), Arc<str>> {
        let shared = &self.core.0;
        shared.closed.store(true, Ordering::Release);
        // A core that is gone needs no telling.
        let _ = shared.ring.send(Request::Stop);
        drop(self.stop_keeping);
        let joined = [self.driver.join(), self.keeping.join()];
        let flushed = self.writer.stop();
        if let Some(failure) = shared.failure.get() {
            return Err(failure);
        }
        match (flushed, joined.iter().any(Result::is_err)) {
            (Err(poisoned), _) => Err(poisoned.to_string().into()),
            (Ok(()), true) => Err("a thread of the core panicked".into()),
            (Ok(()), false) => Ok(()),
        }
    }
}
