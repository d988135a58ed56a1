//! The partitions of one stage that this process owns, as leases come and go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use prepx_bus::{Change, Leases, Log};
use prepx_env::Clock;
use prepx_stage::{Archives, Codec, Pace, Partition, Snapshots, Stage, Standby, Topology};
use tokio::sync::oneshot;

use crate::bell::Bell;
use crate::keeping::Keeping;
use crate::order::Order;
use crate::release::Deliver;
use crate::seat::{self, Look, Seated};
use crate::standing::{Here, Standbys, Standing};
use crate::{BoxError, Failure, Gate, Logs, QueryError, RETRY_AFTER};

/// How long to wait for the group's word, and how long while partitions are let go of.
const CALL: Duration = Duration::from_millis(100);
const CALL_ENDING: Duration = Duration::from_millis(5);
/// For how many sessions a process may prepare what it stands by for before it joins the group all the same.
const WARM_UP_SESSIONS: u32 = 2;
/// How often proofs of ownership are looked after, in a session.
const PROOFS_A_SESSION: u32 = 16;
/// How long letting go of everything may take when the process ends.
const LEAVE: Duration = Duration::from_secs(10);
const LEAVE_LOOK: Duration = Duration::from_millis(5);

/// How a process runs partitions of a stage.
#[derive(Clone)]
pub struct Options {
    /// Which stage.
    pub stage: Stage,
    /// How many partitions there are.
    pub topology: Topology,
    /// The log.
    pub logs: Logs,
    /// The handle that replies are sent with: one whose failure ends the process.
    pub replies: Arc<dyn Log>,
    /// Where snapshots are; the same place for all processes.
    pub snapshots: Snapshots,
    /// When one is due.
    pub pace: Pace,
    /// Where journals are archived, if they are; the same place for all processes.
    pub archives: Option<Archives>,
    /// How much this process stands by for that others have.
    pub standbys: Standbys,
    /// Which process this is, for people.
    pub who: String,
    /// Where other processes reach this one, `host:port`.
    pub address: String,
    /// Most reads that may be under way.
    pub reads_max: usize,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Told of what ends the whole process: an input that cannot be decided, a damaged journal, a panic.
    pub failure: Failure,
    /// Whether no other process shares the stage: one that takes a partition over has replaced this one, which
    /// ends then.
    pub alone: bool,
}

/// The partitions of one stage that this process owns. Clones are the same.
pub struct Seats<C: Codec>(Arc<Shared<C>>);

impl<C: Codec> Clone for Seats<C> {
    fn clone(&self) -> Seats<C> {
        Seats(Arc::clone(&self.0))
    }
}

