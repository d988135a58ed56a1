//! Clocks: the machine's, and one that a test moves by hand.

// The one place that may read the machine's clocks.
#![allow(clippy::disallowed_methods)]

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prepx_domain::Micros;

/// Tells the time. A stage asks it once a transition and records the answer.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Micros;

    /// Time since an arbitrary start; never goes back. For durations only.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        SystemClock {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        // A machine whose clock stands before 1970 gets 1970; stages never go back anyway.
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that stands still until somebody moves it.
#[derive(Debug)]
pub struct ManualClock {
    now_us: AtomicI64,
    monotonic_us: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Micros) -> Self {
        ManualClock {
            now_us: AtomicI64::new(now.0),
            monotonic_us: AtomicI64::new(0),
        }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let by_us = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.now_us.fetch_add(by_us, Ordering::SeqCst);
        self.monotonic_us.fetch_add(by_us, Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as an operator or a time server might: forward or back.
    pub fn jump_to(&self, now: Micros) {
        self.now_us.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Micros {
        Micros(self.now_us.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic_us.load(Ordering::SeqCst).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_wall_clock_leaves_durations_alone() {
        let clock = ManualClock::new(Micros(1_000));
        clock.advance(Duration::from_millis(2));
        clock.jump_to(Micros(5));
        assert_eq!(
            (clock.now(), clock.monotonic()),
            (Micros(5), Duration::from_millis(2))
        );
    }

    #[test]
    fn the_machine_has_a_clock_that_does_not_go_back() {
        let clock = SystemClock::new();
        let (wall, early) = (clock.now(), clock.monotonic());
        assert!(wall > Micros(1_700_000_000_000_000));
        assert!(clock.monotonic() >= early);
    }
}
