//! A sender: the thread that brings the batches of one owner, or those without an owner, to the brokers.
//!
//! Owns: their order, one transaction for the batches that wait together, retries of what was aborted.
//! Refuses: to go on after a fence or an unknown outcome.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::config::batch_bytes;
use super::producer::{Failure, Producer, Sent, journal_headers};
use crate::in_flight::{InFlight, lock};
use crate::{Batch, Owner, Position, TopicPartition};

/// A transaction that the brokers abort is tried again this often.
const TRIES: usize = 10;

/// How long what a new owner writes first is gathered: its address, its epoch and its first decisions, for which callers
/// have waited through the takeover, go into one transaction.
const GATHER: Duration = Duration::from_millis(10);

/// A batch that waits for its turn.
type Waiting = (Position, Batch);

/// How a sender writes.
pub(super) enum Way {
    /// In transactions, as the owner of a journal.
    Owner(Ring, Owner),
    /// A single record without a transaction, several in one.
    Nobody(Nobody),
}

/// The producers of one owner, each with a transactional id of its own, taken in turn: the brokers
/// finish a transaction some time after they have acknowledged its commit, and refuse its id until
/// then. The next transaction does not wait for that; it begins when the commit before it stands.
pub(super) struct Ring {
    pub(super) producers: Vec<Producer>,
    /// Whose turn it is, counted on and on.
    pub(super) turn: usize,
}

impl Ring {
    pub(super) fn next(&mut self) -> &Producer {
        self.turn = (self.turn + 1) % self.producers.len();
        &self.producers[self.turn]
    }
}

/// What the sender of batches without an owner has.
pub(super) struct Nobody {
    /// Lands each record by itself when it is delivered.
    pub(super) plain: Made,
    /// For batches of several records.
    pub(super) transactional: Made,
}

/// A producer that is made when it is first wanted: most handles only read, and each producer has threads.
pub(super) struct Made {
    producer: Option<Producer>,
    make: Box<dyn Fn() -> Result<Producer, Failure> + Send>,
}

impl Made {
    pub(super) fn by(make: impl Fn() -> Result<Producer, Failure> + Send + 'static) -> Made {
        Made {
            producer: None,
            make: Box::new(make),
        }
    }

    fn get(&mut self) -> Result<&Producer, Failure> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => (self.make)()?,
        };
        Ok(self.producer.insert(producer))
    }
}

/// A sender's handle. Dropped, it finishes what it has begun and leaves the rest.
pub(super) struct Sender {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Waiting>>,
    arrived: Condvar,
    closing: AtomicBool,
    /// Nothing is finished any more, as if the process had been killed.
    abandoned: AtomicBool,
    /// The owner is stale.
    fenced: AtomicBool,
}

impl Sender {
    pub(super) fn spawn(
        name: String,
        way: Way,
        in_flight: Arc<InFlight>,
        transaction_bytes_max: u64,
    ) -> std::io::Result<Sender> {
        let queue = Arc::new(Queue::default());
        let mut run = Run {
            queue: Arc::clone(&queue),
            in_flight,
            way,
            transaction_bytes_max,
        };
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || run.run())?;
        Ok(Sender {
            queue,
            thread: Some(thread),
        })
    }

    /// Queues what [`InFlight::accept`] has taken. Its bound is this queue's bound.
    pub(super) fn push(&self, position: Position, batch: Batch) {
        lock(&self.queue.waiting).push_back((position, batch));
        self.queue.arrived.notify_one();
    }

    /// Whether the brokers have said that the owner is stale.
    pub(super) fn is_fenced(&self) -> bool {
        self.queue.fenced.load(Ordering::Acquire)
    }

    pub(super) fn abandon(&self) {
        self.queue.abandoned.store(true, Ordering::Release);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        {
            let _waiting = lock(&self.queue.waiting);
            self.queue.closing.store(true, Ordering::Release);
        }
        self.queue.arrived.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported there.
            let _ = thread.join();
        }
    }
}

impl Queue {
    /// Waits for the first batches.
    fn gather(&self) {
        let is_idle = |waiting: &mut VecDeque<Waiting>| {
            waiting.is_empty() && !self.closing.load(Ordering::Acquire)
        };
        drop(self.arrived.wait_while(lock(&self.waiting), is_idle));
        std::thread::sleep(GATHER);
    }

    /// What waits, up to a transaction's size; nothing when the sender is to end.
    fn take(&self, bytes_max: u64) -> Option<Vec<Waiting>> {
        let mut waiting = self
            .arrived
            .wait_while(lock(&self.waiting), |waiting| {
                waiting.is_empty() && !self.closing.load(Ordering::Acquire)
            })
            .unwrap_or_else(PoisonError::into_inner);
        if self.closing.load(Ordering::Acquire) {
            return None;
        }
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some((_, batch)) = waiting.front() {
            bytes += batch_bytes(batch);
            if bytes > bytes_max && !group.is_empty() {
                break;
            }
            group.extend(waiting.pop_front());
        }
        Some(group)
    }
}

struct Run {
    queue: Arc<Queue>,
    in_flight: Arc<InFlight>,
    way: Way,
    transaction_bytes_max: u64,
}

