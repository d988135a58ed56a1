//! The life of the core: recovery, threads, shutdown.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use prepx_account as account;
use prepx_bus::embedded::WriterHandle;
use prepx_bus::file::RealDir;
use prepx_bus::{EmbeddedLog, Log, Progress as LogProgress, spawn_writer};
use prepx_env::Clock;
use prepx_owner::{Failure, Gate, Release};
use prepx_risk::AccountCodec;
use prepx_stage::{PipelineDeps, RecoveryObserver, Retention, Snapshots, Topology};
use prepx_trading::MatchingCodec;

use super::driver::{Driver, Gathered, Request};
use super::keepers::{self, Keepers, Progress};
use super::options::{OpenError, Options};
use super::timed::Timed;
use super::{Core, Pipeline, Shared, manifest};
use crate::disk::{self, Dropper};

/// The core's threads. Stop them; if this is dropped instead, they run until the process ends.
pub struct Running {
    core: Core,
    driver: JoinHandle<()>,
    keepers: JoinHandle<()>,
    stop_keepers: mpsc::Sender<()>,
    writer: WriterHandle,
}

impl Core {
    /// Opens the data directory, recovers both stages and starts the threads.
    pub fn open(options: Options, clock: Arc<dyn Clock>) -> Result<(Core, Running), OpenError> {
        Core::recover(options, clock, &())
    }

    /// The same, and reports the progress of the recovery.
    pub fn recover(
        options: Options,
        clock: Arc<dyn Clock>,
        watch: &dyn RecoveryObserver,
    ) -> Result<(Core, Running), OpenError> {
        let open_dir = |path: PathBuf| {
            RealDir::open(&path).map_err(|source| OpenError::Directory { path, source })
        };
        let log_dir = open_dir(options.data_dir.join(disk::LOG))?;
        let snapshots = Snapshots::new(open_dir(options.data_dir.join("snapshots"))?);
        // The log's lock is also the data directory's.
        let timed = Timed::dir(log_dir.clone(), &clock);
        let embedded = EmbeddedLog::open(timed, options.log.clone())?;
        let topology = manifest::open(&options.data_dir, None)?;
        let log: Arc<dyn Log> = embedded.clone();
        manifest::check(&options.data_dir, topology, &*log)?;

        let config = account::Config::of_partitions(topology.account_partitions);
        let codecs = (
            Arc::new(AccountCodec::new(config)),
            Arc::new(MatchingCodec::bundled()?),
        );
        let deps = PipelineDeps {
            log: Arc::clone(&log),
            snapshots: &snapshots,
            topology,
            clock: Arc::clone(&clock),
            who: &options.log.holder,
            watch,
        };
        let pipeline = Pipeline::open(codecs.clone(), deps)?;
        let retention = Arc::new(Retention::new(Arc::clone(&log)));
        let progress = Progress::of(topology);
        let dropper = options.bound.map(|shares| Dropper {
            dir: log_dir,
            data_dir: options.data_dir.clone(),
            topology,
            shares,
            clock: Arc::clone(&clock),
        });
        let deps = keepers::Deps {
            log: Arc::clone(&log),
            retention: Arc::clone(&retention),
            snapshots,
            topology,
            pace: options.snapshots,
        };
        let keepers =
            Keepers::open((&codecs.0, &codecs.1), deps, progress.clone())?.dropping(dropper);
        let parts = Parts {
            pipeline,
            keepers,
            log,
            clock,
            progress,
        };
        start(&options, embedded, retention, topology, parts).map_err(OpenError::Thread)
    }
}

/// What the threads are started with.
struct Parts {
    pipeline: Pipeline,
    keepers: Keepers,
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
    // Gates admit fewer than the ring holds, so the ring is never full; one place is for the stop.
    let (ring, requests) = mpsc::sync_channel(options.commands_max + options.reads_max + 1);
    let driver = Driver {
        pipeline: parts.pipeline,
        ring: requests,
        log: parts.log,
        clock: parts.clock,
        release,
        progress: parts.progress,
        turn: Gathered::default(),
    };
    let writer = spawn_writer(Arc::clone(&embedded))?;
    let failed = failure.clone();
    let driver = thread::Builder::new().name("core".into()).spawn(move || {
        let _alarm = failed.alarm();
        if let Err(error) = driver.run() {
            failed.fail(&error.to_string());
        }
    })?;
    let (stop_keepers, stop) = mpsc::channel();
    let keepers = parts.keepers;
    let keepers = thread::Builder::new()
        .name("keeper".into())
        .spawn(move || keepers.run(&stop))?;
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
        keepers,
        stop_keepers,
        writer,
    };
    Ok((core, running))
}

impl Running {
    /// Accepts nothing more, decides what was accepted, makes it durable, and ends the threads. Blocks for
    /// a few syncs.
    pub fn stop(self) -> Result<(), Arc<str>> {
        let shared = &self.core.0;
        shared.closed.store(true, Ordering::Release);
        // A core that has ended needs no signal.
        let _ = shared.ring.send(Request::Stop);
        drop(self.stop_keepers);
        let joined = [self.driver.join(), self.keepers.join()];
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
