//! The order path for the composition, on any event log.
//!
//! Owns the choice of the engine: the [`Core`] on the embedded log, the [`Stations`] on any other log.
//! Refuses an engine that this program was built without, with an error that says how to get it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use prepx_bus::file::{Dir as _, Lock, RealDir};
use prepx_bus::{KafkaLocation, Log, Reading};
use prepx_env::{Clock, Random};
use prepx_owner::BoxError;
use prepx_platform::engines;
use prepx_stage::follow::Tail;
use prepx_stage::port::{
    AccountPort, AuditPort, HeadsPort, LoggedUpdates, MatchingPort, UpdatesPort,
};
use prepx_stage::{Following, RecoveryObserver, Retention, Topology};

use crate::core::{self, Core, Options};
use crate::disk::{LOG, RecordedUpdates};
use crate::settings::Settings;
use crate::stations::{self, Stations};

/// Both stages. Clones are the same.
#[derive(Clone)]
pub enum Stages {
    /// On one thread, over the embedded log.
    OneLog(Core),
    /// A thread for each partition, on a log on which no stage runs ahead.
    Apart(Stations),
}

/// The threads behind [`Stages`]. Stop them.
pub enum Running {
    /// Of the core.
    OneLog(core::Running),
    /// Of the stations, and the data directory's lock, which the embedded log has in itself.
    Apart(stations::Running, Lock),
}

impl Stages {
    /// Takes over the order path, on the log in the settings. On the embedded log `watch` receives the
    /// progress.
    ///
    /// # Errors
    /// The reason why that failed.
    pub fn open(
        settings: &Settings,
        clock: &Arc<dyn Clock>,
        random: &Random,
        watch: &dyn RecoveryObserver,
    ) -> Result<(Stages, Running)> {
        match settings.log_location()? {
            None => {
                let (core, running) =
                    Core::recover(core_options(settings), Arc::clone(clock), watch)?;
                Ok((Stages::OneLog(core), Running::OneLog(running)))
            }
            Some(location) => {
                let lock = RealDir::open(&settings.data_dir)?.lock(&who())?;
                let options = stations_options(settings, location)?;
                let opened = Stations::open(options, Arc::clone(clock), random);
                let (stations, running) = opened.map_err(|error| anyhow!(error))?;
                Ok((Stages::Apart(stations), Running::Apart(running, lock)))
            }
        }
    }

    /// The account stage.
    pub fn accounts(&self) -> Arc<dyn AccountPort> {
        match self {
            Stages::OneLog(core) => Arc::new(core.clone()),
            Stages::Apart(stations) => Arc::new(stations.ports()),
        }
    }

    /// The matching stage.
    pub fn matching(&self) -> Arc<dyn MatchingPort> {
        match self {
            Stages::OneLog(core) => Arc::new(core.clone()),
            Stages::Apart(stations) => Arc::new(stations.ports()),
        }
    }

    /// The books of all partitions.
    pub fn audit(&self) -> Arc<dyn AuditPort> {
        match self {
            Stages::OneLog(core) => Arc::new(core.clone()),
            Stages::Apart(stations) => Arc::new(stations.ports()),
        }
    }

    /// All outputs of the account stages, as far as the log of this data directory or the brokers have them.
    ///
    /// # Errors
    /// When the directory cannot be opened, or the brokers do not answer.
    pub fn updates(&self, data_dir: &Path) -> Result<Arc<dyn UpdatesPort>, BoxError> {
        Ok(match self {
            Stages::OneLog(core) => Arc::new(RecordedUpdates {
                dir: RealDir::open(&data_dir.join(LOG))?,
                data_dir: data_dir.to_owned(),
                log: core.embedded(),
            }),
            Stages::Apart(stations) => Arc::new(LoggedUpdates {
                log: stations.log("tables", Reading::Unhurried)?,
                topology: stations.topology(),
            }),
        })
    }

