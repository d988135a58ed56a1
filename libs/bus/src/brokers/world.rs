//! The possible events on the brokers and in the processes that use them, drawn from the seed.
//!
//! Owns: what happens in the background, and what a waiting call waits for. Refuses: to know what a call
//! means to its caller; the handle does.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::cluster::{Cluster, Fate, Id, Weather, Written};
use super::sender::{IDS, Sender};
use crate::in_flight::{InFlight, News};
use crate::{Owner, Position, Record, TopicPartition};

/// See the module's documentation.
pub(super) struct World {
    pub cluster: Cluster,
    pub weather: Weather,
    pub handles: Vec<Process>,
}

/// The background work of a handle.
pub(super) struct Process {
    pub in_flight: Arc<InFlight>,
    pub news: Arc<News>,
    pub senders: BTreeMap<Option<TopicPartition>, Sender>,
    /// The epoch of each journal that the handle has fenced.
    pub epochs: BTreeMap<TopicPartition, u32>,
    /// What [`Log::poll`] follows: the offset of the next poll, and the offset up to which records have
    /// arrived.
    pub followed: BTreeMap<TopicPartition, (u64, u64)>,
    pub life: Life,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    Paused,
    Dead,
}

/// A possible event.
pub(super) enum Chance {
    Send(usize, Option<TopicPartition>),
    Mark(u64, TopicPartition),
    Arrive(usize, TopicPartition),
    Expire(u64),
}

impl World {
    /// An event that only takes time.
    pub fn chances(&self) -> Vec<Chance> {
        let mut chances = Vec::new();
        for (number, at) in self.cluster.markers() {
            chances.push(Chance::Mark(number, at));
        }
        let running = |process: &Process| process.life == Life::Running;
        let handles = self.handles.iter().enumerate();
        for (at, process) in handles.filter(|(_, process)| running(process)) {
            let busy = process.senders.iter();
            let busy = busy.filter(|(_, sender)| sender.has_work());
            chances.extend(busy.map(|(journal, _)| Chance::Send(at, *journal)));
            let followed = process.followed.iter();
            let behind = followed.filter(|(from, (_, until))| *until < self.cluster.end(**from));
            chances.extend(behind.map(|(from, _)| Chance::Arrive(at, *from)));
        }
        chances
    }

    /// Transactions that the brokers may abort because they take too long: those of silent processes, and
    /// under faults anyone's.
    pub fn timeouts(&mut self) -> Vec<Chance> {
        let rough = self.weather == Weather::Rough;
        let mut late = self.cluster.open();
        late.retain(|number| {
            !self.is_alive(*number) && self.cluster.random.one_in(8)
                || rough && self.cluster.random.one_in(100)
        });
        late.into_iter().map(Chance::Expire).collect()
    }

    /// Whether the process that has the transaction open can continue it.
    pub fn is_alive(&self, number: u64) -> bool {
        let holds = |process: &Process| process.senders.values().any(|sender| sender.holds(number));
        let mut running = self.handles.iter();
        running.any(|process| process.life == Life::Running && holds(process))
    }

    /// Takes some steps of background work.
    pub fn pass(&mut self) {
        for _ in 0..self.cluster.random.below(4) {
            let chances = self.chances();
            self.draw(chances);
        }
    }

    pub fn draw(&mut self, chances: Vec<Chance>) -> bool {
        let at = self.cluster.random.below(chances.len());
        match chances.into_iter().nth(at) {
            None => return false,
            Some(Chance::Send(at, journal)) => self.send(at, journal),
            Some(Chance::Mark(number, to)) => self.cluster.mark(number, to),
            Some(Chance::Arrive(at, from)) => self.arrive(at, from),
            Some(Chance::Expire(number)) => self.cluster.expire(number),
        }
        true
    }

    fn send(&mut self, at: usize, journal: Option<TopicPartition>) {
        let process = &mut self.handles[at];
        if let Some(sender) = process.senders.get_mut(&journal) {
            sender.step(&mut self.cluster, &process.in_flight, self.weather);
        }
    }

