//! Hits, misses and look-up times of each level of a space.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Histogram};

pub(crate) struct Meters {
    lookups: AtomicU64,
    timed_every: u64,
    hits: Outcome,
    misses: Outcome,
}

struct Outcome {
    count: Counter,
    seconds: Histogram,
}

impl Meters {
    /// The metrics of one level, which times one lookup in so many.
    pub(crate) fn of(space: &'static str, level: &'static str, timed_every: u64) -> Meters {
        let labels = [("space", space), ("level", level)];
        let seconds = |outcome| {
            let labels = [labels[0], labels[1], ("outcome", outcome)];
            metrics::histogram!("prepx_cache_lookup_seconds", &labels)
        };
        Meters {
            lookups: AtomicU64::new(0),
            timed_every,
            hits: Outcome {
                count: metrics::counter!("prepx_cache_hits_total", &labels),
                seconds: seconds("hit"),
            },
            misses: Outcome {
                count: metrics::counter!("prepx_cache_misses_total", &labels),
                seconds: seconds("miss"),
            },
        }
    }

    pub(crate) fn count(&self, is_hit: bool, took: impl FnOnce() -> Duration) {
        let before = self.lookups.fetch_add(1, Ordering::Relaxed);
        let took = before.is_multiple_of(self.timed_every).then(took);
        let outcome = if is_hit { &self.hits } else { &self.misses };
        outcome.count.increment(1);
        if let Some(took) = took {
            outcome.seconds.record(took);
        }
    }
}
