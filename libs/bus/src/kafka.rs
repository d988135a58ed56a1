//! The engine for Apache Kafka.
//!
//! Owns: how brokers keep the promises of [`Log`]. The journal record and the outputs of an owner's batch go
//! in one transaction, under a transactional id of the journal. Taking all of a journal's ids fences its
//! previous owner (`fencing`). Reads see committed records only, up to the last stable offset.
//! Refuses: to run ahead of the brokers, and to create topics on the side ([`topics`] does so on demand).
//! Which process works on which partition is decided by a consumer group ([`KafkaLeases`]); consumers that
//! read join none.
//!
//! A handle fails as a whole when a batch is lost to a fence or has an unknown outcome, because its watermark
//! must never pass what is not durable. A process therefore opens one handle for each stage partition: one
//! partition's failure does not fail another, and their transactions do not wait for each other.
//!
//! Each owned journal has a sender thread with one producer for each transactional id, and one more sender
//! serves batches without an owner. For each producer the client library adds a polling thread, one of its
//! own and one for each broker. Producers for batches without an owner are made on first use, because most
//! handles only read.

mod asker;
mod config;
mod deletion;
mod fencing;
mod holder;
mod leases;
mod open;
mod producer;
mod reader;
mod sender;
pub mod topics;
mod waiting;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rdkafka::error::KafkaError;

use self::asker::Asker;
pub use self::config::Config;
use self::config::{Names, batch_bytes};
pub use self::holder::holder;
pub use self::leases::{KafkaLeases, Membership};
pub use self::open::OpenError;
use self::open::{nobody, partitions};
use self::reader::Reader;
use self::sender::{Sender, Way};
use crate::in_flight::{InFlight, News, lock};
use crate::location::KafkaLocation;
use crate::{
    AppendError, Batch, EndsCallback, FenceError, Log, Owner, Poisoned, Position, ReadError,
    Record, Topic, TopicPartition, WaitError, Watermark,
};

/// A handle on a Kafka cluster. See [`Log`] for what it promises.
pub struct KafkaLog {
    location: KafkaLocation,
    config: Config,
    names: Names,
    /// How many partitions each topic has, by its place in [`Topic::ALL`]; never changed in place.
    partitions: HashMap<Topic, u32>,
    in_flight: Arc<InFlight>,
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
        let checked = location.check();
        checked.map_err(|file| OpenError::Config(format!("URL has {file}")))?;
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
        let in_flight = Arc::new(InFlight::default());
        let notified = Arc::clone(&news);
        in_flight.watermark().subscribe(move |_| notified.notify());
        let nobody = Way::Nobody(nobody(&location, &config, &names, &in_flight));
        let bytes_max = config.transaction_bytes_max;
        let nobody = Sender::spawn(
            "kafka-nobody".into(),
            nobody,
            Arc::clone(&in_flight),
            bytes_max,
        )
        .map_err(|error| unavailable(error.to_string()))?;
        Ok(Arc::new(KafkaLog {
            partitions,
            in_flight,
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
        self.in_flight.wait(self.in_flight.accepted(), timeout)
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
        if let Some(position) = self.in_flight.pending(partition) {
            self.in_flight
                .watermark()
                .wait(position, self.config.patience);
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
            Asker::spawn(reader, Arc::clone(&self.in_flight)).map_err(|why| why.to_string())
        })
    }

    /// As the trait wants it without an error: what has been tried for so long fails the handle.
    fn bounds(&self, partition: TopicPartition) -> reader::Bounds {
        if partition.partition >= self.count(partition.topic) {
            return reader::Bounds::default();
        }
        let bounds = self.reader.bounds(partition, self.in_flight.end(partition));
        bounds.unwrap_or_else(|error| {
            self.in_flight.fail(&error.to_string());
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
        if let Some(poisoned) = self.in_flight.watermark().failure() {
            return Err(poisoned.clone().into());
        }
        self.fence_journal(journal, who)
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
            .in_flight
            .accept(batch, batch_bytes, self.config.buffer_bytes)?;
        sender.push(position, batch.clone());
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
                    .read(partition, at, max_bytes, self.in_flight.end(partition))?;
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

    fn leave(&self, partition: TopicPartition) {
        self.reader.leave(partition);
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
    fn acknowledged_ends(&self, partitions: &[TopicPartition], callback: EndsCallback) {
        let is_there = |at: &TopicPartition| at.partition < self.count(at.topic);
        if !partitions.iter().all(is_there) {
            return;
        }
        match self.asker() {
            Ok(asker) => asker.ask(partitions, callback),
            Err(why) => drop(self.in_flight.fail(why)),
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
        self.delete_before(partition, offset)
    }

    fn wait_durable(&self, position: Position, timeout: Duration) -> Result<(), WaitError> {
        self.in_flight.wait(position, timeout)
    }
}
