//! How far a consumer has come, and waiting for it.
//!
//! Owns what a reader can ask of a consumer that runs: whether it has come so far, to hurry, and to look again where
//! it stands. Refuses to wait for a consumer that has ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::TopicPartition;
use tokio::sync::{Notify, watch};

use crate::follow::Tail;

/// How often whoever waits for an offset says so.
const HURRY: Duration = Duration::from_millis(50);

/// Partitions, each with the offset to read from next.
pub type Positions = Vec<(TopicPartition, u64)>;

/// How far a consumer has come, by partition.
pub(crate) type Places = BTreeMap<TopicPartition, Place>;

/// How far a consumer has come in a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The offset up to which there is nothing more to take.
    pub next: u64,
    /// The offset up to which what it has stored says that it has taken. Behind it there may be offsets
    /// that no record stands at.
    pub stored: u64,
}

impl Place {
    pub(super) const fn at(next: u64) -> Place {
        Place { next, stored: next }
    }
}

/// How far a consumer has come. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Progress {
    pub(super) places: watch::Receiver<Places>,
    pub(super) wishes: Arc<Wishes>,
}

/// What is asked of a consumer by those who wait for it.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// That it ends its pause.
    pub(super) hurry: Arc<Notify>,
    /// That it finds out anew where it stands.
    pub(super) doubt: Notify,
}

impl Progress {
    /// Waits until the consumer has taken a partition up to an offset, and tells which position it has
    /// stored then: wherever its rows are read, that is what must be seen. None when it has ended and never
    /// will.
    pub async fn reached(&self, partition: TopicPartition, offset: u64) -> Option<u64> {
        let there = |places: &Places| places.get(&partition).is_some_and(|at| at.next >= offset);
        let places = self.wait_for(there).await?;
        places.get(&partition).map(|at| at.stored)
    }

    /// Waits until the consumer has taken everything that anybody was told of by now; false when it has ended, or that
    /// cannot be found out.
    pub async fn caught_up(&self, tail: &Tail) -> bool {
        let partitions: Vec<_> = self.places.borrow().keys().copied().collect();
        let Some(wanted) = tail.told_ends(&partitions).await else {
            return false;
        };
        let there = |places: &Places| {
            let mut both = places.values().zip(&wanted);
            both.all(|(at, end)| at.next >= *end)
        };
        self.wait_for(there).await.is_some()
    }

    /// Which positions it has stored by now.
    pub fn stored(&self) -> Positions {
        let places = self.places.borrow();
        places.iter().map(|(of, at)| (*of, at.stored)).collect()
    }

    /// What it has stored was found to be less than it says: it finds out where it stands, and goes on
    /// from there.
    pub fn doubt(&self) {
        self.wishes.doubt.notify_one();
    }

    async fn wait_for(&self, there: impl Fn(&Places) -> bool) -> Option<Places> {
        let mut places = self.places.clone();
        loop {
            let now = places.borrow_and_update().clone();
            if there(&now) {
                return Some(now);
            }
            // Again and again: there may be no record before the offset, and on Kafka it takes a while until that is certain.
            self.wishes.hurry.notify_one();
            if let Ok(gone) = tokio::time::timeout(HURRY, places.changed()).await {
                gone.ok()?;
            }
        }
    }
}
