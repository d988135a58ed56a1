//! Which process owns which partition, as owners announce it on `stage-owners`.
//!
//! Owns the form of those records: a table with one record for each partition. An owner announces itself in
//! a batch of its own, so a fenced owner cannot. Layout, version 1: version (1 byte), then big-endian the
//! code of the journal's topic (2), the partition (4), the epoch (4), then the address in UTF-8. The key is
//! the partition's name, such as `account/3`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use prepx_bus::{Log, ReadError, Reading, Topic, TopicPartition};
use prepx_stage::Seat;

use crate::bell::Bell;
use crate::{BoxError, Logs};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 11;
const TABLE: TopicPartition = Topic::StageOwners.partition(0);
const READ_BYTES: usize = 1 << 20;
/// How often to look without news, and how long to wait before a new handle is tried.
const LOOK: Duration = Duration::from_millis(500);

/// Who owns a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Where the process answers, `host:port`.
    pub address: String,
    /// Under which epoch it owns the partition.
    pub epoch: u32,
}

/// The owners of all partitions, as far as they are known here. What it says may be over already: whoever
/// is asked says so. Clones are the same.
#[derive(Clone, Default)]
pub struct Directory(Arc<Shared>);

#[derive(Default)]
struct Shared {
    owners: Mutex<BTreeMap<TopicPartition, Owner>>,
    stopped: AtomicBool,
    bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Directory {
    /// Of these owners, until [`Self::note`] says otherwise.
    pub fn of(owners: impl IntoIterator<Item = (Seat, Owner)>) -> Directory {
        let directory = Directory::default();
        for (seat, owner) in owners {
            directory.note(seat, owner);
        }
        directory
    }

    /// Reads what owners have told so far, then starts the thread that hears what they tell on.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn follow(logs: &Logs) -> Result<Directory, BoxError> {
        let directory = Directory::default();
        let log = directory.open(logs)?;
        let mut next = log.start(TABLE);
        let end = log.end(TABLE);
        while next < end {
            let records = log.read(TABLE, next, READ_BYTES)?;
            let Some(last) = records.last() else { break };
            next = last.offset + 1;
            let each = records.iter();
            each.for_each(|record| directory.hear(&record.payload));
        }
        let (following, logs) = (directory.clone(), Arc::clone(logs));
        let thread = thread::Builder::new().name("stage owners".into());
        let thread = thread.spawn(move || following.run(&logs, log, next))?;
        *lock(&directory.0.thread) = Some(thread);
        Ok(directory)
    }

    /// Who owns a partition, if somebody is known to.
    pub fn owner(&self, seat: Seat) -> Option<Owner> {
        lock(&self.0.owners).get(&seat.journal()).cloned()
    }

    /// Takes note of an owner, unless one of a later epoch is known.
    pub fn note(&self, seat: Seat, owner: Owner) {
        self.put(seat.journal(), owner);
    }

    /// Ends the thread. What is known stays.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
        self.0.bell.ring();
        let thread = lock(&self.0.thread).take();
        // A panic there was reported there.
        let _ = thread.map(JoinHandle::join);
    }

    fn put(&self, journal: TopicPartition, owner: Owner) {
        let mut owners = lock(&self.0.owners);
        match owners.get(&journal) {
            Some(known) if known.epoch > owner.epoch => {}
            _ => {
                owners.insert(journal, owner);
            }
        }
    }

    fn open(&self, logs: &Logs) -> Result<Arc<dyn Log>, BoxError> {
        let log = logs("stage-owners", Reading::Prompt)?;
        let rung = Arc::clone(&self.0.bell);
        log.on_news(Box::new(move || rung.ring()));
        Ok(log)
    }

    /// What cannot be read leaves what is known as it is: whoever is asked says whether it is true.
    fn run(&self, logs: &Logs, log: Arc<dyn Log>, next: u64) {
        let (mut log, mut next) = (Some(log), next);
        while !self.0.stopped.load(Ordering::Acquire) {
            let heard = match &log {
                Some(log) => self.poll(&**log, &mut next),
                None => self.open(logs).map(|opened| log = Some(opened)),
            };
            if let Err(error) = heard {
                tracing::warn!(%error, "the owners of partitions cannot be followed; it is tried again");
                log = None;
            }
            self.0.bell.wait(LOOK);
        }
    }

    fn poll(&self, log: &dyn Log, next: &mut u64) -> Result<(), BoxError> {
        if let Some(poisoned) = log.watermark().failure() {
            return Err(poisoned.clone().into());
        }
        let records = match log.poll(TABLE, *next, READ_BYTES) {
            // Of a table the old goes, at any time.
            Err(ReadError::Truncated { start, .. }) => {
                *next = start;
                return Ok(());
            }
            polled => polled?,
        };
        for record in records {
            self.hear(&record.payload);
            *next = record.offset + 1;
        }
        Ok(())
    }

    fn hear(&self, record: &[u8]) {
        match parse(record) {
            Some((journal, owner)) => self.put(journal, owner),
            None => tracing::warn!(
                ?record,
                "an owner of a partition tells what is not understood"
            ),
        }
    }
}

/// What an owner tells.
pub(crate) fn record(seat: Seat, epoch: u32, address: &str) -> Vec<u8> {
    let journal = seat.journal();
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&journal.topic.code().to_be_bytes());
    bytes.extend_from_slice(&journal.partition.to_be_bytes());
    bytes.extend_from_slice(&epoch.to_be_bytes());
    bytes.extend_from_slice(address.as_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Option<(TopicPartition, Owner)> {
    let (head, address) = bytes.split_at_checked(HEAD_BYTES)?;
    let (version, head) = head.split_first()?;
    let (topic, head) = head.split_first_chunk::<2>()?;
    let (partition, epoch) = head.split_first_chunk::<4>()?;
    let topic = Topic::from_code(u16::from_be_bytes(*topic)).filter(|topic| topic.is_journal())?;
    let owner = Owner {
        address: String::from_utf8(address.to_vec()).ok()?,
        epoch: u32::from_be_bytes(epoch.try_into().ok()?),
    };
    let journal = topic.partition(u32::from_be_bytes(*partition));
    (*version == VERSION).then_some((journal, owner))
}

/// Nothing under these locks is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prepx_stage::Stage;

    #[test]
    fn golden_bytes_of_an_owner() {
        let bytes = record(Stage::MATCHING.seat(3), 258, "a:1");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "01000f0000000300000102613a31");
        let owner = Owner {
            address: "a:1".into(),
            epoch: 258,
        };
        let journal = Stage::MATCHING.seat(3).journal();
        assert_eq!(parse(&bytes), Some((journal, owner)));
        for wrong in [&bytes[..10], &[2; 14], &[1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_later_epoch_is_not_forgotten_for_an_earlier_one() {
        let seat = Stage::ACCOUNT.seat(1);
        let directory = Directory::default();
        assert_eq!(directory.owner(seat), None);
        for (epoch, address, known) in [(2, "b:1", "b:1"), (1, "a:1", "b:1"), (3, "c:1", "c:1")] {
            directory.hear(&record(seat, epoch, address));
            let owner = directory.owner(seat).unwrap();
            assert_eq!(owner.address, known, "after epoch {epoch}");
        }
    }
}
