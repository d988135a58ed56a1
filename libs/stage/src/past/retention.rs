//! Which part of the log is still needed, and by which consumers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prepx_bus::{Log, Poisoned, TopicPartition};

/// Drops what every consumer has passed.
///
/// A consumer is anything that still needs records of a partition: a snapshot from which a fold continues, a projection, a
/// sink. Each reports its position under its name. A partition without a registered consumer is never truncated, so that a
/// later consumer finds it whole.
pub struct Retention {
    log: Arc<dyn Log>,
    /// Which part of the log this process may truncate.
    cuts: Cuts,
    floors: Mutex<BTreeMap<TopicPartition, BTreeMap<String, u64>>>,
}

enum Cuts {
    All,
    Journals,
    Nothing,
}

impl Retention {
    /// The retention of `log`, without consumers. All consumers must register ([`Self::release`] with their
    /// positions, 0 if they have none) before the first of them moves on.
    pub fn new(log: Arc<dyn Log>) -> Retention {
        Retention {
            log,
            cuts: Cuts::All,
            floors: Mutex::default(),
        }
    }

    /// The retention of a log that other processes follow too: this one does not know what they need, so nothing is
    /// dropped.
    pub fn shared(log: Arc<dyn Log>) -> Retention {
        Retention {
            cuts: Cuts::Nothing,
            ..Retention::new(log)
        }
    }

    /// The retention of such a log whose journals are archived: only those are dropped. The archivist leaves other
    /// processes enough time to read them.
    pub fn of_journals(log: Arc<dyn Log>) -> Retention {
        Retention {
            cuts: Cuts::Journals,
            ..Retention::new(log)
        }
    }

    /// Says that `consumer` needs nothing before `offset` any more. Its first call only registers it.
    pub fn release(
        &self,
        consumer: &str,
        partition: TopicPartition,
        offset: u64,
    ) -> Result<(), Poisoned> {
        let mut floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        let consumers = floors.entry(partition).or_default();
        let Some(floor) = consumers.get_mut(consumer) else {
            // Other consumers that need earlier records may not have registered yet.
            consumers.insert(consumer.to_owned(), offset);
            return Ok(());
        };
        *floor = offset.max(*floor);
        let lowest = consumers.values().min().copied().unwrap_or_default();
        let cuts = match self.cuts {
            Cuts::All => true,
            Cuts::Journals => partition.topic.is_journal(),
            Cuts::Nothing => false,
        };
        if cuts && lowest > self.log.start(partition) {
            self.log.truncate_before(partition, lowest)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prepx_bus::embedded::Config;
    use prepx_bus::faulty::FaultyDir;
    use prepx_bus::{Batch, EmbeddedLog, Topic};

    use super::*;

    #[test]
    fn i1_who_speaks_up_last_finds_what_it_needs() {
        let log = EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap();
        let updates = Topic::PortfolioUpdates.partition(0);
        let mut batch = Batch::new();
        for _ in 0..5 {
            batch.push(updates, b"x");
        }
        log.append(None, &batch).unwrap();
        log.flush().unwrap();
        let retention = Retention::new(log.clone());
        retention.release("fast", updates, 5).unwrap();
        assert_eq!(log.start(updates), 0, "slow has not spoken up yet");
        retention.release("slow", updates, 2).unwrap();
        assert_eq!(log.start(updates), 0);
        retention.release("fast", updates, 5).unwrap();
        assert_eq!(log.start(updates), 2);
        retention.release("slow", updates, 4).unwrap();
        assert_eq!(log.start(updates), 4);
    }
}