struct Shared<C: Codec> {
    codec: Arc<C>,
    options: Options,
    leases: Arc<dyn Leases>,
    reads: Gate,
    /// What is granted and not let go of.
    seated: Mutex<BTreeMap<u32, Seated<C>>>,
    /// What this process has of each partition that it may come to own.
    standbys: Vec<Arc<Standby<C>>>,
    /// The last epoch under which each partition was owned here.
    epochs: Vec<Arc<AtomicU32>>,
    stop: Arc<AtomicBool>,
    keeper: Arc<Bell>,
    prover: Bell,
    /// Rung when the process has what it stands by for.
    warm: Arc<Bell>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<C: Codec> Seats<C> {
    /// Takes over what `leases` grant, from now on: one lease a partition of the stage. See
    /// [`Self::wait_for_all`].
    ///
    /// # Errors
    /// When there are no threads to be had.
    pub fn open(
        codec: Arc<C>,
        options: Options,
        leases: Arc<dyn Leases>,
    ) -> Result<Seats<C>, BoxError> {
        let (count, stage) = (
            options.topology.partitions(options.stage.journal),
            options.stage,
        );
        let standby = |partition| {
            let (codec, snapshots) = (Arc::clone(&codec), options.snapshots.clone());
            Arc::new(Standby::new(codec, stage.seat(partition), snapshots))
        };
        let seats = Seats(Arc::new(Shared {
            standbys: (0..count).map(standby).collect(),
            codec,
            leases,
            reads: Gate::new("reads", options.reads_max),
            options,
            seated: Mutex::default(),
            epochs: (0..count).map(|_| Arc::default()).collect(),
            stop: Arc::default(),
            keeper: Arc::default(),
            prover: Bell::default(),
            warm: Arc::default(),
            threads: Mutex::default(),
        }));
        let keeping = seats.keeping();
        let (stop, bell) = (Arc::clone(&seats.0.stop), Arc::clone(&seats.0.keeper));
        seats.spawn("keeper", move || keeping.run(&stop, &bell))?;
        let shared = Arc::clone(&seats.0);
        seats.spawn("proofs", move || shared.renew_proofs())?;
        let shared = Arc::clone(&seats.0);
        seats.spawn("leases", move || shared.follow_leases())?;
        Ok(seats)
    }

    fn spawn(&self, what: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let options = &self.0.options;
        let (name, failure) = (
            format!("{what} {}", options.stage.journal),
            options.failure.clone(),
        );
        let thread = thread::Builder::new().name(name).spawn(move || {
            let _alarm = failure.alarm();
            run();
        })?;
        lock(&self.0.threads).push(thread);
        Ok(())
    }

    fn keeping(&self) -> Keeping<C> {
        let shared = &self.0;
        let seats = Arc::downgrade(shared);
        let here = move || {
            seats
                .upgrade()
                .map_or_else(Here::new, |shared| shared.here())
        };
        let (options, session) = (&shared.options, shared.leases.session());
        let standing = Standing::new(
            options.stage.journal.name(),
            shared.standbys.clone(),
            options.standbys,
            session,
            &options.who,
        );
        Keeping {
            codec: Arc::clone(&shared.codec),
            stage: options.stage,
            logs: Arc::clone(&options.logs),
            snapshots: options.snapshots.clone(),
            pace: options.pace,
            archives: options.archives.clone(),
            clock: Arc::clone(&options.clock),
            here: Box::new(here),
            standing,
            warm: Arc::clone(&shared.warm),
            is_warm: false,
        }
    }

    /// Looks into a partition's memory; returns when everything that was seen is durable. `look` runs on
    /// the partition's thread: it must be short.
    ///
    /// # Errors
    /// When this process does not own the partition, or cannot answer for it.
    pub async fn query<T: Send + 'static>(
        &self,
        partition: u32,
        look: impl FnOnce(&Partition<C>) -> T + Send + 'static,
    ) -> Result<T, QueryError> {
        let busy = QueryError::Busy {
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
        let seated = lock(&self.0.seated).get(&partition).cloned();
        if !seated.is_some_and(|seated| seated.look(look)) {
            return Err(self.gone(partition));
        }
        answered.await.map_err(|_| self.gone(partition))
    }

    fn gone(&self, partition: u32) -> QueryError {
        let epoch = self.0.epochs.get(partition as usize);
        let epoch = epoch.map_or(0, |epoch| epoch.load(Ordering::Acquire));
        match self.0.options.failure.get() {
            Some(failure) => QueryError::Unavailable(failure.to_string()),
            None => QueryError::NotOwner { epoch },
        }
    }

    /// The partitions that are owned here now.
    pub fn owned(&self) -> Vec<u32> {
        self.0.owned().into_iter().map(|(owned, _)| owned).collect()
    }

    /// The partitions that this process has a copy of, to take them over with.
    pub fn standing_by(&self) -> Vec<u32> {
        let standbys = self.0.standbys.iter();
        let held = standbys.filter(|standby| standby.next_offset().is_some());
        held.map(|standby| standby.seat().partition).collect()
    }

    /// Waits until every partition is owned here: for a process that shares with nobody. Blocks.
    ///
    /// # Errors
    /// When it is not so within `timeout`, or the order path has failed.
    pub fn wait_for_all(&self, timeout: Duration) -> Result<(), BoxError> {
        let (clock, count) = (&self.0.options.clock, self.0.epochs.len());
        let deadline = clock.monotonic() + timeout;
        loop {
            if let Some(failure) = self.0.options.failure.get() {
                return Err(failure.to_string().into());
            }
            let owned = self.owned();
            if owned.len() == count {
                return Ok(());
            }
            if clock.monotonic() > deadline {
                let journal = self.0.options.stage.journal;
                let why = format!(
                    "of the {count} partitions of {journal} only {owned:?} are owned here after \
                     {timeout:?}"
                );
                return Err(why.into());
            }
            thread::sleep(LEAVE_LOOK);
        }
    }

    /// Which stage it is.
    pub fn stage(&self) -> Stage {
        self.0.options.stage
    }

    /// How many partitions there are, here and elsewhere.
    pub fn topology(&self) -> Topology {
        self.0.options.topology
    }

    /// What the stage's bytes are written and read with.
    pub fn codec(&self) -> &Arc<C> {
        &self.0.codec
    }

    /// Leaves the group, works on for as long as other processes may take to take over, then lets go of what is left and
    /// ends the threads. Blocks, for a bounded time.
    pub fn stop(&self) {
        let shared = &self.0;
        shared.leases.leave();
        if !shared.options.alone {
            shared.wait_for_none(shared.leases.session());
        }
        shared.order_all(Order::LetGo);
        shared.wait_for_none(LEAVE);
        shared.order_all(Order::Drop);
        shared.stop.store(true, Ordering::Release);
        shared.keeper.ring();
        shared.prover.ring();
        shared.warm.ring();
        let threads = std::mem::take(&mut *lock(&shared.threads));
        for thread in threads {
            // A panic there has been told of by its alarm.
            let _ = thread.join();
        }
    }
}

impl<C: Codec> Shared<C> {
    /// What is owned now, not only granted.
    fn owned(&self) -> Vec<(u32, Seated<C>)> {
        let seated = lock(&self.seated);
        let owned = seated
            .iter()
            .filter(|(_, seated)| seated.post().proof.is_open());
        owned
            .map(|(number, seated)| (*number, seated.clone()))
            .collect()
    }

