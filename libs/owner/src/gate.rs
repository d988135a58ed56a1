//! How much may be under way (I10): a place is taken before anything is accepted, and given back
//! when the answer has left or was given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prepx_runtime::Usage;

/// A bound on what is under way. Clones share it.
#[derive(Clone)]
pub struct Gate(Arc<Places>);

struct Places {
    free: AtomicUsize,
    usage: Usage,
}

/// Places that are taken until this is dropped.
pub struct Pass {
    gate: Arc<Places>,
    places: usize,
}

impl Gate {
    /// With room for so many, known to operators by the name of what waits behind it.
    pub fn new(queue: &'static str, places: usize) -> Gate {
        Gate(Arc::new(Places {
            free: AtomicUsize::new(places),
            usage: Usage::of(queue, places),
        }))
    }

    /// Takes places, all or none.
    pub fn enter(&self, places: usize) -> Option<Pass> {
        let taken = |free: usize| free.checked_sub(places);
        let Places { free, usage } = &*self.0;
        let entered = free.fetch_update(Ordering::AcqRel, Ordering::Acquire, taken);
        if entered.is_err() {
            usage.refused();
            return None;
        }
        usage.entered(places);
        Some(Pass {
            gate: Arc::clone(&self.0),
            places,
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.free.fetch_add(self.places, Ordering::AcqRel);
        self.gate.usage.left(self.places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_all_or_none_and_given_back() {
        let gate = Gate::new("test", 3);
        let two = gate.enter(2).unwrap();
        assert!(gate.enter(2).is_none());
        let one = gate.enter(1).unwrap();
        assert!(gate.enter(1).is_none());
        drop((one, two));
        assert!(gate.enter(3).is_some());
    }
}
