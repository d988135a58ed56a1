//! How much may be under way (I10): a place is taken before anything is accepted, and given back
//! when the answer has left or was given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bound on what is under way. Clones share it.
#[derive(Clone)]
pub struct Gate {
    free: Arc<AtomicUsize>,
}

/// Places that are taken until this is dropped.
pub struct Pass {
    free: Arc<AtomicUsize>,
    places: usize,
}

impl Gate {
    /// With room for so many.
    pub fn new(places: usize) -> Gate {
        Gate {
            free: Arc::new(AtomicUsize::new(places)),
        }
    }

    /// Takes places, all or none.
    pub fn enter(&self, places: usize) -> Option<Pass> {
        let taken = |free: usize| free.checked_sub(places);
        let entered = self
            .free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, taken);
        entered.ok()?;
        Some(Pass {
            free: Arc::clone(&self.free),
            places,
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.free.fetch_add(self.places, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_all_or_none_and_given_back() {
        let gate = Gate::new(3);
        let two = gate.enter(2).unwrap();
        assert!(gate.enter(2).is_none());
        let one = gate.enter(1).unwrap();
        assert!(gate.enter(1).is_none());
        drop((one, two));
        assert!(gate.enter(3).is_some());
    }
}
