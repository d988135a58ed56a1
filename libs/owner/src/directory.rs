//! Which process has which partition.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prepx_bus::TopicPartition;
use prepx_stage::Seat;

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
pub struct Directory(Arc<Mutex<BTreeMap<TopicPartition, Owner>>>);

impl Directory {
    /// Of these owners, for ever.
    pub fn of(owners: impl IntoIterator<Item = (Seat, Owner)>) -> Directory {
        let owners = owners.into_iter();
        let owners = owners
            .map(|(seat, owner)| (seat.journal(), owner))
            .collect();
        Directory(Arc::new(Mutex::new(owners)))
    }

    /// Takes note of who owns a partition now.
    #[cfg(test)]
    pub(crate) fn note(&self, seat: Seat, owner: Owner) {
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        owners.insert(seat.journal(), owner);
    }

    /// Who owns a partition, if somebody is known to.
    pub fn owner(&self, seat: Seat) -> Option<Owner> {
        let owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        owners.get(&seat.journal()).cloned()
    }
}
