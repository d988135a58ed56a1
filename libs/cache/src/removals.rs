//! Removals from the spaces of this process: counters that are part of the inner keys. Stepping one hides the values.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

/// How many counters a space has. A removal also hides the few keys that share its counter.
const COUNTERS: u16 = 1_024;

/// The counter of a key, the same in every process.
pub(crate) fn counter(key: &[u8]) -> u16 {
    (xxh3_64(key) % u64::from(COUNTERS)) as u16
}

/// The removals of all spaces, by name.
#[derive(Default)]
pub(crate) struct Removals(Mutex<HashMap<&'static str, Arc<Removed>>>);

impl Removals {
    pub(crate) fn of(&self, space: &'static str) -> Arc<Removed> {
        Arc::clone(self.spaces().entry(space).or_default())
    }

    /// A key was removed elsewhere; nothing to do where nobody holds its space.
    pub(crate) fn add(&self, space: &str, key: &[u8]) {
        if let Some(removed) = self.spaces().get(space) {
            removed.add(key);
        }
    }

    /// Anything may have been removed elsewhere: everything is loaded again.
    pub(crate) fn add_all(&self) {
        for removed in self.spaces().values() {
            removed.add_all();
        }
    }

    fn spaces(&self) -> MutexGuard<'_, HashMap<&'static str, Arc<Removed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often keys of a space were removed.
pub(crate) struct Removed(Box<[AtomicU64]>);

impl Default for Removed {
    fn default() -> Removed {
        Removed((0..COUNTERS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Removed {
    /// A key with the number of its removals so far.
    pub(crate) fn inside(&self, key: &[u8]) -> Box<[u8]> {
        let count = self.count(counter(key)).to_le_bytes();
        [key, &count].concat().into()
    }

    pub(crate) fn add(&self, key: &[u8]) {
        self.0[usize::from(counter(key))].fetch_add(1, Ordering::AcqRel);
    }

    /// The value of a counter.
    pub(crate) fn count(&self, counter: u16) -> u64 {
        self.0[usize::from(counter)].load(Ordering::Acquire)
    }

    fn add_all(&self) {
        for counter in &self.0 {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }
}
