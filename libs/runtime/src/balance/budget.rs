//! How many retries calls may cost, so that retries do not keep down a service that is down.

use std::sync::atomic::{AtomicU32, Ordering};

/// What a call earns and a retry costs: one retry for five calls.
const EARNED: u32 = 2;
const COST: u32 = 10;
/// The most that is saved: a hundred retries at once, for when a replica dies with its calls.
const SAVED_MAX: u32 = 1_000;

/// Earned by calls, spent by retries. Begins full.
pub(super) struct Budget(AtomicU32);

impl Default for Budget {
    fn default() -> Budget {
        Budget(AtomicU32::new(SAVED_MAX))
    }
}

impl Budget {
    /// Adds what a call earns.
    pub fn earn(&self) {
        self.change(|saved| Some(saved.saturating_add(EARNED).min(SAVED_MAX)));
    }

    /// Pays for a retry; whether there is enough left.
    pub fn spend(&self) -> bool {
        self.change(|saved| saved.checked_sub(COST))
    }

    fn change(&self, change: impl Fn(u32) -> Option<u32>) -> bool {
        let changed = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        changed.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_a_share_of_the_calls() {
        let budget = Budget::default();
        let at_once = std::iter::repeat_with(|| budget.spend()).take_while(|may| *may);
        assert_eq!(at_once.count(), 100);
        (0..50).for_each(|_| budget.earn());
        let later = std::iter::repeat_with(|| budget.spend()).take_while(|may| *may);
        assert_eq!(later.count(), 10);
    }
}
