//! How often a level of a space has what it is asked for, and how long it takes to say so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Histogram};

pub(crate) struct Meters {
    lookups: AtomicU64,
    timed_every: u64,
    hits: Counter,
    misses: Counter,
    seconds: Histogram,
}

impl Meters {
    /// The meters of one level, which times one lookup in so many.
    pub(crate) fn of(space: &'static str, level: &'static str, timed_every: u64) -> Meters {
        let labels = [("space", space), ("level", level)];
        Meters {
            lookups: AtomicU64::new(0),
            timed_every,
            hits: metrics::counter!("prepx_cache_hits_total", &labels),
            misses: metrics::counter!("prepx_cache_misses_total", &labels),
            seconds: metrics::histogram!("prepx_cache_lookup_seconds", &labels),
        }
    }

    pub(crate) fn count(&self, is_hit: bool, took: impl FnOnce() -> Duration) {
        if is_hit { &self.hits } else { &self.misses }.increment(1);
        let before = self.lookups.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(self.timed_every) {
            self.seconds.record(took());
        }
    }
}
