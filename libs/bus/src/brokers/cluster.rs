//! The state of the brokers: records, transactions, and the holders of transactional ids.
//!
//! Owns: offsets, last stable offsets, the markers that end a transaction in one partition after another.
//! Refuses: to decide when anything happens, and to lose a committed record, because replication is not
//! modelled.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::TopicPartition;
use crate::random::SplitMix;

/// The faults that the brokers may cause for senders.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// Transactions are aborted and have to be retried.
    Calm,
    /// Answers are lost too, before or after the request was carried out.
    Rough,
}

/// A transactional id: one of an owner's, or that of a handle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Id {
    Owner(TopicPartition, usize),
    Handle(usize),
}

/// Another process has taken the id, or the brokers have aborted a transaction that took too long.
pub(super) struct Fenced;

/// The state of a transaction at its coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Committed,
    Aborted,
}

/// A transaction that has not ended in all its partitions.
struct Transaction {
    id: Id,
    fate: Fate,
    /// The partitions to which it has written, without a marker yet.
    unmarked: BTreeSet<TopicPartition>,
}

#[derive(Default)]
struct Holder {
    /// Incremented whenever the id is taken: requests with a lower one are refused.
    generation: u32,
    transaction: Option<u64>,
}

/// A record of a partition.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub payload: Bytes,
    /// The epoch under which it was written, in a journal.
    pub epoch: Option<u32>,
    /// Whether a fence wrote it.
    pub fence: bool,
}

/// Anything that has an offset.
struct Entry {
    transaction: Option<u64>,
    /// None for a marker and for aborted records.
    record: Option<Written>,
}

#[derive(Default)]
struct Partition {
    start: u64,
    entries: Vec<Entry>,
    /// The first offset of each transaction that has no marker here.
    open: BTreeMap<u64, u64>,
}

/// How often each kind of fault has happened: a run without faults proves little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Transactions that were committed.
    pub committed: u64,
    /// Transactions that were aborted and tried again.
    pub aborted: u64,
    /// Transactions that a fence has aborted.
    pub cut_off: u64,
    /// Transactions that were aborted because they took too long.
    pub expired: u64,
    /// Owners whose batches were lost because they had been fenced.
    pub fenced: u64,
    /// Answers that were lost, before or after the request was carried out.
    pub unanswered: u64,
    /// Fences that did not succeed.
    pub refused: u64,
}

/// See the module's documentation.
pub(super) struct Cluster {
    pub random: SplitMix,
    pub tally: Tally,
    /// Whether one of the next answers is lost.
    pub lose_answer: bool,
    partitions: BTreeMap<TopicPartition, Partition>,
    holders: BTreeMap<Id, Holder>,
    transactions: BTreeMap<u64, Transaction>,
    next_transaction: u64,
}

impl Partition {
    /// The last stable offset: everything before it is decided.
    fn end(&self) -> u64 {
        let undecided = self.open.values().min().copied();
        undecided.unwrap_or(self.entries.len() as u64)
    }

    fn push(&mut self, transaction: Option<u64>, record: Option<Written>) -> u64 {
        let offset = self.entries.len() as u64;
        let entry = Entry {
            transaction,
            record,
        };
        self.entries.push(entry);
        offset
    }

    fn mark(&mut self, transaction: u64, fate: Fate) {
        if let Some(first) = self.open.remove(&transaction)
            && fate == Fate::Aborted
        {
            let since = &mut self.entries[first as usize..];
            let its = since
                .iter_mut()
                .filter(|entry| entry.transaction == Some(transaction));
            its.for_each(|entry| entry.record = None);
        }
        self.push(None, None);
    }
}

impl Cluster {
    pub fn new(seed: u64) -> Cluster {
        Cluster {
            random: SplitMix::new(seed),
            tally: Tally::default(),
            lose_answer: false,
            partitions: BTreeMap::new(),
            holders: BTreeMap::new(),
            transactions: BTreeMap::new(),
            next_transaction: 0,
        }
    }

