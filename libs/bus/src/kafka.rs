//! The engine for Apache Kafka.
//!
//! Owns: how the promises of [`Log`] are kept by brokers. Journal and outputs of an owner's batches go
//! in one transaction under a transactional id of the journal; taking its ids, all of them, fences the
//! owner before (`fence`). Only what is committed is read, up to the last stable offset. Refuses: to
//! run ahead of the brokers, to make topics by the way ([`topics`] does it on demand). Who is to work on which
//! partition is a group's business ([`KafkaLeases`]); no consumer that reads joins one.
//!
//! A handle whose batch is lost to a fence, or whose batch has an unknown outcome, fails as a whole: its
//! watermark must never pass what is not durable. A process opens a handle for each stage partition, so
//! that one's failure is not the other's and one's transactions do not wait for the other's.
//!
//! A sender is a thread, one for each journal that is owned, with a producer a transactional id, and one for
//! batches of nobody; for each producer the client library adds one that polls, one of its own and one a broker. Producers of nobody
//! are made when they are wanted, because most handles only read.

mod asker;
mod config;
mod holder;
mod leases;
mod open;
mod producer;
mod reader;
mod sender;
pub mod topics;

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};

use self::asker::Asker;
pub use self::config::Config;
use self::config::{Names, batch_bytes};
pub use self::holder::holder;
pub use self::leases::{KafkaLeases, Membership};
pub use self::open::OpenError;
use self::open::{nobody, partitions, transactional};
use self::reader::{Found, Reader};
use self::sender::{Ring, Sender, Way, write_fence};
use crate::air::{Air, News, lock};
use crate::location::KafkaLocation;
use crate::{
    AppendError, Batch, FenceError, Log, Owner, Poisoned, Position, ReadError, Record, Told, Topic,
    TopicPartition, WaitError, Watermark,
};

/// A handle on a Kafka cluster. See [`Log`] for what it promises.
pub struct KafkaLog {
    location: KafkaLocation,
    config: Config,
    names: Names,
    /// How many partitions each topic has, by its place in [`Topic::ALL`]; never changed in place.
    partitions: HashMap<Topic, u32>,
    air: Arc<Air>,
    reader: Reader,
    news: Arc<News>,
    /// Held while a batch is accepted, so that a sender gets its batches in the order of positions.
    front: Mutex<Front>,
    /// One fence at a time.
    fencing: Mutex<()>,
    /// Up to where each journal was seen to have nobody's records but its owner's here.
    held: Mutex<HashMap<Owner, u64>>,
    /// Asks where partitions end with what is not decided yet. Made when it is wanted: few handles ask, and it has
    /// threads.
    asker: OnceLock<Result<Asker, String>>,
}

struct Front {
    owners: HashMap<TopicPartition, Owned>,
    nobody: Sender,
}

/// A journal that this handle has fenced.
struct Owned {
    epoch: u32,
    /// None while another fence of it is under way here, or after one that did not succeed.
    sender: Option<Sender>,
}

impl KafkaLog {
    /// Opens a handle. All topics must be there.
    ///
    /// # Errors
    /// A configuration that cannot work, missing topics, brokers that do not answer.
    pub fn open(location: KafkaLocation, config: Config) -> Result<Arc<KafkaLog>, OpenError> {
        config.validate().map_err(OpenError::Config)?;
        let unavailable = |why: String| OpenError::Unavailable {
            brokers: location.brokers.clone(),
            why,
        };
        let failed = |error: KafkaError| unavailable(error.to_string());
        let names = Names::of(&location);
        let consumer = config::consumer(&location, &config, &names);
        let news = Arc::new(News::default());
        let reader = Reader::new(&consumer, names.clone(), config.patience, Arc::clone(&news));
        let reader = reader.map_err(failed)?;
        let partitions = partitions(&reader, &names, &location, &config)?;
        let air = Arc::new(Air::default());
        let told = Arc::clone(&news);
        air.watermark().subscribe(move |_| told.tell());
        let nobody = Way::Nobody(nobody(&location, &config, &names, &air));
        let bytes_max = config.transaction_bytes_max;
        let nobody = Sender::spawn("kafka-nobody".into(), nobody, Arc::clone(&air), bytes_max)
            .map_err(|error| unavailable(error.to_string()))?;
        Ok(Arc::new(KafkaLog {
            partitions,
            air,
            reader,
            news,
            front: Mutex::new(Front {
                owners: HashMap::new(),
                nobody,
            }),
            fencing: Mutex::new(()),
            held: Mutex::default(),
            asker: OnceLock::new(),
            location,
            config,
            names,
        }))
    }