    /// What is granted, and how many events what is owned has seen.
    fn here(&self) -> Here {
        let events = |seated: &Seated<C>| {
            let post = seated.post();
            let open = post.proof.is_open();
            open.then(|| post.events.load(Ordering::Relaxed))
        };
        let seated = lock(&self.seated);
        seated
            .iter()
            .map(|(number, seated)| (*number, events(seated)))
            .collect()
    }

    /// Waits until nothing is owned here any more, at most for `timeout`.
    fn wait_for_none(&self, timeout: Duration) {
        let mut looks = timeout.as_millis() / LEAVE_LOOK.as_millis();
        let failure = &self.options.failure;
        while !lock(&self.seated).is_empty() && failure.get().is_none() && looks > 0 {
            thread::sleep(LEAVE_LOOK);
            looks -= 1;
        }
    }

    fn order_all(&self, order: Order) {
        let seated = lock(&self.seated);
        seated
            .values()
            .for_each(|seated| seated.post().order(order));
    }

    /// Asks the log who owns what is owned here, where that has not been certain for a while.
    fn renew_proofs(&self) {
        let pause = self.leases.session() / PROOFS_A_SESSION;
        while !self.stop.load(Ordering::Acquire) {
            for (_, seated) in self.owned() {
                let post = seated.post();
                if post.proof.renew(self.options.clock.monotonic()) {
                    post.bell.ring();
                }
            }
            self.prover.wait(pause);
        }
    }

    /// Follows the group's word until this is stopped; asked for the first time, the group counts on this process.
    fn follow_leases(&self) {
        self.warm.wait(self.leases.session() * WARM_UP_SESSIONS);
        while !self.stop.load(Ordering::Acquire) {
            let ending = self.let_go();
            match self.leases.next(if ending { CALL_ENDING } else { CALL }) {
                Ok(None) => {}
                Ok(Some(change)) => self.follow(change),
                Err(error) => return self.options.failure.fail(&error.to_string()),
            }
        }
        self.order_all(Order::Drop);
    }

    fn follow(&self, change: Change) {
        let stage = self.options.stage;
        match change {
            Change::Granted(partition) => {
                tracing::info!(seat = %stage.seat(partition), "granted");
                self.take(partition);
            }
            Change::Revoked(partition) => {
                tracing::info!(seat = %stage.seat(partition), "yields to another process");
                self.yield_to_others(partition);
                self.leases.release(partition);
            }
            Change::Lost(partition) => {
                tracing::warn!(seat = %stage.seat(partition), "lost: the group has not heard of this process");
                self.yield_to_others(partition);
            }
        }
    }

    fn yield_to_others(&self, partition: u32) {
        if let Some(seated) = lock(&self.seated).get(&partition) {
            seated.post().order(Order::Yield);
        }
    }

    /// Starts the thread of a partition, unless it is owned here still.
    fn take(&self, partition: u32) {
        let kept = |seated: &Seated<C>| {
            seated.post().proof.doubt();
            seated.post().orders.keep()
        };
        if lock(&self.seated).get(&partition).is_some_and(kept) {
            return;
        }
        let Some(epoch) = self.epochs.get(partition as usize).map(Arc::clone) else {
            return tracing::error!(partition, "granted, and no partition of the stage");
        };
        let standby = Arc::clone(&self.standbys[partition as usize]);
        let seat = standby.seat();
        let session = self.leases.session();
        match seat::start(&self.codec, standby, &self.options, session, epoch) {
            Ok((seated, thread)) => {
                let mut threads = lock(&self.threads);
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
                let before = lock(&self.seated).insert(partition, seated);
                before
                    .iter()
                    .for_each(|before| before.post().order(Order::Drop));
            }
            Err(error) => self.options.failure.fail(&format!(
                "a thread for {seat} could not be started: {error}"
            )),
        }
    }

    /// Forgets what has ended. Whether something is being let go of.
    fn let_go(&self) -> bool {
        let mut seated = lock(&self.seated);
        let orders = |seated: &Seated<C>| seated.post().orders.is_finished();
        let finished: Vec<u32> = seated
            .iter()
            .filter(|(_, seated)| orders(seated))
            .map(|(number, _)| *number)
            .collect();
        for partition in finished {
            seated.remove(&partition);
        }
        let ending = |seated: &Seated<C>| seated.post().orders.current() >= Order::LetGo;
        seated.values().any(ending)
    }
}

/// Nothing under these locks is left half done by a panic that matters: its thread ends the process.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
