//! What was removed from the spaces of this process: a counter that steps, and is part of the key inside.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counters of removals a space: a removal takes the keys along that share its counter, which are few.
const COUNTERS: usize = 1_024;

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
pub(crate) struct Removed {
    counters: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for Removed {
    fn default() -> Removed {
        Removed {
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Removed {
    /// A key with the number of its removals so far.
    pub(crate) fn inside(&self, key: &[u8]) -> Box<[u8]> {
        let count = self.counter(key).load(Ordering::Acquire).to_le_bytes();
        [key, &count].concat().into()
    }

    pub(crate) fn add(&self, key: &[u8]) {
        self.counter(key).fetch_add(1, Ordering::AcqRel);
    }

    fn add_all(&self) {
        for counter in &self.counters {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn counter(&self, key: &[u8]) -> &AtomicU64 {
        &self.counters[self.hasher.hash_one(key) as usize % COUNTERS]
    }
}