    /// Waits until all that has been accepted is durable, at most for `timeout`.
    ///
    /// # Errors
    /// As [`Log::wait_durable`].
    pub fn flush(&self, timeout: Duration) -> Result<(), WaitError> {
        self.air.wait(self.air.accepted(), timeout)
    }

    /// From now on commits nothing, as if the process had been killed just before: the transaction
    /// that is open, or is opened yet, stays open. For tests of just that.
    pub fn abandon(&self) {
        let front = lock(&self.front);
        let senders = front
            .owners
            .values()
            .filter_map(|owned| owned.sender.as_ref());
        senders.chain([&front.nobody]).for_each(Sender::abandon);
    }

    /// How many partitions a topic has; never changed in place.
    pub fn count(&self, topic: Topic) -> u32 {
        self.partitions.get(&topic).copied().unwrap_or(0)
    }

    fn unavailable(journal: TopicPartition, why: impl ToString) -> FenceError {
        let why = why.to_string();
        FenceError::Unavailable { journal, why }
    }

    /// Takes the transactional ids, then writes the epoch after the newest in the journal. Whoever takes
    /// one of them meanwhile has the last word: the record, or what comes after it, is not committed.
    fn take_over(&self, journal: TopicPartition, who: &str) -> Result<(Ring, Owner), FenceError> {
        let unavailable = |why: String| Self::unavailable(journal, why);
        let mut ring = self.ring(journal).map_err(unavailable)?;
        let newest = self
            .newest(journal)
            .map_err(|error| unavailable(error.to_string()))?;
        let epoch = newest.and_then(|found| found.epoch).unwrap_or(0) + 1;
        let owner = Owner { journal, epoch };
        let end = write_fence(ring.next(), owner, who)
            .map_err(|failure| unavailable(failure.to_string()))?;
        self.air.land([], [(journal, end)]);
        // From here on the end of the journal is final for every earlier epoch, and seen to be.
        let bounds = self
            .reader
            .bounds(journal, end)
            .map_err(|error| unavailable(error.to_string()))?;
        match bounds.end >= end {
            true => Ok((ring, owner)),
            false => Err(unavailable(format!(
                "its end stays at {}, before {end}",
                bounds.end
            ))),
        }
    }

    /// Takes all transactional ids of a journal, side by side, because each takes a while: whoever held them is
    /// fenced when this returns. Of two who take them at once, the one that has the id of the first
    /// transaction writes its epoch.
    fn ring(&self, journal: TopicPartition) -> Result<Ring, String> {
        let take = |id: String| {
            let producer = transactional(&self.location, &self.config, &self.names, &id)?;
            let taken = producer.init_transactions();
            taken
                .map(|()| producer)
                .map_err(|failure| failure.to_string())
        };
        let producers = std::thread::scope(|scope| {
            let ids = self.names.owner(journal);
            let taking: Vec<_> = ids.map(|id| scope.spawn(move || take(id))).collect();
            let panicked = |_| Err("a thread panicked".to_owned());
            let taken = taking.into_iter();
            taken
                .map(|each| each.join().unwrap_or_else(panicked))
                .collect::<Result<_, _>>()
        })?;
        Ok(Ring { producers, turn: 0 })
    }

    /// The newest record of a journal: looked for from its end backwards, in steps that double.
    fn newest(&self, journal: TopicPartition) -> Result<Option<Found>, ReadError> {
        let bounds = self.reader.bounds(journal, self.air.end(journal))?;
        let mut step = 8;
        loop {
            let first = bounds.end.saturating_sub(step).max(bounds.start);
            let (mut at, mut newest) = (first, None);
            while at < bounds.end {
                let (found, _) = self.reader.read(journal, at, 1 << 20, bounds.end)?;
                let Some(last) = found.into_iter().next_back() else {
                    break;
                };
                at = last.record.offset + 1;
                newest = Some(last);
            }
            if newest.is_some() || first == bounds.start {
                return Ok(newest);
            }
            step *= 2;
        }
    }

