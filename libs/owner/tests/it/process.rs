//! One process of the platform: seats of both stages, on leases that a test may keep from it.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use prepx_bus::file::RealDir;
use prepx_bus::{Change, LeaseError, Leases, Reading, Topic};
use prepx_env::{Clock, Random, SystemClock};
use prepx_owner::{Directory, Failure, Front, Logs, Options, QueryError, Seats, Standbys};
use prepx_stage::desk::Bounds;
use prepx_stage::{Archives, Codec, Pace, Snapshots, Stage, Topology};

use prepx_tests::toy::{BankCodec, BankInput, HouseCodec, reply, slot};

pub const TOPOLOGY: Topology = Topology {
    account_partitions: 4,
    matching_partitions: 2,
};
/// Long enough on any machine; nothing is measured.
pub const LONG: Duration = Duration::from_secs(60);

/// Where processes run: a log and groups.
pub trait Ground {
    /// Handles on the log, for a process of this name.
    fn logs(&self, process: &str) -> Logs;

    /// One more member of the group of a stage.
    fn join(&mut self, stage: Stage, process: &str) -> Arc<dyn Leases>;

    /// Makes members that ask no more unheard of, at once or after a session.
    fn silence(&mut self, members: &[Arc<dyn Leases>]);

    /// From now on what a process has appended and is not durable never will be, as if it had been killed.
    fn kill(&mut self, process: &str);

    fn snapshots(&self) -> std::path::PathBuf;

    fn archives(&self) -> std::path::PathBuf {
        self.snapshots().with_file_name("archives")
    }
}

/// Leases of a process that can be stopped from asking.
pub struct Pausable {
    leases: Arc<dyn Leases>,
    state: Mutex<Asking>,
    moved: Condvar,
}

#[derive(Default)]
struct Asking {
    paused: bool,
    /// Whether a call is under way.
    calling: bool,
}

impl Pausable {
    fn new(leases: Arc<dyn Leases>) -> Arc<Pausable> {
        Arc::new(Pausable {
            leases,
            state: Mutex::default(),
            moved: Condvar::new(),
        })
    }

    /// Returns when no call is under way any more.
    fn pause(&self) {
        let mut state = self.state.lock().unwrap();
        state.paused = true;
        let ended = self
            .moved
            .wait_timeout_while(state, LONG, |state| state.calling);
        assert!(
            !ended.unwrap().1.timed_out(),
            "a call for leases does not end"
        );
    }

    fn resume(&self) {
        self.state.lock().unwrap().paused = false;
        self.moved.notify_all();
    }
}

impl Leases for Pausable {
    fn next(&self, timeout: Duration) -> Result<Option<Change>, LeaseError> {
        let state = self.state.lock().unwrap();
        let waited = self
            .moved
            .wait_timeout_while(state, timeout, |state| state.paused);
        let mut state = waited.unwrap().0;
        if state.paused {
            return Ok(None);
        }
        state.calling = true;
        drop(state);
        let next = self.leases.next(timeout);
        self.state.lock().unwrap().calling = false;
        self.moved.notify_all();
        next
    }

    fn release(&self, partition: u32) {
        self.leases.release(partition);
    }

    fn leave(&self) {
        self.leases.leave();
    }

    fn session(&self) -> Duration {
        self.leases.session()
    }
}

pub struct Process {
    pub accounts: Seats<BankCodec>,
    pub matching: Seats<HouseCodec>,
    pub failure: Failure,
    leases: [Arc<Pausable>; 2],
}

impl Process {
    pub fn start(ground: &mut dyn Ground, name: &str) -> Process {
        let failure = Failure::default();
        let snapshots = Snapshots::new(RealDir::open(&ground.snapshots()).unwrap());
        let replies = ground.logs(name)("replies", Reading::Prompt).unwrap();
        let options = |stage| Options {
            stage,
            topology: TOPOLOGY,
            logs: ground.logs(name),
            replies: Arc::clone(&replies),
            snapshots: snapshots.clone(),
            // Often, so that takeovers begin with one.
            pace: Pace {
                events: 20,
                ..Pace::default()
            },
            archives: Some(Archives::new(RealDir::open(&ground.archives()).unwrap())),
            standbys: Standbys {
                partitions: 4,
                bytes: 1 << 20,
            },
            who: name.into(),
            address: format!("{name}:1"),
            reads_max: 100,
            clock: Arc::new(SystemClock::new()),
            failure: failure.clone(),
            alone: false,
        };
        let options = [Stage::ACCOUNT, Stage::MATCHING].map(options);
        let leases =
            [Stage::ACCOUNT, Stage::MATCHING].map(|stage| Pausable::new(ground.join(stage, name)));
        let [of_accounts, of_matching] = options;
        let member = |at: usize| Arc::clone(&leases[at]) as Arc<dyn Leases>;
        Process {
            accounts: Seats::open(Arc::new(BankCodec), of_accounts, member(0)).unwrap(),
            matching: Seats::open(Arc::new(HouseCodec), of_matching, member(1)).unwrap(),
            failure,
            leases,
        }
    }

