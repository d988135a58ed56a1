//! Cached pages of past market data, which are the same for all callers.
//!
//! Owns: how long a page is cached, in the memory of this process. Refuses to cache what may still change. The past no longer
//! changes, except where clocks were wrong by more than a minute, and where old rows are pruned; readers see that when the page
//! expires.

use std::sync::Arc;
use std::time::Duration;

use prepx_cache::{Cache, Options, Space};
use prepx_domain::Micros;
use prepx_domain::market::{Bar, MINUTE_US};

use crate::domain::market::{Quote, Trade};

/// How old data must be until nothing older is added: clocks differ, and records become durable a little
/// later.
const OVER_US: i64 = MINUTE_US;
const DAY_US: i64 = 24 * 60 * MINUTE_US;
/// Younger data is hot.
const HOT_US: i64 = 30 * DAY_US;
/// Younger data is warm, older data cold.
const WARM_US: i64 = 365 * DAY_US;
const MINUTE: Duration = Duration::from_secs(60);
const TTL_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// The most memory for pages of one kind.
const BYTES_MAX: u64 = 32 << 20;

/// A page of one instrument, and whether there is more beyond it.
pub type Read<T> = Arc<(Vec<T>, bool)>;

/// Pages by kind.
pub struct ReadCache {
    pub(crate) trades: Space<Read<Trade>>,
    pub(crate) quotes: Space<Read<Quote>>,
    pub(crate) bars: Space<Read<Bar>>,
}

impl ReadCache {
    /// An empty cache.
    pub fn new(cache: &Cache) -> ReadCache {
        ReadCache {
            trades: space(cache, "trades of the past"),
            quotes: space(cache, "quotes of the past"),
            bars: space(cache, "bars of the past"),
        }
    }
}

fn space<T: Send + Sync + 'static>(cache: &Cache, name: &'static str) -> Space<Read<T>> {
    cache.space(Options {
        name,
        bytes_max: BYTES_MAX,
        ttl_max: TTL_MAX,
        weigh: |read| size_of_val(&read.0[..]),
        // Only this process reads it.
        codec: None,
    })
}

/// How long a page is cached that settled at this time; `None` if it may still change.
pub fn time_to_live(settled: Micros, now: Micros) -> Option<Duration> {
    let age_us = now.0.saturating_sub(settled.0);
    let ttl = if age_us <= HOT_US {
        5 * MINUTE
    } else if age_us <= WARM_US {
        30 * MINUTE
    } else {
        TTL_MAX
    };
    (age_us > OVER_US).then_some(ttl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_is_kept_longer_and_what_is_not_over_not_at_all() {
        let now = 2_000 * DAY_US;
        for (ago_us, minutes) in [
            (-DAY_US, None),
            (0, None),
            (OVER_US, None),
            (OVER_US + 1, Some(5)),
            (30 * DAY_US, Some(5)),
            (30 * DAY_US + 1, Some(30)),
            (365 * DAY_US, Some(30)),
            (365 * DAY_US + 1, Some(120)),
            (i64::MAX, Some(120)),
        ] {
            let kept = time_to_live(Micros(now.saturating_sub(ago_us)), Micros(now));
            assert_eq!(kept, minutes.map(|minutes| minutes * MINUTE), "{ago_us}");
        }
    }
}