    /// Whether the next answer to a sender is lost.
    pub fn loses_answer(&mut self, weather: Weather) -> bool {
        if self.lose_answer && self.random.one_in(2) {
            self.lose_answer = false;
            return true;
        }
        weather == Weather::Rough && self.random.one_in(60)
    }

    /// Takes an id: aborts the open transaction of its holder, waits until that has ended everywhere, and
    /// refuses the holder from then on. Returns the generation of the new holder.
    pub fn take(&mut self, id: &Id) -> u32 {
        let holder = self.holders.entry(id.clone()).or_default();
        holder.generation += 1;
        let (generation, current) = (holder.generation, holder.transaction);
        if let Some(number) = current {
            self.tally.cut_off += u64::from(self.fate(number) == Some(Fate::Open));
            self.decide(number, Fate::Aborted);
            self.complete(number);
        }
        generation
    }

    /// Whether the id is still its holder's.
    pub fn check(&self, id: &Id, generation: u32) -> Result<(), Fenced> {
        match self.holders.get(id) {
            Some(holder) if holder.generation == generation => Ok(()),
            _ => Err(Fenced),
        }
    }

    /// The transaction of an id that has not ended everywhere: the next one cannot begin.
    pub fn unfinished(&self, id: &Id) -> Option<u64> {
        self.holders.get(id)?.transaction
    }

    pub fn begin(&mut self, id: &Id, generation: u32) -> Result<u64, Fenced> {
        self.check(id, generation)?;
        assert_eq!(self.unfinished(id), None, "one transaction an id");
        let number = self.next_transaction;
        self.next_transaction += 1;
        let transaction = Transaction {
            id: id.clone(),
            fate: Fate::Open,
            unmarked: BTreeSet::new(),
        };
        self.transactions.insert(number, transaction);
        self.holders.entry(id.clone()).or_default().transaction = Some(number);
        Ok(number)
    }

    /// Writes a record; one past its offset.
    pub fn write(
        &mut self,
        transaction: Option<u64>,
        to: TopicPartition,
        record: Written,
    ) -> Result<u64, Fenced> {
        let partition = self.partitions.entry(to).or_default();
        if let Some(number) = transaction {
            let open = self.transactions.get_mut(&number);
            let open = open.filter(|transaction| transaction.fate == Fate::Open);
            open.ok_or(Fenced)?.unmarked.insert(to);
            let next = partition.entries.len() as u64;
            partition.open.entry(number).or_insert(next);
        }
        Ok(partition.push(transaction, Some(record)) + 1)
    }

    /// Decides an open transaction. What is decided already stays so.
    pub fn decide(&mut self, number: u64, fate: Fate) {
        if let Some(transaction) = self.transactions.get_mut(&number)
            && transaction.fate == Fate::Open
        {
            transaction.fate = fate;
            self.forget_if_ended(number);
        }
    }

    /// The state of a transaction; none when it has ended everywhere.
    pub fn fate(&self, number: u64) -> Option<Fate> {
        Some(self.transactions.get(&number)?.fate)
    }

    /// The brokers abort a transaction whose owner is silent, and refuse its owner from then on.
    pub fn expire(&mut self, number: u64) {
        if let Some(transaction) = self.transactions.get(&number)
            && transaction.fate == Fate::Open
        {
            let holder = self.holders.entry(transaction.id.clone()).or_default();
            holder.generation += 1;
            self.tally.expired += 1;
            self.decide(number, Fate::Aborted);
        }
    }

    /// Ends a decided transaction everywhere, in any order of its partitions.
    pub fn complete(&mut self, number: u64) {
        while let Some(transaction) = self.transactions.get(&number) {
            let left = transaction.unmarked.len();
            let at = self.random.below(left);
            let to = transaction.unmarked.iter().nth(at).copied();
            match to.filter(|_| transaction.fate != Fate::Open) {
                Some(to) => self.mark(number, to),
                None => return,
            }
        }
    }

