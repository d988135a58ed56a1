//! The order path on a log on which no stage runs ahead: a thread for each stage partition, commands and
//! replies through the log.
//!
//! Owns every partition of both stages, the desk of this process's commands, and the thread that makes
//! snapshots. Refuses what does not fit (I10), and to show anything that is not durable (I8). When one of
//! the partitions or handles fails, [`Stations::failed`] says so: the process must end then, and the next
//! one takes over.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use prepx_account as account;
use prepx_auth::ClusterKey;
use prepx_bus::lease::Group;
use prepx_bus::{Leases, Log, Reading, Topic};
use prepx_env::{Clock, Random};
use prepx_owner::ports::{Here, Ports, Reach};
use prepx_owner::{BoxError, Directory, Failure, Front, Logs, Owner, Seats, Standbys};
use prepx_risk::AccountCodec;
use prepx_runtime::tls::Dialer;
use prepx_stage::port::HeadsPort;
use prepx_stage::{Pace, Snapshots, Stage, Topology, desk};
use prepx_trading::MatchingCodec;

/// The name of this process among the owners; it is the only one.
const HERE: &str = "here";
/// The session time; there is no other process. A read is refused unless its partition was certainly owned
/// here within half of this.
const SESSION: Duration = Duration::from_secs(3);
/// How long taking over all partitions may take, with their journals.
const OPEN: Duration = Duration::from_secs(600);

/// What the stations need.
pub struct Options {
    /// The log.
    pub logs: Logs,
    /// The number of partitions.
    pub topology: Topology,
    /// The place of snapshots.
    pub snapshots: Snapshots,
    /// When a snapshot is due.
    pub pace: Pace,
    /// The name of this process, for people.
    pub who: String,
    /// The bounds of waiting commands.
    pub desk: desk::Bounds,
    /// The most reads in progress.
    pub reads_max: usize,
}

/// A handle on the stages. Clones are the same.
#[derive(Clone)]
pub struct Stations(Arc<Shared>);

struct Shared {
    accounts: Seats<AccountCodec>,
    matching: Seats<MatchingCodec>,
    front: Front,
    ports: Ports,
    logs: Logs,
    topology: Topology,
    failure: Failure,
}

/// The threads. Stop them; if this is dropped instead, they run until the process ends.
pub struct Running {
    stations: Stations,
}

impl Stations {
    /// Takes over every partition and starts the threads.
    ///
    /// # Errors
    /// The reason why one of them could not be taken over.
    pub fn open(
        options: Options,
        clock: Arc<dyn Clock>,
        random: &Random,
    ) -> Result<(Stations, Running), BoxError> {
        let (topology, failure) = (options.topology, Failure::default());
        let log = (options.logs)("front", Reading::Prompt)?;
        let of = |stage| prepx_owner::Options {
            stage,
            topology,
            logs: Arc::clone(&options.logs),
            replies: Arc::clone(&log),
            snapshots: options.snapshots.clone(),
            pace: options.pace,
            archives: None,
            // There is no other process.
            standbys: Standbys::default(),
            who: options.who.clone(),
            address: HERE.to_owned(),
            reads_max: options.reads_max,
            clock: Arc::clone(&clock),
            failure: failure.clone(),
            alone: true,
        };
        let alone = |stage: Stage| {
            Group::new(topology.partitions(stage.journal), SESSION).join() as Arc<dyn Leases>
        };
        let config = account::Config::of_partitions(topology.account_partitions);
        let accounts = Arc::new(AccountCodec::new(config));
        let accounts = Seats::open(accounts, of(Stage::ACCOUNT), alone(Stage::ACCOUNT))?;
        let codec = Arc::new(MatchingCodec::bundled()?);
        let matching = Seats::open(codec, of(Stage::MATCHING), alone(Stage::MATCHING))?;
        accounts.wait_for_all(OPEN)?;
        matching.wait_for_all(OPEN)?;
        let replies = Topic::CommandReplies.partition(0);
        let front = Front::start(&log, replies, options.desk, (&clock, random), &failure)?;
        let reach = reach(&accounts, &matching, random);
        let stations = Stations(Arc::new(Shared {
            accounts,
            matching,
            ports: Ports::new(front.clone(), reach, topology),
            front,
            logs: options.logs,
            topology,
            failure,
        }));
        let running = Running {
            stations: stations.clone(),
        };
        Ok((stations, running))
    }

    /// Both stages, for the services.
    pub fn ports(&self) -> Ports {
        self.0.ports.clone()
    }

    /// How far both stages have come.
    pub fn heads(&self) -> Vec<Arc<dyn HeadsPort>> {
        let shared = &self.0;
        vec![
            Arc::new(shared.accounts.clone()),
            Arc::new(shared.matching.clone()),
        ]
    }

    /// Waits until the order path has failed, and says why: the process must end then (I8).
    pub async fn failed(&self) -> Arc<str> {
        self.0.failure.first().await
    }

    /// A handle on the log for a consumer of the stages' outputs.
    ///
    /// # Errors
    /// When the log cannot be reached.
    pub fn log(&self, name: &str, reading: Reading) -> Result<Arc<dyn Log>, BoxError> {
        (self.0.logs)(name, reading)
    }

    /// The number of partitions.
    pub fn topology(&self) -> Topology {
        self.0.topology
    }
}

/// The connection to the owners of all partitions: this process, with a key that only it knows.
fn reach(
    accounts: &Seats<AccountCodec>,
    matching: &Seats<MatchingCodec>,
    random: &Random,
) -> Reach {
    let topology = accounts.topology();
    let seats = [Stage::ACCOUNT, Stage::MATCHING].map(|stage| topology.seats(stage));
    let here = |seat| {
        let address = HERE.to_owned();
        (seat, Owner { address, epoch: 0 })
    };
    let directory = Directory::of(seats.into_iter().flatten().map(here));
    let key = ClusterKey::draw(random);
    let owned =
        prepx_risk::owner(accounts.clone(), &key).and(prepx_trading::owner(matching.clone(), &key));
    let here = Here {
        address: HERE.to_owned(),
        peer: owned.peer(),
    };
    // There is no other owner to call.
    Reach::new(directory, key, Some(here), Dialer::default())
}

impl Running {
    /// Accepts nothing more, waits for the answers to what was accepted, and ends the threads.
    ///
    /// # Errors
    /// The error with which the order path had failed.
    pub fn stop(self) -> Result<(), Arc<str>> {
        let shared = &self.stations.0;
        shared.front.drain();
        shared.accounts.stop();
        shared.matching.stop();
        shared.front.stop();
        shared.failure.get().map_or(Ok(()), Err)
    }
}
