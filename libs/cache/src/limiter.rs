//! What a limiter allows: the generic cell rate algorithm (GCRA, ITU-T I.371) for one or two rates at
//! once, and a block for callers that exceed them. Pure: time is an argument.
//!
//! A rate is stored as one point in time: when everything taken so far will be used up. Each request moves it forward by
//! the interval between two requests, and it may be ahead of now by no more than the burst. So a key costs a few words,
//! and one step decides, which a server can run as one script.

use std::time::Duration;

/// How many rates one limiter can have.
pub(crate) const RATES_MAX: usize = 2;
const NS_PER_US: u64 = 1_000;

/// A rate: a number of events in a period, refilled evenly, with a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many come back in `per`; at least 1.
    pub count: u32,
    /// At least as many microseconds as `count`.
    pub per: Duration,
    /// How many may be taken at once after a pause; at least 1.
    pub burst: u32,
}

impl Rate {
    /// This many events in a period, which may also come all at once.
    pub const fn new(count: u32, per: Duration) -> Rate {
        Rate {
            count,
            per,
            burst: count,
        }
    }

    /// Microseconds between two requests, rounded up: a server that counts for many processes counts
    /// in them, and every engine decides alike.
    pub(crate) fn interval_us(&self) -> u64 {
        let per_us = u64::try_from(self.per.as_micros()).unwrap_or(u64::MAX);
        per_us.div_ceil(u64::from(self.count.max(1))).max(1)
    }

    /// The same in nanoseconds.
    fn interval_ns(&self) -> u64 {
        self.interval_us().saturating_mul(NS_PER_US)
    }
}

/// What a key is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limiter {
    name: &'static str,
    rates: [Option<Rate>; RATES_MAX],
    block: Duration,
}

impl Limiter {
    /// One rate. The name separates this limiter's keys from those of others, and labels its metrics.
    pub const fn new(name: &'static str, rate: Rate) -> Limiter {
        Limiter {
            name,
            rates: [Some(rate), None],
            block: Duration::ZERO,
        }
    }

    /// The same with a second rate, which must allow it too.
    #[must_use]
    pub const fn and(mut self, rate: Rate) -> Limiter {
        self.rates[1] = Some(rate);
        self
    }

    /// The same with a block: a caller that exceeds it is refused everything for so long.
    #[must_use]
    pub const fn blocking(mut self, block: Duration) -> Limiter {
        self.block = block;
        self
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The rates.
    pub(crate) fn rates(&self) -> impl Iterator<Item = &Rate> {
        self.rates.iter().flatten()
    }

    /// How long a caller that exceeds it is blocked, in microseconds.
    pub(crate) fn block_us(&self) -> u64 {
        u64::try_from(self.block.as_micros()).unwrap_or(u64::MAX)
    }

    /// Decides, and changes the state only when all rates allow it, or to block.
    pub(crate) fn take(&self, state: &mut State, count: u32, now_ns: u64) -> Verdict {
        let blocked_ns = state.blocked_until_ns.saturating_sub(now_ns);
        let asked = self.ask(state, count, now_ns);
        if blocked_ns > 0 {
            return asked.verdict.refused(blocked_ns);
        }
        if asked.verdict.allowed {
            state.used_up_at_ns = asked.used_up_at_ns;
            return asked.verdict;
        }
        if self.block.is_zero() {
            return asked.verdict;
        }
        let block_ns = self.block_us().saturating_mul(NS_PER_US);
        state.blocked_until_ns = now_ns.saturating_add(block_ns);
        asked.verdict.refused(block_ns)
    }

    fn ask(&self, state: &State, count: u32, now_ns: u64) -> Asked {
        let mut asked = Asked {
            used_up_at_ns: state.used_up_at_ns,
            verdict: Verdict::UNLIMITED,
        };
        let mut wait_ns = 0;
        for (rate, used_up_at_ns) in self.rates.iter().flatten().zip(&mut asked.used_up_at_ns) {
            let interval_ns = rate.interval_ns();
            let burst_ns = interval_ns.saturating_mul(u64::from(rate.burst));
            let taken_ns = interval_ns.saturating_mul(u64::from(count.min(rate.burst)));
            let before_ns = used_up_at_ns.saturating_sub(now_ns);
            let after_ns = before_ns.saturating_add(taken_ns);
            wait_ns = wait_ns.max(after_ns.saturating_sub(burst_ns));
            *used_up_at_ns = now_ns.saturating_add(after_ns);
            let free_ns = burst_ns.saturating_sub(after_ns.min(burst_ns));
            asked.verdict.narrow(Verdict {
                allowed: true,
                limit: rate.burst,
                remaining: u32::try_from(free_ns / interval_ns).unwrap_or(u32::MAX),
                retry_after: Duration::ZERO,
                full_after: Duration::from_nanos(after_ns.min(burst_ns)),
            });
        }
        if wait_ns > 0 {
            asked.verdict = asked.verdict.refused(wait_ns);
        }
        asked
    }
}

struct Asked {
    used_up_at_ns: [u64; RATES_MAX],
    verdict: Verdict,
}

/// What is remembered of one key, in nanoseconds of the engine's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    used_up_at_ns: [u64; RATES_MAX],
    blocked_until_ns: u64,
}

impl State {
    /// What a server remembers that counts in microseconds.
    pub(crate) fn from_us(used_up_at_us: [u64; RATES_MAX], blocked_until_us: u64) -> State {
        State {
            used_up_at_ns: used_up_at_us.map(|us| us.saturating_mul(NS_PER_US)),
            blocked_until_ns: blocked_until_us.saturating_mul(NS_PER_US),
        }
    }