    /// Ends a decided transaction in one partition.
    pub fn mark(&mut self, number: u64, at: TopicPartition) {
        let Some(transaction) = self.transactions.get_mut(&number) else {
            return;
        };
        assert!(transaction.fate != Fate::Open, "only the decided is marked");
        if transaction.unmarked.remove(&at) {
            let fate = transaction.fate;
            self.partitions.entry(at).or_default().mark(number, fate);
        }
        self.forget_if_ended(number);
    }

    fn forget_if_ended(&mut self, number: u64) {
        let ended = |transaction: &&Transaction| {
            transaction.fate != Fate::Open && transaction.unmarked.is_empty()
        };
        let Some(transaction) = self.transactions.get(&number).filter(ended) else {
            return;
        };
        if let Some(holder) = self.holders.get_mut(&transaction.id) {
            holder.transaction = None;
        }
        self.transactions.remove(&number);
    }

    /// Every marker that is yet to be written.
    pub fn markers(&self) -> Vec<(u64, TopicPartition)> {
        let decided = self.transactions.iter();
        let decided = decided.filter(|(_, transaction)| transaction.fate != Fate::Open);
        let each = decided.flat_map(|(&number, transaction)| {
            let unmarked = transaction.unmarked.iter();
            unmarked.map(move |&at| (number, at))
        });
        each.collect()
    }

    /// Every transaction that is open.
    pub fn open(&self) -> Vec<u64> {
        let all = self.transactions.iter();
        let open = all.filter(|(_, transaction)| transaction.fate == Fate::Open);
        open.map(|(&number, _)| number).collect()
    }

    /// Writes the markers of one partition until its end is `least`, or an open transaction is before it.
    pub fn stabilise(&mut self, at: TopicPartition, least: u64) {
        while self.end(at) < least {
            let marker = self.markers().into_iter().find(|(_, to)| *to == at);
            let Some((number, to)) = marker else { return };
            self.mark(number, to);
        }
    }

    pub fn start(&self, at: TopicPartition) -> u64 {
        self.partitions.get(&at).map_or(0, |found| found.start)
    }

    /// The last stable offset.
    pub fn end(&self, at: TopicPartition) -> u64 {
        self.partitions.get(&at).map_or(0, Partition::end)
    }

    /// The high watermark: everything before it is written, decided or not.
    pub fn high(&self, at: TopicPartition) -> u64 {
        let found = self.partitions.get(&at);
        found.map_or(0, |found| found.entries.len() as u64)
    }

    /// Committed records from one offset until another, with their offsets.
    pub fn committed(
        &self,
        at: TopicPartition,
        from: u64,
        until: u64,
    ) -> impl DoubleEndedIterator<Item = (u64, &Written)> {
        let entries = self
            .partitions
            .get(&at)
            .map_or(&[][..], |found| &found.entries[..]);
        let until = (until.min(self.end(at)) as usize).min(entries.len());
        let from = (from as usize).min(until);
        let found = entries[from..until].iter().enumerate();
        found.filter_map(move |(at, entry)| Some(((from + at) as u64, entry.record.as_ref()?)))
    }

    /// Deletes what is before an offset. The newest record of a journal stays, because it has the epoch.
    pub fn truncate(&mut self, at: TopicPartition, before: u64) {
        let mut before = before.min(self.end(at));
        if at.topic.is_journal() {
            let newest = self.committed(at, 0, u64::MAX).next_back();
            before = before.min(newest.map_or(0, |(offset, _)| offset));
        }
        let partition = self.partitions.entry(at).or_default();
        partition.start = partition.start.max(before);
    }

    /// The epoch of the newest record of a journal.
    pub fn epoch(&self, journal: TopicPartition) -> u32 {
        let newest = self.committed(journal, 0, u64::MAX).next_back();
        newest.and_then(|(_, record)| record.epoch).unwrap_or(0)
    }
}