    /// How far they have come.
    pub fn heads(&self) -> Vec<Arc<dyn HeadsPort>> {
        match self {
            Stages::OneLog(core) => vec![Arc::new(core.clone())],
            Stages::Apart(stations) => stations.heads(),
        }
    }

    /// The log, for a consumer of this name: on Kafka a handle of its own, because a handle reads a
    /// partition at one place.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn log(&self, consumer: &str, reading: Reading) -> Result<Arc<dyn Log>, BoxError> {
        match self {
            Stages::OneLog(core) => Ok(core.log()),
            Stages::Apart(stations) => stations.log(consumer, reading),
        }
    }

    /// What a consumer of this name needs to follow the log.
    ///
    /// # Errors
    /// As [`Self::log`].
    pub fn following(
        &self,
        consumer: &str,
        reading: Reading,
        clock: &Arc<dyn Clock>,
    ) -> Result<Following, BoxError> {
        Ok(self.follow(self.log(consumer, reading)?, clock))
    }

    /// What a consumer of this handle needs to follow the log.
    pub fn follow(&self, log: Arc<dyn Log>, clock: &Arc<dyn Clock>) -> Following {
        Following {
            retention: match self {
                Stages::OneLog(core) => core.retention(),
                Stages::Apart(_) => Arc::new(Retention::shared(Arc::clone(&log))),
            },
            tail: Tail::new(log),
            topology: self.topology(),
            clock: Arc::clone(clock),
            duties: prepx_stage::Duty::always().into(),
        }
    }

    /// The number of partitions.
    pub fn topology(&self) -> Topology {
        match self {
            Stages::OneLog(core) => core.topology(),
            Stages::Apart(stations) => stations.topology(),
        }
    }

    /// Waits until the order path has failed, and says why: the process must end then (I8).
    pub async fn failed(&self) -> Arc<str> {
        match self {
            Stages::OneLog(core) => core.failed().await,
            Stages::Apart(stations) => stations.failed().await,
        }
    }
}

impl Running {
    /// Accepts nothing more, makes durable what was accepted, ends the threads.
    ///
    /// # Errors
    /// The error with which the order path had failed.
    pub fn stop(self) -> Result<()> {
        let stopped = match self {
            Running::OneLog(running) => running.stop(),
            Running::Apart(running, _lock) => running.stop(),
        };
        stopped.map_err(|failure| anyhow!("the order path has failed: {failure}"))
    }
}

fn who() -> String {
    format!("prepx start, process {}", std::process::id())
}

fn core_options(settings: &Settings) -> Options {
    let mut options = Options::new(&settings.data_dir);
    options.log.holder = who();
    match settings.shares() {
        Some(shares) => options.within(shares),
        None => options,
    }
}

fn stations_options(settings: &Settings, location: KafkaLocation) -> Result<stations::Options> {
    let (data_dir, prefix) = (&settings.data_dir, location.prefix.clone());
    let topology = core::manifest::expected(data_dir, &prefix)?;
    let snapshots = prepx_objects::Location::Directory(settings.data_dir.join("snapshots"));
    let process = format!("prepx-{}", std::process::id());
    let logs = engines::kafka(
        location,
        topology,
        settings.log_replication,
        settings.log_partitions_of_others,
        &process,
    )?;
    core::manifest::open(data_dir, Some(&prefix))?;
    Ok(stations::Options {
        logs,
        topology,
        snapshots: engines::snapshots(&snapshots)?,
        pace: prepx_stage::Pace::default(),
        who: who(),
        desk: prepx_stage::desk::Bounds::default(),
        reads_max: 4_096,
    })
}

impl Settings {
    /// The place of the event log, unless it is in the data directory.
    ///
    /// # Errors
    /// A URL of a place that `prepx start` does not use.
    pub fn log_location(&self) -> Result<Option<KafkaLocation>> {
        engines::log_location(&self.log_url, &self.data_dir)
    }
}