    /// The moment from which this bucket is full again and need not be kept.
    pub(crate) fn forgotten_at_ns(&self) -> u64 {
        let used_up = self.used_up_at_ns.iter().copied().max().unwrap_or_default();
        used_up.max(self.blocked_until_ns)
    }
}

/// The answer of a limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it was within the limit, and is counted.
    pub allowed: bool,
    /// How many may be taken at once by the tightest rate.
    pub limit: u32,
    /// How many more could be taken now by that rate.
    pub remaining: u32,
    /// When refused, the time until the same would be allowed.
    pub retry_after: Duration,
    /// The time until the tightest rate has all of its `limit` again.
    pub full_after: Duration,
}

impl Verdict {
    /// Everything is allowed, and nothing counted.
    pub const UNLIMITED: Verdict = Verdict {
        allowed: true,
        limit: u32::MAX,
        remaining: u32::MAX,
        retry_after: Duration::ZERO,
        full_after: Duration::ZERO,
    };

    /// Keeps the tighter of two: a refusal, else the one that leaves less.
    pub fn narrow(&mut self, other: Verdict) {
        let rank = |verdict: &Verdict| (verdict.allowed, verdict.remaining);
        if rank(&other) < rank(self) {
            *self = other;
        }
    }

    /// `retry_after` in milliseconds, rounded up, so that a caller that waits so long is allowed.
    pub fn retry_after_ms(&self) -> u64 {
        u64::try_from(self.retry_after.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
    }

    fn refused(self, wait_ns: u64) -> Verdict {
        Verdict {
            allowed: false,
            remaining: 0,
            retry_after: Duration::from_nanos(wait_ns),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    proptest! {
        /// In any stretch of time no more is allowed than the burst and what came back meanwhile.
        #[test]
        fn no_stretch_of_time_allows_more_than_its_share(
            count in 1_u32..50,
            burst in 1_u32..20,
            steps in prop::collection::vec((0_u64..SECOND_NS / 4, 1_u32..4), 1..200),
        ) {
            let per = Duration::from_secs(1);
            let limiter = Limiter::new("test", Rate { count, per, burst });
            let (mut state, mut now_ns, mut taken) = (State::default(), SECOND_NS, Vec::new());
            for (pause_ns, wanted) in steps {
                now_ns += pause_ns;
                if limiter.take(&mut state, wanted, now_ns).allowed {
                    taken.push((now_ns, u64::from(wanted.min(burst))));
                }
            }
            for (first, (began_ns, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for (at_ns, wanted) in &taken[first..] {
                    sum += wanted;
                    let back = (at_ns - began_ns) * u64::from(count) / SECOND_NS + 1;
                    prop_assert!(sum <= u64::from(burst) + back);
                }
            }
        }

        /// Who waits as told is allowed, and a nanosecond earlier is not.
        #[test]
        fn the_time_to_wait_is_exact(
            count in 1_u32..50,
            burst in 1_u32..20,
            pauses in prop::collection::vec(0_u64..SECOND_NS / 4, 1..100),
        ) {
            let hourly = Rate::new(count.saturating_mul(20), Duration::from_secs(3_600));
            let rate = Rate { count, per: Duration::from_secs(1), burst };
            let limiter = Limiter::new("test", rate).and(hourly);
            let (mut state, mut now_ns) = (State::default(), SECOND_NS);
            for pause_ns in pauses {
                now_ns += pause_ns;
                let verdict = limiter.take(&mut state, 1, now_ns);
                if !verdict.allowed {
                    let wait_ns = verdict.retry_after.as_nanos() as u64;
                    let mut early = state;
                    prop_assert!(!limiter.take(&mut early, 1, now_ns + wait_ns - 1).allowed);
                    prop_assert!(limiter.take(&mut state.clone(), 1, now_ns + wait_ns).allowed);
                }
            }
        }
    }

    #[test]
    fn a_refusal_counts_for_none_of_the_rates() {
        let minutely = Rate::new(10, Duration::from_secs(60));
        let hourly = Rate::new(3, Duration::from_secs(3_600));
        let limiter = Limiter::new("test", minutely).and(hourly);
        let mut state = State::default();
        let taken: Vec<bool> = (0..5)
            .map(|_| limiter.take(&mut state, 1, 5).allowed)
            .collect();
        assert_eq!(taken, [true, true, true, false, false]);
        let alone = Limiter::new("test", minutely);
        assert_eq!(
            alone.take(&mut state, 1, 5).remaining,
            6,
            "three were counted, not five"
        );
    }

    #[test]
    fn the_tightest_rate_is_told() {
        let limiter = Limiter::new(
            "test",
            Rate {
                burst: 100,
                ..Rate::new(60, Duration::from_secs(60))
            },
        )
        .and(Rate::new(1_000, Duration::from_secs(3_600)));
        let verdict = limiter.take(&mut State::default(), 40, SECOND_NS);
        let told = (verdict.limit, verdict.remaining, verdict.full_after);
        assert_eq!(told, (100, 60, Duration::from_secs(40)));
    }

    #[test]
    fn a_block_ends_when_it_said_and_is_not_made_longer() {
        let block = Duration::from_secs(30);
        let limiter = Limiter::new("test", Rate::new(1, Duration::from_secs(1))).blocking(block);
        let mut state = State::default();
        assert!(limiter.take(&mut state, 1, 0).allowed);
        assert_eq!(limiter.take(&mut state, 1, 0).retry_after, block);
        let later = limiter.take(&mut state, 1, 10 * SECOND_NS);
        assert_eq!(later.retry_after, Duration::from_secs(20));
        assert!(!limiter.take(&mut state, 1, 30 * SECOND_NS - 1).allowed);
        assert!(limiter.take(&mut state, 1, 30 * SECOND_NS).allowed);
    }
}