    /// Some committed records reach the handle that follows their partition.
    pub fn arrive(&mut self, at: usize, from: TopicPartition) {
        let process = &mut self.handles[at];
        let Some((_, until)) = process.followed.get_mut(&from) else {
            return;
        };
        let more = self.cluster.end(from).saturating_sub(*until);
        if more > 0 {
            *until += 1 + self.cluster.random.below(more as usize) as u64;
            process.news.notify();
        }
    }

    /// Waits for what a handle has in flight for a partition.
    pub fn land(&mut self, at: usize, partition: TopicPartition) {
        while let Some(position) = self.handles[at].in_flight.pending(partition) {
            if !self.wait(at, position) {
                return;
            }
        }
    }

    /// Lets a handle's senders work until the watermark is there; false if it never will be.
    pub fn wait(&mut self, at: usize, position: Position) -> bool {
        loop {
            let process = &self.handles[at];
            if process.in_flight.watermark().position() >= position {
                return true;
            }
            let busy = process.senders.iter();
            let busy = busy.filter(|(_, sender)| sender.has_work());
            let busy: Vec<_> = busy.map(|(journal, _)| *journal).collect();
            let failed = process.in_flight.watermark().failure().is_some();
            if failed || busy.is_empty() || process.life != Life::Running {
                return false;
            }
            let journal = busy[self.cluster.random.below(busy.len())];
            self.send(at, journal);
        }
    }

    /// Takes the ids of a journal one after the other, while others work, and writes the next epoch.
    pub fn take_over(
        &mut self,
        at: usize,
        journal: TopicPartition,
        who: &str,
    ) -> Result<Owner, &'static str> {
        self.land(at, journal);
        self.handles[at].senders.remove(&Some(journal));
        let mut generations = Vec::new();
        for number in 0..IDS {
            generations.push(self.cluster.take(&Id::Owner(journal, number)));
            self.pass();
        }
        let rough = self.weather == Weather::Rough;
        if rough && self.cluster.random.one_in(20) {
            return Err("the brokers do not answer");
        }
        let epoch = self.cluster.epoch(journal) + 1;
        let owner = Owner { journal, epoch };
        let taken = "somebody else has taken the transactional id";
        let id = Id::Owner(journal, IDS - 1);
        let number = self.cluster.begin(&id, generations[IDS - 1]);
        let number = number.map_err(|_| taken)?;
        let record = Written {
            payload: Bytes::copy_from_slice(who.as_bytes()),
            epoch: Some(epoch),
            fence: true,
        };
        let written = self.cluster.write(Some(number), journal, record);
        let end = written.map_err(|_| taken)?;
        self.cluster.decide(number, Fate::Committed);
        if rough && self.cluster.random.one_in(20) {
            return Err("the answer of the brokers was lost");
        }
        self.cluster.complete(number);
        let process = &mut self.handles[at];
        process.in_flight.complete([], [(journal, end)]);
        process.epochs.insert(journal, epoch);
        let sender = Sender::of_owner(owner, generations);
        process.senders.insert(Some(journal), sender);
        Ok(owner)
    }

    /// The end of a partition for a handle: waits for what it knows to be durable, unless another process's
    /// open transaction is before it.
    pub fn end(&mut self, at: usize, partition: TopicPartition) -> u64 {
        let least = self.handles[at].in_flight.end(partition);
        self.cluster.stabilise(partition, least);
        self.cluster.end(partition)
    }

    /// Committed records as readers see them: at least one if there is one, and any number that fits.
    pub fn records(
        &mut self,
        partition: TopicPartition,
        from: u64,
        until: u64,
        max_bytes: usize,
    ) -> Vec<Record> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        for (offset, written) in self.cluster.committed(partition, from, until) {
            bytes += written.payload.len();
            if bytes > max_bytes && !records.is_empty() {
                break;
            }
            if !written.fence {
                let payload = written.payload.clone();
                records.push(Record { offset, payload });
            }
        }
        if self.cluster.random.one_in(4) {
            let some = 1 + self.cluster.random.below(records.len());
            records.truncate(some);
        }
        records
    }
}