    /// Whether the owner is the one that this handle knows, and its sender.
    fn sender(front: &Front, owner: Option<Owner>) -> Result<&Sender, AppendError> {
        let Some(owner) = owner else {
            return Ok(&front.nobody);
        };
        let owned = front.owners.get(&owner.journal);
        let current = owned.map_or(0, |owned| owned.epoch);
        let sender = owned.and_then(|owned| owned.sender.as_ref());
        match sender.filter(|_| owner.epoch == current) {
            // Fenced elsewhere: by whom is in the journal.
            Some(sender) if sender.is_fenced() => {
                let current = current + 1;
                Err(AppendError::Fenced { owner, current })
            }
            Some(sender) => Ok(sender),
            None => Err(AppendError::Fenced { owner, current }),
        }
    }

    /// What the brokers show may be known to them before it is known here: the watermark goes first (I8).
    fn wait_for_pending(&self, partition: TopicPartition) {
        if let Some(position) = self.air.pending(partition) {
            self.air.watermark().wait(position, self.config.patience);
        }
    }

    /// Has nothing more fetched of a journal that has been read to its end by its owner: what comes after that
    /// it writes itself.
    fn leave_if_owned(&self, partition: TopicPartition) {
        if lock(&self.front).owners.contains_key(&partition) {
            self.reader.leave(partition);
        }
    }

    fn asker(&self) -> &Result<Asker, String> {
        self.asker.get_or_init(|| {
            let asker = config::asker(&self.location, &self.config);
            let (names, patience) = (self.names.clone(), self.config.patience);
            let reader = Reader::new(&asker, names, patience, Arc::default());
            let reader = reader.map_err(|why| why.to_string())?;
            Asker::spawn(reader, Arc::clone(&self.air)).map_err(|why| why.to_string())
        })
    }

    /// As the trait wants it without an error: what has been tried for so long fails the handle.
    fn bounds(&self, partition: TopicPartition) -> reader::Bounds {
        if partition.partition >= self.count(partition.topic) {
            return reader::Bounds::default();
        }
        let bounds = self.reader.bounds(partition, self.air.end(partition));
        bounds.unwrap_or_else(|error| {
            self.air.fail(&error.to_string());
            reader::Bounds::default()
        })
    }
}

impl Log for KafkaLog {
    fn fence(&self, journal: TopicPartition, who: &str) -> Result<Owner, FenceError> {
        if !journal.topic.is_journal() {
            return Err(FenceError::NotAJournal(journal));
        }
        if journal.partition >= self.count(journal.topic) {
            return Err(FenceError::UnknownPartition(journal));
        }
        if let Some(poisoned) = self.air.watermark().failure() {
            return Err(poisoned.clone().into());
        }
        let _one = lock(&self.fencing);
        // What this handle has in the air for it lands first.
        let before = lock(&self.front)
            .owners
            .get_mut(&journal)
            .and_then(|owned| owned.sender.take());
        if before.is_some() {
            self.wait_for_pending(journal);
        }
        drop(before);
        let (ring, owner) = self.take_over(journal, who)?;
        let sender = Sender::spawn(
            format!("kafka-{journal}"),
            Way::Owner(ring, owner),
            Arc::clone(&self.air),
            self.config.transaction_bytes_max,
        )
        .map_err(|error| Self::unavailable(journal, error))?;
        let owned = Owned {
            epoch: owner.epoch,
            sender: Some(sender),
        };
        lock(&self.front).owners.insert(journal, owned);
        Ok(owner)
    }

    /// Whoever fences leaves a record, so a journal that has not grown is whose it was.
    fn holds(&self, owner: Owner) -> Result<bool, ReadError> {
        let Owner { journal, epoch } = owner;
        // Who takes the ids has not written its epoch yet.
        if Self::sender(&lock(&self.front), Some(owner)).is_err() {
            return Ok(false);
        }
        let end = self.reader.bounds(journal, 0)?.end;
        if lock(&self.held).get(&owner) == Some(&end) {
            return Ok(true);
        }
        let newest = self.newest(journal)?.and_then(|found| found.epoch);
        self.leave_if_owned(journal);
        let holds = newest.unwrap_or(0) <= epoch;
        if holds {
            lock(&self.held).insert(owner, end);
        }
        Ok(holds)
    }

