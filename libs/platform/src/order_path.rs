//! How a service reaches the stages: commands through the log, reads from owners, and the stages' events.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use prepx_auth::ClusterKey;
use prepx_bus::{Log, Reading, Topic};
use prepx_env::Clock;
use prepx_owner::ports::{Here, Ports, Reach};
use prepx_owner::{Directory, Failure, Front, Logs, Seats};
use prepx_runtime::tls::Dialer;
use prepx_runtime::{Drain, Peer, Service, TaskError};
use prepx_stage::follow::Tail;
use prepx_stage::{Codec, Duties, Following, Pace, Retention, Stage, Topology, desk};

use crate::engines;
use crate::platform::Platform;

/// The most reads of a stage's memory that may be in progress in a process.
const READS_MAX: usize = 4_096;

/// How this process reaches the stages.
pub struct OrderPath {
    /// Opens handles on the log.
    pub logs: Logs,
    /// How many partitions there are.
    pub topology: Topology,
    /// The key of the platform.
    pub key: ClusterKey,
    /// Ends the process if the order path fails.
    pub failure: Failure,
    directory: Directory,
    front: Front,
    /// The handle of `front`, whose failure ends the process.
    front_log: Arc<dyn Log>,
    address: String,
    dialer: Dialer,
    who: String,
    clock: Arc<dyn Clock>,
}

impl Platform {
    /// Connects to the stages.
    ///
    /// # Errors
    /// When the log cannot be used, or the platform has no key.
    pub fn order_path(&self) -> Result<OrderPath, TaskError> {
        let settings = &self.settings;
        let (topology, key) = (settings.topology(), settings.shared_key()?);
        let logs = engines::kafka(
            settings.shared_log()?,
            topology,
            settings.log_replication,
            settings.log_partitions_of_others,
            &self.process,
        )?;
        let failure = Failure::default();
        let log = logs("front", Reading::Prompt)?;
        // A process reads one partition of the replies; which one does not matter.
        let count = u64::from(topology.partitions(Topic::CommandReplies));
        let number = u32::try_from(self.random.next_u64() % count)?;
        let replies = Topic::CommandReplies.partition(number);
        let front = Front::start(
            &log,
            replies,
            desk::Bounds::default(),
            (&self.clock, &*self.random),
            &failure,
        )?;
        Ok(OrderPath {
            directory: Directory::follow(&logs)?,
            address: self.address(),
            dialer: self.start.dialer.clone(),
            who: format!("{} at {}", self.process, self.address()),
            clock: Arc::clone(&self.clock),
            logs,
            topology,
            key,
            failure,
            front,
            front_log: log,
        })
    }
}

impl OrderPath {
    /// Both stages. `owned` are the routes of the owner services of this process, if it owns anything.
    pub fn ports(&self, owned: Option<Peer>) -> Ports {
        let address = self.address.clone();
        let here = owned.map(|peer| Here { address, peer });
        let reach = Reach::new(
            self.directory.clone(),
            self.key.clone(),
            here,
            self.dialer.clone(),
        );
        Ports::new(self.front.clone(), reach, self.topology)
    }

    /// A handle on the log for a consumer of this name.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn log(&self, consumer: &str, reading: Reading) -> Result<Arc<dyn Log>, TaskError> {
        (self.logs)(consumer, reading)
    }

    /// What a consumer needs to follow the log. It takes the partitions that are its duty.
    pub fn following(&self, log: Arc<dyn Log>, duties: impl Into<Duties>) -> Following {
        Following {
            retention: Arc::new(Retention::shared(Arc::clone(&log))),
            tail: Tail::new(log),
            topology: self.topology,
            clock: Arc::clone(&self.clock),
            duties: duties.into(),
        }
    }

    /// The partitions of a stage that this process owns, as leases come and go; and the task that hands
    /// them over when the process leaves.
    ///
    /// # Errors
    /// When the log or the directory of snapshots cannot be used.
    pub fn own<C: Codec>(
        &self,
        platform: &Platform,
        codec: Arc<C>,
        stage: Stage,
    ) -> Result<(Seats<C>, Service), TaskError> {
        let settings = &platform.settings;
        let leases = engines::leases(
            &settings.shared_log()?,
            engines::lease_group(stage),
            &platform.process,
            Duration::from_millis(settings.lease_timeout_ms),
        )?;
        let options = prepx_owner::Options {
            stage,
            topology: self.topology,
            logs: Arc::clone(&self.logs),
            replies: Arc::clone(&self.front_log),
            snapshots: engines::snapshots(&settings.snapshot_location()?)?,
            pace: Pace::default(),
            archives: engines::archives(settings.archive_location()?.as_ref())?,
            standbys: settings.standbys(),
            who: self.who.clone(),
            address: self.address.clone(),
            reads_max: READS_MAX,
            clock: Arc::clone(&self.clock),
            failure: self.failure.clone(),
            alone: false,
        };
        let seats = Seats::open(codec, options, leases)?;
        let leaving = seats.clone();
        let task = Service::new().task("seats", async move |drain: Drain| {
            drain.draining().await;
            Ok(tokio::task::spawn_blocking(move || leaving.stop()).await?)
        });
        Ok((seats, task))
    }

    /// The tasks of the process for the order path: to end when it fails (I8), and to release the log when
    /// all calls have been answered.
    pub fn tasks(&self) -> Service {
        let (failure, front, directory) = (
            self.failure.clone(),
            self.front.clone(),
            self.directory.clone(),
        );
        Service::new()
            .task("order path", async move |drain: Drain| {
                tokio::select! {
                    why = failure.first() => return Err(anyhow!("the order path has failed: {why}").into()),
                    () = drain.stopping() => {}
                }
                let ending = move || {
                    front.drain();
                    front.stop();
                    directory.stop();
                };
                Ok(tokio::task::spawn_blocking(ending).await?)
            })
    }
}