    /// Keeps the process from hearing of its leases for so long that they are lost.
    pub fn silence(&self, ground: &mut dyn Ground) {
        self.leases.iter().for_each(|leases| leases.pause());
        ground.silence(&self.leases.each_ref().map(|each| Arc::clone(&each.leases)));
    }

    /// Lets it hear again.
    pub fn resume(&self) {
        self.leases.iter().for_each(|leases| leases.resume());
    }

    /// How many partitions of both stages it owns.
    pub fn owns(&self) -> usize {
        self.accounts.owned().len() + self.matching.owned().len()
    }

    pub fn owns_all(&self) -> bool {
        self.owns() == (TOPOLOGY.account_partitions + TOPOLOGY.matching_partitions) as usize
    }

    pub async fn stop(self) -> Process {
        tokio::task::spawn_blocking(move || {
            self.accounts.stop();
            self.matching.stop();
            self
        })
        .await
        .unwrap()
    }
}

/// A client with a front of its own, and the owners as it knows them.
pub struct Client {
    front: Front,
    pub directory: Directory,
    pub failure: Failure,
    next: i64,
    /// What each account must have in the end.
    paid: std::collections::BTreeMap<i64, i64>,
    /// The longest that a command has taken.
    pub slowest: Duration,
    clock: SystemClock,
}

/// How many accounts a client pays into.
const ACCOUNTS: i64 = 8;

impl Client {
    pub fn start(ground: &dyn Ground) -> Client {
        let failure = Failure::default();
        let logs = ground.logs("client");
        let bounds = Bounds {
            repeat_after: Duration::from_millis(500),
            give_up_after: LONG,
            // Almost every command finds it at rest.
            rest_after: Duration::ZERO,
            ..Bounds::default()
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let replies = Topic::CommandReplies.partition(1);
        let log = logs("front", Reading::Prompt).unwrap();
        let with = (&clock, &Random::from_seed(7));
        Client {
            front: Front::start(&log, replies, bounds, with, &failure).unwrap(),
            directory: Directory::follow(&logs).unwrap(),
            failure,
            next: 1,
            paid: std::collections::BTreeMap::new(),
            slowest: Duration::ZERO,
            clock: SystemClock::new(),
        }
    }

    /// Pays one into some accounts and awaits each decision.
    pub async fn pay(&mut self, count: i64) {
        for _ in 0..count {
            let (id, account) = (self.next, self.next % ACCOUNTS);
            self.next += 1;
            let amount = 1;
            let input = BankInput::Deposit {
                id,
                account,
                amount,
            };
            let mut bytes = Vec::new();
            BankCodec.encode_input(&input, &mut bytes);
            let partition = slot(account).partition(TOPOLOGY.account_partitions);
            let to = Stage::ACCOUNT.seat(partition).commands();
            let began = self.clock.monotonic();
            let awaited = self.front.ask(to, true, bytes).unwrap();
            let answer = tokio::time::timeout(LONG, self.front.reply(awaited)).await;
            let bytes = answer.unwrap().unwrap().unwrap();
            assert_eq!(reply(&bytes), (id, true));
            self.slowest = self.slowest.max(self.clock.monotonic() - began);
            *self.paid.entry(account).or_default() += amount;
        }
    }

    /// Pays until something has come about.
    pub async fn pay_until(&mut self, done: impl Fn() -> bool) {
        let began = self.clock.monotonic();
        while !done() {
            self.pay(1).await;
            assert!(
                self.clock.monotonic() - began < LONG,
                "it does not come about"
            );
        }
        self.pay(2 * ACCOUNTS).await;
    }

    /// Nothing that was acknowledged is lost (I1), nothing was done twice (I2).
    pub async fn check(&self, processes: &[&Process]) {
        for (&account, &paid) in &self.paid {
            let partition = slot(account).partition(TOPOLOGY.account_partitions);
            assert_eq!(
                balance(processes, partition, account).await,
                paid,
                "of {account}"
            );
        }
        assert_eq!(self.failure.get(), None);
        for process in processes {
            assert_eq!(process.failure.get(), None);
        }
    }

    pub async fn stop(self) {
        let stop = move || {
            self.front.stop();
            self.directory.stop();
        };
        tokio::task::spawn_blocking(stop).await.unwrap();
    }
}

/// What an account has, by whoever owns it.
async fn balance(processes: &[&Process], partition: u32, account: i64) -> i64 {
    for _ in 0..10_000 {
        for process in processes {
            let look = move |owner: &prepx_stage::Partition<BankCodec>| {
                owner.machine().balances.get(&account).copied()
            };
            match process.accounts.query(partition, look).await {
                Ok(balance) => return balance.unwrap_or_default(),
                Err(QueryError::NotOwner { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nobody owns partition {partition}");
}
