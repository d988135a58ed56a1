//! Brokers in memory that do everything that Apache Kafka may do, as a seed decides.
//!
//! Owns every way in which Kafka differs from one log: transactions that become visible in one partition
//! after another and leave gaps in the offsets, transactional ids that fence the previous holder, handles
//! with their own watermarks that fail when a batch is lost or its outcome unknown, reads that lag, records
//! that are visible before their sender knows that they are durable. There is no thread and no time: things
//! happen in [`Brokers::step`], or in a call that waits for them, so the seed determines the run (I7).
//! Refuses: to lose what is committed, because replication is not modelled; to be used outside of tests.
//!
//! It keeps the promises of [`Log`] that the conformance suite checks, and no others.

mod cluster;
mod sender;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

pub use self::cluster::Tally;
use self::cluster::{Cluster, Weather};
use self::sender::Sender;
use self::world::{Life, Process, World};
use crate::in_flight::{InFlight, News, lock};
use crate::{
    AppendError, Batch, EndsCallback, FenceError, Log, Owner, Poisoned, Position, ReadError,
    Record, Topic, TopicPartition, WaitError, Watermark,
};

/// The bounds of the handles.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The number of partitions of a topic.
    pub partitions: fn(Topic) -> u32,
    /// The most bytes that are accepted and not yet durable; beyond that [`AppendError::Full`].
    pub buffer_bytes: u64,
    /// The largest batch, with its framing.
    pub batch_bytes_max: u64,
}

/// The size of a record besides its payload.
const RECORD_BYTES: u64 = 64;

/// The brokers. Clones are the same.
#[derive(Clone)]
pub struct Brokers {
    config: Config,
    world: Arc<Mutex<World>>,
}

impl Brokers {
    /// Brokers without records; everything random comes from `seed`.
    pub fn new(seed: u64, config: Config) -> Brokers {
        let world = World {
            cluster: Cluster::new(seed),
            weather: Weather::Calm,
            handles: Vec::new(),
        };
        Brokers {
            config,
            world: Arc::new(Mutex::new(world)),
        }
    }

    /// A new handle, as another process would open it.
    pub fn handle(&self) -> Arc<BrokerLog> {
        let (in_flight, news) = (Arc::new(InFlight::default()), Arc::new(News::default()));
        let notified = Arc::clone(&news);
        in_flight.watermark().subscribe(move |_| notified.notify());
        let mut world = lock(&self.world);
        let at = world.handles.len();
        world.handles.push(Process {
            in_flight: Arc::clone(&in_flight),
            news: Arc::clone(&news),
            senders: BTreeMap::from([(None, Sender::of_nobody(at))]),
            epochs: BTreeMap::new(),
            followed: BTreeMap::new(),
            life: Life::Running,
        });
        Arc::new(BrokerLog {
            brokers: self.clone(),
            at,
            in_flight,
            news,
        })
    }

    /// Whether from now on answers are lost and brokers are away now and then.
    pub fn set_rough(&self, rough: bool) {
        lock(&self.world).weather = match rough {
            true => Weather::Rough,
            false => Weather::Calm,
        };
    }

    /// One of the next answers to a sender is lost: before or after its request was carried out.
    pub fn lose_answer(&self) {
        lock(&self.world).cluster.lose_answer = true;
    }

    /// One of the possible next events happens; returns whether there was any.
    pub fn step(&self) -> bool {
        let mut world = lock(&self.world);
        let mut chances = world.chances();
        chances.extend(world.timeouts());
        world.draw(chances)
    }

    /// Everything that only takes time happens. Transactions of paused or dead processes stay open.
    pub fn settle(&self) {
        let mut world = lock(&self.world);
        loop {
            let chances = world.chances();
            if !world.draw(chances) {
                return;
            }
        }
    }

    /// How often each kind of fault has happened.
    pub fn tally(&self) -> Tally {
        lock(&self.world).cluster.tally
    }

    /// The brokers abort the transactions of paused and dead processes.
    pub fn expire(&self) {
        let mut world = lock(&self.world);
        for late in world.cluster.open() {
            let alive = world.is_alive(late);
            if !alive {
                world.cluster.expire(late);
            }
        }
    }
}

/// One process's handle on [`Brokers`].
pub struct BrokerLog {
    brokers: Brokers,
    at: usize,
    in_flight: Arc<InFlight>,
    news: Arc<News>,
}

impl BrokerLog {
    /// Waits until all that has been accepted is durable, or never will be.
    pub fn flush(&self) {
        self.world().wait(self.at, self.in_flight.accepted());
    }

    /// `kill -9`: open transactions stay as they are.
    pub fn kill(&self) {
        self.set_life(Life::Dead);
    }

    /// `SIGSTOP`, or `SIGCONT`.
    pub fn pause(&self, paused: bool) {
        self.set_life(match paused {
            true => Life::Paused,
            false => Life::Running,
        });
    }

    fn set_life(&self, life: Life) {
        let mut world = self.world();
        let process = &mut world.handles[self.at];
        if process.life != Life::Dead {
            process.life = life;
        }
        if life == Life::Dead {
            process.senders.clear();
            process.followed.clear();
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.brokers.world)
    }

