//! What the records of a log come to, one after the other from its beginning on, or from a checkpoint:
//! every book, every chain, how far every partition has come.
//!
//! Pure but for the archives that it is given to read. Refuses a record that does not follow the one
//! before (I2).

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use prepx_analytics::Head;
use prepx_bus::embedded::archive::{self, Archive};
use prepx_bus::file::Dir;
use prepx_bus::{EmbeddedLog, Log as _, Record, Topic, TopicPartition};
use prepx_domain::update::AccountUpdate;
use prepx_proto::journal;
use prepx_stage::port::Line;
use prepx_stage::{Topology, lane};

use super::checkpoint::Checkpoint;

/// How far the lane of an account partition has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneHead {
    /// The last message.
    pub number: u64,
    /// The transition that sent it.
    pub seq: u64,
}

/// The past up to an address of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Where on the log it ends.
    pub address: u64,
    /// Of each partition that has records, the offset of the next.
    pub next: BTreeMap<TopicPartition, u64>,
    /// Of each account partition, how far its lane has come.
    pub sent: BTreeMap<u32, LaneHead>,
    /// The chains of all journals.
    pub heads: BTreeMap<TopicPartition, Head>,
    /// Every book that is not zero.
    pub books: BTreeMap<Line, i64>,
}

impl Past {
    /// Nothing has happened.
    pub fn nothing(topology: Topology) -> Past {
        let head = |journal| (journal, Head::start(journal, 0));
        let journals = prepx_analytics::journals(topology);
        Past {
            address: 0,
            next: BTreeMap::new(),
            sent: BTreeMap::new(),
            heads: journals.into_iter().map(head).collect(),
            books: BTreeMap::new(),
        }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// When it is not the next, or not understood.
    pub fn take(&mut self, from: TopicPartition, record: &Record) -> Result<()> {
        let next = self.next.entry(from).or_default();
        ensure!(
            record.offset == *next,
            "I2: {from} goes from offset {next} to {}",
            record.offset
        );
        *next += 1;
        if let Some(head) = self.heads.get_mut(&from) {
            head.take(record);
        }
        if from.topic == Topic::PortfolioUpdates {
            let at = || format!("{from} at offset {}", record.offset);
            self.book(record).with_context(at)?;
        }
        Ok(())
    }

    fn book(&mut self, record: &Record) -> Result<()> {
        let run = lane::Run::decode(&record.payload)?;
        let partition = run.source.partition;
        for message in run.messages() {
            let (number, bytes) = message?;
            let head = self.sent.entry(partition).or_default();
            // After a takeover the new owner tells again what may not have left.
            if number <= head.number {
                continue;
            }
            ensure!(
                number == head.number + 1,
                "I2: message {number} follows {} on the lane of {}",
                head.number,
                run.source
            );
            (head.number, head.seq) = (number, run.seq);
            let update: AccountUpdate = journal::decode(bytes)?;
            for posting in &update.postings {
                self.post(
                    (partition, posting.book, posting.asset),
                    posting.amount_minor,
                )?;
            }
        }
        Ok(())
    }

    fn post(&mut self, line: Line, amount_minor: i64) -> Result<()> {
        let minor = self.books.entry(line).or_default();
        let sum = minor.checked_add(amount_minor);
        *minor = sum.with_context(|| format!("a book of {} does not fit into 63 bits", line.2))?;
        if *minor == 0 {
            self.books.remove(&line);
        }
        Ok(())
    }

    /// Everything that a checkpoint says, or nothing.
    pub fn since(checkpoint: Option<&Checkpoint>, topology: Topology) -> Past {
        match checkpoint {
            Some(checkpoint) => checkpoint.past.clone(),
            None => Past::nothing(topology),
        }
    }

    /// Takes all archives and segments that come next; shows every record to `seen` too.
    ///
    /// # Errors
    /// When something is missing or damaged.
    pub fn take_all(
        &mut self,
        dir: &dyn Dir,
        log: &EmbeddedLog,
        mut seen: impl FnMut(TopicPartition, &Record) -> Result<()>,
    ) -> Result<()> {
        let live = log.first_address();
        for archive in behind(dir, (self.address, live))? {
            self.take_archive(dir, &archive, &mut seen)?;
        }
        self.follows(live)?;
        let mut taken = Ok(());
        log.scan(self.address, |from, record| {
            if taken.is_ok() {
                taken = self.take(from, &record).and_then(|()| seen(from, &record));
            }
        })?;
        self.address = log.durable().0;
        taken
    }

    fn follows(&self, base: u64) -> Result<()> {
        ensure!(
            base <= self.address,
            "what is at addresses {} to {base} of the log is gone, and no checkpoint covers it: \
             restore its archives from a copy",
            self.address
        );
        Ok(())
    }

    /// Takes the archive that comes next; shows every record to `seen` too.
    ///
    /// # Errors
    /// When it is not the next one, or damaged.
    pub fn take_archive(
        &mut self,
        dir: &dyn Dir,
        archive: &Archive,
        mut seen: impl FnMut(TopicPartition, &Record) -> Result<()>,
    ) -> Result<()> {
        self.follows(archive.base)?;
        let mut taken = Ok(());
        archive::read(dir, archive, |from, record| {
            if taken.is_ok() {
                taken = self.take(from, &record).and_then(|()| seen(from, &record));
            }
        })?;
        taken?;
        self.address = archive.end;
        Ok(())
    }
}

/// The archives that have what is between two addresses: a checkpoint covers what is before, and what is after is
/// still in segments.
pub fn behind(dir: &dyn Dir, (from, live): (u64, u64)) -> Result<Vec<Archive>> {
    let mut archives = archive::list(dir)?;
    archives.retain(|archive| archive.end > from && archive.base < live);
    Ok(archives)
}
