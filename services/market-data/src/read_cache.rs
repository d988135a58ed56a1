//! What was read of the past and may be asked for again: one page of many is the same for everybody.
//!
//! Owns: for how long a page is kept, in the memory of this process. Refuses: what may still change. What is over stays as it is, but for clocks that were
//! wrong by more than a minute, and what is let go of; that is seen when the time of a page is over.

use std::sync::Arc;
use std::time::Duration;

use prepx_cache::{Cache, Options, Space};
use prepx_domain::Micros;
use prepx_domain::market::{Bar, MINUTE_US};

use crate::domain::market::{Quote, Trade};

/// How long ago something must have been for nothing to come before it: clocks differ, and what is told
/// becomes durable a little later.
const OVER_US: i64 = MINUTE_US;
const DAY_US: i64 = 24 * 60 * MINUTE_US;
/// What is younger is hot.
const HOT_US: i64 = 30 * DAY_US;
/// What is younger is warm, what is older cold.
const WARM_US: i64 = 365 * DAY_US;
const MINUTE: Duration = Duration::from_secs(60);
const TTL_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// What pages of one kind may take.
const BYTES_MAX: u64 = 32 << 20;

/// A page of one instrument, and whether there is more beyond it.
pub type Read<T> = Arc<(Vec<T>, bool)>;

/// What is kept, by kind.
pub struct Kept {
    pub(crate) trades: Space<Read<Trade>>,
    pub(crate) quotes: Space<Read<Quote>>,
    pub(crate) bars: Space<Read<Bar>>,
}

impl Kept {
    /// Nothing yet.
    pub fn new(cache: &Cache) -> Kept {
        Kept {
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
        // Nobody else asks for it.
        codec: None,
    })
}

/// How long is kept what settled at a moment; `None` for what may still change.
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
