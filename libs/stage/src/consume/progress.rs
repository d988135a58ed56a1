//! How far a consumer has come, and waiting for it.
//!
//! Owns what a reader can ask of a running consumer: whether it has reached an offset, to hurry, what is stored of a
//! partition, and to check its position again. Refuses to wait for a consumer that has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prepx_bus::TopicPartition;
use tokio::sync::{Notify, watch};

use crate::follow::Tail;

/// How often a waiting reader asks the consumer again.
const HURRY: Duration = Duration::from_millis(50);
/// How often to check whether another process has stored what was seen here.
const LOOK: Duration = Duration::from_millis(10);

/// Partitions, each with the offset to read from next.
pub type Positions = Vec<(TopicPartition, u64)>;

/// How far a consumer has come, by partition.
pub(crate) type Places = BTreeMap<TopicPartition, Place>;

/// How far a consumer has come in a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The offset before which there is nothing more to take.
    pub next: u64,
    /// The position that it has stored. Between it and `next` there may be offsets without records.
    pub stored: u64,
    /// Whether this process takes the partition. If not, another process stores it.
    pub is_taken: bool,
}

impl Place {
    pub(super) const fn at(next: u64, is_taken: bool) -> Place {
        Place {
            next,
            stored: next,
            is_taken,
        }
    }
}

/// How far a consumer has come. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Progress {
    pub(super) places: watch::Receiver<Places>,
    pub(super) requests: Arc<Requests>,
}

/// What waiting readers ask of a consumer.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// Notified when it should end its pause.
    pub(super) hurry: Notify,
    /// The partitions in which somebody waits for an offset that no record may precede.
    wanted: Mutex<BTreeSet<TopicPartition>>,
    /// Notified when it should check its stored positions again.
    pub(super) recheck: Notify,
}

impl Requests {
    /// Asks it to hurry in these partitions.
    pub(crate) fn hurry(&self, wanted: impl IntoIterator<Item = TopicPartition>) {
        self.want(wanted);
        self.hurry.notify_one();
    }

    /// Keeps asking for these partitions.
    pub(super) fn want(&self, wanted: impl IntoIterator<Item = TopicPartition>) {
        self.locked().extend(wanted);
    }

    pub(super) fn wanted(&self) -> BTreeSet<TopicPartition> {
        std::mem::take(&mut *self.locked())
    }

    fn locked(&self) -> MutexGuard<'_, BTreeSet<TopicPartition>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Waits until the consumer has taken each partition up to an offset, or seen another process's batches up to there.
    /// Returns the positions that are then stored, which is what a store must have before rows are read from it, or
    /// `None` if the consumer has ended and will never get there.
    pub async fn reached(&self, wanted: &[(TopicPartition, u64)]) -> Option<Positions> {
        let mut watched = self.places.clone();
        loop {
            let places = watched.borrow_and_update().clone();
            let of = |(partition, _): &(TopicPartition, u64)| places.get(partition).copied();
            let left = wanted
                .iter()
                .filter(|one| of(one).is_none_or(|at| at.next < one.1));
            let left: Vec<TopicPartition> = left.map(|(partition, _)| *partition).collect();
            if left.is_empty() {
                // Records that came later need not be stored.
                let stored =
                    |one: &(TopicPartition, u64)| Some((one.0, of(one)?.stored.min(one.1)));
                return Some(wanted.iter().filter_map(stored).collect());
            }
            // Repeatedly: there may be no record before the offset, and on Kafka it takes a while until that is certain.
            self.requests.hurry(left);
            if let Ok(gone) = tokio::time::timeout(HURRY, watched.changed()).await {
                gone.ok()?;
            }
        }
    }

    /// As [`Self::reached`], with everything in these partitions that was acknowledged to anybody so far. `None` also if
    /// the log cannot find that out.
    pub async fn caught_up(
        &self,
        tail: &Tail,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Option<Positions> {
        let partitions: Vec<_> = partitions.into_iter().collect();
        let ends = tail.acknowledged_ends(&partitions).await?;
        let wanted: Positions = partitions.into_iter().zip(ends).collect();
        self.reached(&wanted).await
    }

    /// Runs `read` on a store that must have reached the positions seen here. If another process takes one of the
    /// partitions, it may not have stored it yet: while the store `is_behind`, it is read again, but no longer than
    /// `at_most`. If this process takes all of them, what is missing was lost, and the consumer checks its stored
    /// positions again. `None` when the store did not catch up in time.
    pub async fn stored<T, E, F: Future<Output = Result<T, E>>>(
        &self,
        partitions: &[TopicPartition],
        at_most: Duration,
        read: impl Fn() -> F,
        is_behind: impl Fn(&E) -> bool,
    ) -> Option<Result<T, E>> {
        let looked = async {
            loop {
                match read().await {
                    Err(error) if is_behind(&error) => {
                        if partitions.iter().all(|of| self.takes(*of)) {
                            self.requests.recheck.notify_one();
                            return Err(error);
                        }
                    }
                    found => return found,
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(at_most, Box::pin(looked)).await.ok()
    }

    /// The positions stored so far in the partitions that this process takes.
    pub fn taken(&self) -> Positions {
        let places = self.places.borrow();
        let taken = places.iter().filter(|(_, at)| at.is_taken);
        taken.map(|(of, at)| (*of, at.stored)).collect()
    }

    fn takes(&self, partition: TopicPartition) -> bool {
        (self.places.borrow().get(&partition)).is_some_and(|at| at.is_taken)
    }
}