    fn append(&self, owner: Option<Owner>, batch: &Batch) -> Result<Position, AppendError> {
        let batch_bytes = batch_bytes(batch);
        batch.check(owner, batch_bytes, self.config.batch_bytes_max, |topic| {
            self.count(topic)
        })?;
        let front = lock(&self.front);
        let sender = Self::sender(&front, owner)?;
        let position = self
            .air
            .accept(batch, batch_bytes, self.config.buffer_bytes)?;
        sender.push(position, batch.clone());
        Ok(position)
    }

    fn watermark(&self) -> &Watermark {
        self.air.watermark()
    }

    fn read(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let (records, _) = self.search(partition, from, max_bytes)?;
        Ok(records)
    }

    /// One round trip finds the end and what stands before it.
    fn search(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<(Vec<Record>, u64), ReadError> {
        if partition.partition >= self.count(partition.topic) {
            return match from {
                0 => Ok((Vec::new(), 0)),
                wanted => Err(ReadError::PastEnd {
                    partition,
                    wanted,
                    end: 0,
                }),
            };
        }
        let mut at = from;
        loop {
            let (found, bounds) =
                self.reader
                    .read(partition, at, max_bytes, self.air.end(partition))?;
            let Some(last) = found.last() else {
                self.leave_if_owned(partition);
                return Ok((Vec::new(), bounds.end));
            };
            at = last.record.offset + 1;
            let shown = found.into_iter().filter(|found| !found.fence);
            let records: Vec<Record> = shown.map(|found| found.record).collect();
            if !records.is_empty() {
                self.wait_for_pending(partition);
                return Ok((records, at));
            }
        }
    }

    fn poll(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        if partition.partition >= self.count(partition.topic) {
            return self.read(partition, from, max_bytes);
        }
        let records = self.reader.poll(partition, from, max_bytes)?;
        if !records.is_empty() {
            self.wait_for_pending(partition);
        }
        Ok(records)
    }

    fn on_news(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.news.subscribe(hook);
    }

    fn start(&self, partition: TopicPartition) -> u64 {
        self.bounds(partition).start
    }

    fn end(&self, partition: TopicPartition) -> u64 {
        let end = self.bounds(partition).end;
        self.wait_for_pending(partition);
        end
    }

    /// The high watermark. What was acknowledged stands before it, because a commit follows the writing of all replicas
    /// in sync; the last stable offset follows the commit some ms later.
    fn told_ends(&self, partitions: &[TopicPartition], told: Told) {
        let is_there = |at: &TopicPartition| at.partition < self.count(at.topic);
        if !partitions.iter().all(is_there) {
            return;
        }
        match self.asker() {
            Ok(asker) => asker.ask(partitions, told),
            Err(why) => drop(self.air.fail(why)),
        }
    }

    fn accepted_end(&self, partition: TopicPartition) -> u64 {
        self.end(partition)
    }

    fn runs_ahead(&self) -> bool {
        false
    }

    /// Has the brokers delete. The newest record of a journal stays, because it holds the epoch.
    fn truncate_before(&self, partition: TopicPartition, offset: u64) -> Result<(), Poisoned> {
        let fail = |why: String| self.air.fail(&format!("retention of {partition}: {why}"));
        let bounds = self.bounds(partition);
        let mut before = offset.min(bounds.end);
        if partition.topic.is_journal() {
            let newest = self
                .newest(partition)
                .map_err(|error| fail(error.to_string()))?;
            before = before.min(newest.map_or(0, |found| found.record.offset));
        }
        if before <= bounds.start {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        let (topic, number) = (
            self.names.topic(partition.topic),
            partition.partition as i32,
        );
        list.add_partition_offset(&topic, number, Offset::Offset(before as i64))
            .map_err(|error| fail(error.to_string()))?;
        let options = AdminOptions::new().operation_timeout(Some(self.config.patience));
        // Made when it is wanted: few handles ever delete, and it has threads.
        let admin: KafkaResult<AdminClient<DefaultClientContext>> =
            config::client(&self.location, &self.config.id).create();
        let admin = admin.map_err(|error| fail(error.to_string()))?;
        let deleted = wait_for(admin.delete_records(&list, &options));
        self.reader.forget(partition);
        let each = deleted.map_err(|error| fail(error.to_string()))?;
        let failed = each.elements().iter().find_map(|each| each.error().err());
        failed.map_or(Ok(()), |error| Err(fail(error.to_string())))
    }

    fn wait_durable(&self, position: Position, timeout: Duration) -> Result<(), WaitError> {
        self.air.wait(position, timeout)
    }
}

/// Waits for an answer of the client library's own threads.
fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