impl Run {
    fn run(&mut self) {
        if let Way::Owner(..) = self.way {
            self.queue.gather();
        }
        while let Some(group) = self.queue.take(self.transaction_bytes_max) {
            let done = match &mut self.way {
                Way::Owner(ring, owner) => commit(
                    ring.next(),
                    Some(*owner),
                    &group,
                    &self.queue,
                    &self.in_flight,
                ),
                Way::Nobody(nobody) => nobody.send(&group, &self.queue, &self.in_flight),
            };
            match done {
                Ok(()) => {}
                Err(_) if self.queue.abandoned.load(Ordering::Acquire) => return,
                Err(failure) => return self.give_up(group, failure),
            }
        }
    }

    /// The last act: says what has become of all that was accepted.
    fn give_up(&self, group: Vec<Waiting>, failure: Failure) {
        match failure {
            Failure::Fenced(why) => {
                self.queue.fenced.store(true, Ordering::Release);
                let waiting = std::mem::take(&mut *lock(&self.queue.waiting));
                let lost = group.iter().chain(&waiting).map(|(position, _)| *position);
                self.in_flight
                    .lose(lost, &format!("its owner has been fenced ({why})"));
            }
            Failure::Aborted(why) | Failure::Unknown(why) => {
                self.in_flight.fail(&format!("Kafka: {why}"));
            }
        }
    }
}

impl Nobody {
    /// Sends a group in its order: singles when those before them are written, each run of others as a transaction.
    fn send(
        &mut self,
        group: &[Waiting],
        queue: &Queue,
        in_flight: &InFlight,
    ) -> Result<(), Failure> {
        for run in group.chunk_by(|(_, a), (_, b)| (a.len() == 1) == (b.len() == 1)) {
            if run.first().is_some_and(|(_, batch)| batch.len() == 1) {
                let plain = self.plain.get()?;
                // What comes while a group is on its way goes together: many small requests cost the
                // brokers most of what they do, and at five a partition the library spins.
                plain.wait_for_reports()?;
                for (position, batch) in run {
                    send_all(plain, None, *position, batch)?;
                }
                continue;
            }
            // The singles before it come first in their partitions.
            if let Some(plain) = &self.plain.producer {
                plain.delivered()?;
            }
            commit(self.transactional.get()?, None, run, queue, in_flight)?;
        }
        Ok(())
    }
}

/// Brings a group through one transaction.
fn commit(
    producer: &Producer,
    owner: Option<Owner>,
    group: &[Waiting],
    queue: &Queue,
    in_flight: &InFlight,
) -> Result<(), Failure> {
    let mut tries = TRIES;
    let ends = loop {
        match transaction(producer, owner, group, queue) {
            Ok(ends) => break ends,
            Err(Failure::Aborted(_)) if tries > 0 => {
                tries -= 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(failure) => return Err(failure),
        }
    };
    in_flight.complete(group.iter().map(|(position, _)| *position), ends);
    Ok(())
}

fn transaction(
    producer: &Producer,
    owner: Option<Owner>,
    group: &[Waiting],
    queue: &Queue,
) -> Result<HashMap<TopicPartition, u64>, Failure> {
    producer.begin()?;
    let sent = group
        .iter()
        .try_for_each(|(position, batch)| send_all(producer, owner, *position, batch));
    let delivered = sent.and_then(|()| producer.delivered());
    if queue.abandoned.load(Ordering::Acquire) {
        return Err(Failure::Unknown("abandoned".into()));
    }
    match delivered {
        Ok(ends) => producer.commit().map(|()| ends),
        Err(Failure::Fenced(why)) => Err(Failure::Fenced(why)),
        // Nothing is committed yet, so giving it up is safe whatever was written.
        Err(Failure::Aborted(why) | Failure::Unknown(why)) => {
            producer.abort()?;
            Err(Failure::Aborted(why))
        }
    }
}

fn send_all(
    producer: &Producer,
    owner: Option<Owner>,
    position: Position,
    batch: &Batch,
) -> Result<(), Failure> {
    for (place, (to, payload)) in batch.iter().enumerate() {
        let epoch = owner.filter(|owner| owner.journal == to);
        let headers = epoch.map(|owner| journal_headers(owner.epoch, false));
        let key = batch.key(place);
        producer.send(Sent { position, to }, key, payload, headers)?;
    }
    Ok(())
}

/// Writes the record that makes an epoch known, in a transaction of its own; where it ends.
pub(super) fn write_fence(producer: &Producer, owner: Owner, who: &str) -> Result<u64, Failure> {
    producer.begin()?;
    let sent = Sent {
        position: Position(0),
        to: owner.journal,
    };
    let written = producer
        .send(
            sent,
            None,
            who.as_bytes(),
            Some(journal_headers(owner.epoch, true)),
        )
        .and_then(|()| producer.delivered());
    match written {
        Ok(ends) => {
            producer.commit()?;
            Ok(ends.get(&owner.journal).copied().unwrap_or(0))
        }
        Err(Failure::Fenced(why)) => Err(Failure::Fenced(why)),
        Err(Failure::Aborted(why) | Failure::Unknown(why)) => {
            producer.abort()?;
            Err(Failure::Aborted(why))
        }
    }
}
