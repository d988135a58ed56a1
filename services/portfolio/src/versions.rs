//! The version of each account: the offset of the log up to which the books have last changed it. A reader
//! that has seen the books reach an offset finds every change up to it here, so a read that was made at a
//! version is right as long as the account has that version.
//!
//! Owns: the versions, in bounded memory: the accounts of a partition share 65,536 of them. They include what other
//! processes take, as far as this one sees it. Refuses to guess: what was taken elsewhere unseen counts as a change
//! of all accounts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prepx_domain::AccountId;

/// The number of bits of a hash that select a version within a partition.
const BITS: u32 = 16;

/// The versions of the accounts of all partitions.
#[derive(Debug, Default)]
pub struct Versions(Mutex<BTreeMap<u32, Partition>>);

#[derive(Debug)]
struct Partition {
    /// Anything up to this offset may have changed any account.
    since: u64,
    /// Changes are known up to this offset.
    taken: u64,
    changed: Vec<u64>,
}

impl Versions {
    /// The books of a partition continue from an offset.
    pub fn resume(&self, partition: u32, next: u64) {
        let mut partitions = self.locked();
        let partition = partitions.entry(partition).or_insert_with(|| Partition {
            since: next,
            taken: next,
            changed: vec![0; 1 << BITS],
        });
        if next > partition.taken {
            (partition.since, partition.taken) = (next, next);
        }
    }

    /// The books have reached an offset, and these accounts were changed on the way.
    pub fn take(&self, partition: u32, next: u64, accounts: &[AccountId]) {
        let mut partitions = self.locked();
        let Some(partition) = partitions.get_mut(&partition) else {
            return;
        };
        for account in accounts {
            let changed = &mut partition.changed[place(*account)];
            *changed = next.max(*changed);
        }
        partition.taken = next.max(partition.taken);
    }

    /// The books have passed an offset without taking all of it: any account may have changed.
    pub fn skip(&self, partition: u32, next: u64) {
        if let Some(partition) = self.locked().get_mut(&partition) {
            partition.since = next.max(partition.since);
            partition.taken = next.max(partition.taken);
        }
    }

    /// The version of an account; none before its partition has been begun.
    pub fn of(&self, partition: u32, account: AccountId) -> Option<u64> {
        let partitions = self.locked();
        let partition = partitions.get(&partition)?;
        Some(partition.since.max(partition.changed[place(account)]))
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<u32, Partition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fibonacci hashing: the highest bits of a product.
const fn place(account: AccountId) -> usize {
    let hash = (account.raw() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> (u64::BITS - BITS)) as usize
}

#[cfg(test)]
mod tests {
    use prepx_domain::{Micros, Slot};

    use super::*;

    #[test]
    fn a_version_steps_with_each_change_and_with_what_others_took() {
        let id = |ms: i64| {
            let at = Micros(1_760_000_000_000_000 + ms * 1_000);
            AccountId::next(Slot::new(0).unwrap(), at, None)
        };
        let (one, other) = (id(1), id(2));
        let versions = Versions::default();
        let both = || [one, other].map(|account| versions.of(3, account));
        versions.take(3, 5, &[one]);
        assert_eq!(both(), [None, None]);
        versions.resume(3, 7);
        assert_eq!(both(), [Some(7), Some(7)]);
        versions.take(3, 9, &[one]);
        versions.take(3, 10, &[]);
        assert_eq!(both(), [Some(9), Some(7)]);
        // Goes on where it stood, or behind that, because its store has lost something: the log has not.
        versions.resume(3, 10);
        versions.resume(3, 8);
        versions.take(3, 9, &[one]);
        assert_eq!(both(), [Some(9), Some(7)]);
        // Another process has taken what is up to 12.
        versions.resume(3, 12);
        assert_eq!(both(), [Some(12), Some(12)]);
        versions.skip(3, 14);
        assert_eq!(both(), [Some(14), Some(14)]);
        assert_eq!(versions.of(4, one), None);
    }
}