    /// Lets background work happen that has become possible since the last call.
    fn call(&self) -> MutexGuard<'_, World> {
        let mut world = self.world();
        world.pass();
        world
    }

    fn has(&self, partition: TopicPartition) -> bool {
        partition.partition < (self.brokers.config.partitions)(partition.topic)
    }

    /// Whether the owner may append, by the state of its sender.
    fn check_owner(&self, world: &World, owner: Owner) -> Result<(), AppendError> {
        let process = &world.handles[self.at];
        let current = process.epochs.get(&owner.journal).copied().unwrap_or(0);
        let sender = process.senders.get(&Some(owner.journal));
        match sender.filter(|_| owner.epoch == current) {
            // Fenced by another handle; the journal says by which.
            Some(sender) if sender.fenced => Err(AppendError::Fenced {
                owner,
                current: current + 1,
            }),
            Some(_) => Ok(()),
            None => Err(AppendError::Fenced { owner, current }),
        }
    }
}

impl Log for BrokerLog {
    fn fence(&self, journal: TopicPartition, who: &str) -> Result<Owner, FenceError> {
        if !journal.topic.is_journal() {
            return Err(FenceError::NotAJournal(journal));
        }
        if !self.has(journal) {
            return Err(FenceError::UnknownPartition(journal));
        }
        if let Some(poisoned) = self.in_flight.watermark().failure() {
            return Err(poisoned.clone().into());
        }
        let mut world = self.call();
        world.take_over(self.at, journal, who).map_err(|why| {
            world.cluster.tally.refused += 1;
            let why = why.into();
            FenceError::Unavailable { journal, why }
        })
    }

    fn holds(&self, owner: Owner) -> Result<bool, ReadError> {
        Ok(self.call().cluster.epoch(owner.journal) <= owner.epoch)
    }

    fn append(&self, owner: Option<Owner>, batch: &Batch) -> Result<Position, AppendError> {
        let config = self.brokers.config;
        let batch_bytes = batch.payload_bytes() as u64 + RECORD_BYTES * batch.len() as u64;
        batch.check(
            owner,
            batch_bytes,
            config.batch_bytes_max,
            config.partitions,
        )?;
        let mut world = self.call();
        if let Some(owner) = owner {
            self.check_owner(&world, owner)?;
        }
        let position = self
            .in_flight
            .accept(batch, batch_bytes, config.buffer_bytes)?;
        let senders = &mut world.handles[self.at].senders;
        if let Some(sender) = senders.get_mut(&owner.map(|owner| owner.journal)) {
            sender.push(position, batch.clone());
        }
        Ok(position)
    }

    fn watermark(&self) -> &Watermark {
        self.in_flight.watermark()
    }

    fn read(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let mut world = self.call();
        let (start, end) = (
            world.cluster.start(partition),
            world.end(self.at, partition),
        );
        ReadError::check(partition, from, (start, end))?;
        let records = world.records(partition, from, end, max_bytes);
        if !records.is_empty() {
            // What the brokers show may be visible to them before it is known to be durable here (I8).
            world.land(self.at, partition);
        }
        Ok(records)
    }

    fn poll(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let mut world = self.call();
        let start = world.cluster.start(partition);
        ReadError::check(partition, from, (start, u64::MAX))?;
        let place = world.handles[self.at].followed.get(&partition);
        let until = match place {
            Some(&(next, until)) if next == from => until,
            _ => from,
        };
        let records = world.records(partition, from, until, max_bytes);
        let next = records.last().map_or(from, |last| last.offset + 1);
        let place = (next, until.max(next));
        world.handles[self.at].followed.insert(partition, place);
        match records.is_empty() {
            // Usually more records are on their way here.
            true => world.arrive(self.at, partition),
            false => world.land(self.at, partition),
        }
        Ok(records)
    }

    fn on_news(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.news.subscribe(hook);
    }

    fn start(&self, partition: TopicPartition) -> u64 {
        self.call().cluster.start(partition)
    }

    fn end(&self, partition: TopicPartition) -> u64 {
        let mut world = self.call();
        let end = world.end(self.at, partition);
        world.land(self.at, partition);
        end
    }

    fn acknowledged_ends(&self, partitions: &[TopicPartition], callback: EndsCallback) {
        let high = |&at: &TopicPartition| self.call().cluster.high(at);
        callback(partitions.iter().map(high).collect());
    }

    fn accepted_end(&self, partition: TopicPartition) -> u64 {
        self.end(partition)
    }

    fn runs_ahead(&self) -> bool {
        false
    }

    fn truncate_before(&self, partition: TopicPartition, offset: u64) -> Result<(), Poisoned> {
        self.call().cluster.truncate(partition, offset);
        Ok(())
    }

    fn wait_durable(&self, position: Position, timeout: Duration) -> Result<(), WaitError> {
        self.call().wait(self.at, position);
        // Nothing else moves the watermark meanwhile.
        self.in_flight.wait(position, timeout.min(Duration::ZERO))
    }
}
