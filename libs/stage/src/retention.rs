//! What of the log is still needed, and by whom.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prepx_bus::{Log, Poisoned, TopicPartition};

/// Gives the log back what is behind every consumer.
///
/// A consumer is whoever reads a partition and would miss records: a snapshot that is folded on
/// from, a projection, a sink. Each says by name how far it has come. A partition that nobody has
/// spoken for is never cut, so that a consumer yet to come finds it whole.
pub struct Retention {
    log: Arc<dyn Log>,
    /// What of the log is this process's to cut.
    cuts: Cuts,
    floors: Mutex<BTreeMap<TopicPartition, BTreeMap<String, u64>>>,
}

enum Cuts {
    All,
    Journals,
    Nothing,
}

impl Retention {
    /// Of `log`, with no consumers yet. All consumers speak up ([`Self::release`] with where they
    /// stand, 0 if nowhere) before the first of them moves on.
    pub fn new(log: Arc<dyn Log>) -> Retention {
        Retention {
            log,
            cuts: Cuts::All,
            floors: Mutex::default(),
        }
    }

    /// Of a log that others follow too: nobody here knows what they need, and nothing is given back.
    pub fn shared(log: Arc<dyn Log>) -> Retention {
        Retention {
            cuts: Cuts::Nothing,
            ..Retention::new(log)
        }
    }

    /// Of such a log whose journals are archived: they are given back, and nothing else. Whoever archives says that
    /// others have had their time.
    pub fn of_journals(log: Arc<dyn Log>) -> Retention {
        Retention {
            cuts: Cuts::Journals,
            ..Retention::new(log)
        }
    }

    /// `consumer` needs nothing before `offset` any more.
    pub fn release(
        &self,
        consumer: &str,
        partition: TopicPartition,
        offset: u64,
    ) -> Result<(), Poisoned> {
        let mut floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        let consumers = floors.entry(partition).or_default();
        match consumers.get_mut(consumer) {
            Some(floor) => *floor = offset.max(*floor),
            None => {
                consumers.insert(consumer.to_owned(), offset);
            }
        }
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
