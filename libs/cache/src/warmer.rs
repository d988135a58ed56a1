//! Warming: every few minutes, what the busiest tenth of readers asked for most is loaded again, before they ask.
//!
//! Owns: who has been busiest since the last round, counted in bounded memory where the reads are served; when a round is
//! due, and how long it may take. Refuses to know what is loaded: its user loads it, one thing at a time, so that callers
//! do not queue behind a round. Processes that start together warm at different times: each draws its own offset.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge};
use prepx_env::{Clock, Random};

/// How often it is checked whether a round is due.
const LOOK: Duration = Duration::from_secs(1);
/// One reader in this many is warmed.
const BUSIEST_OF: usize = 10;
/// How many readers a round has at most.
const WARMED_MAX: usize = 1_000;
/// How many readers are counted at most.
const READERS_MAX: usize = 16_384;
/// How many different things are counted per reader at most.
const ASKED_MAX: usize = 4;

/// Counts readers `R` and what they ask, `A`, and warms that for the busiest.
pub struct Warmer<R, A> {
    clock: Arc<dyn Clock>,
    period: Duration,
    /// When the next round is due, on the monotonic clock.
    due: Mutex<Duration>,
    counts: Mutex<Counts<R, A>>,
    warmed: Counter,
    readers: Gauge,
    failures: Counter,
}

impl<R: Ord + Copy, A: Clone + PartialEq> Warmer<R, A> {
    /// With a round every `period`, the first within one, at random; none at all when that is zero. The name
    /// labels its metrics.
    pub fn new(
        name: &'static str,
        period: Duration,
        clock: Arc<dyn Clock>,
        random: &Random,
    ) -> Warmer<R, A> {
        let phase_us = random.next_u64() % u64::try_from(period.as_micros()).unwrap_or(1).max(1);
        let labels = [("of", name)];
        Warmer {
            period,
            due: Mutex::new(clock.monotonic() + Duration::from_micros(phase_us)),
            clock,
            counts: Mutex::default(),
            warmed: metrics::counter!("prepx_cache_warmed_total", &labels),
            readers: metrics::gauge!("prepx_cache_warmed_readers", &labels),
            failures: metrics::counter!("prepx_cache_warming_failures_total", &labels),
        }
    }

    /// Counts a read.
    pub fn note(&self, reader: R, asked: &A) {
        if !self.period.is_zero() {
            locked(&self.counts).add(reader, asked);
        }
    }

    /// Warms for ever. `load` says whether there was anything to load.
    pub async fn run<E: Display, F>(&self, load: impl Fn(R, A) -> F)
    where
        F: Future<Output = Result<bool, E>>,
    {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            self.step(&load).await;
        }
    }

    /// The round, if one is due. It ends early when something cannot be loaded, and when it has taken half the
    /// time until the next one.
    pub async fn step<E: Display, F>(&self, load: impl Fn(R, A) -> F)
    where
        F: Future<Output = Result<bool, E>>,
    {
        let now = self.clock.monotonic();
        if !self.is_due(now) {
            return;
        }
        let busiest = locked(&self.counts).take_busiest();
        self.readers.set(busiest.len() as f64);
        let all = busiest
            .into_iter()
            .flat_map(|(reader, asked)| asked.into_iter().map(move |one| (reader, one)));
        for (reader, asked) in all {
            if self.clock.monotonic() >= now + self.period / 2 {
                tracing::info!("what is asked for most was not all warmed in time");
                return;
            }
            match load(reader, asked).await {
                Ok(loaded) => self.warmed.increment(u64::from(loaded)),
                Err(error) => {
                    tracing::debug!(%error, "what is asked for most cannot be warmed");
                    self.failures.increment(1);
                    return;
                }
            }
        }
    }

    /// Whether a round is due; if so, the next one is due a period later.
    fn is_due(&self, now: Duration) -> bool {
        let mut due = locked(&self.due);
        if self.period.is_zero() || now < *due {
            return false;
        }
        // Rounds that a process slept through are skipped.
        while *due <= now {
            *due += self.period;
        }
        true
    }
}

/// How often each reader has asked, and for what, by the algorithm of Misra and Gries: when there is no room for
/// one more, each count is decremented. So the busiest remain, in bounded memory.
struct Counts<R, A>(BTreeMap<R, Count<A>>);

struct Count<A> {
    reads: u64,
    asked: Vec<(A, u64)>,
}

impl<R, A> Default for Counts<R, A> {
    fn default() -> Counts<R, A> {
        Counts(BTreeMap::new())
    }
}

impl<R: Ord + Copy, A: Clone + PartialEq> Counts<R, A> {
    fn add(&mut self, reader: R, asked: &A) {
        if self.0.len() >= READERS_MAX && !self.0.contains_key(&reader) {
            self.0.retain(|_, count| {
                count.reads -= 1;
                count.reads > 0
            });
            return;
        }
        let count = self.0.entry(reader).or_insert_with(|| Count {
            reads: 0,
            asked: Vec::new(),
        });
        count.reads += 1;
        count.add(asked);
    }

    /// A tenth of the readers, the busiest first, with what each asked for, most often first. Everybody is
    /// counted anew.
    fn take_busiest(&mut self) -> Vec<(R, Vec<A>)> {
        let mut all: Vec<_> = std::mem::take(&mut self.0).into_iter().collect();
        let tenth = all.len().div_ceil(BUSIEST_OF).min(WARMED_MAX);
        all.sort_by_key(|(_, count)| Reverse(count.reads));
        all.truncate(tenth);
        let of = |(reader, count): (R, Count<A>)| (reader, count.most_first());
        all.into_iter().map(of).collect()
    }
}

impl<A: Clone + PartialEq> Count<A> {
    fn add(&mut self, asked: &A) {
        if let Some((_, count)) = self.asked.iter_mut().find(|(known, _)| known == asked) {
            *count += 1;
        } else if self.asked.len() < ASKED_MAX {
            self.asked.push((asked.clone(), 1));
        } else {
            self.asked.retain_mut(|(_, count)| {
                *count -= 1;
                *count > 0
            });
        }
    }

    fn most_first(mut self) -> Vec<A> {
        self.asked.sort_by_key(|(_, count)| Reverse(*count));
        self.asked.into_iter().map(|(asked, _)| asked).collect()
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R, A> std::fmt::Debug for Warmer<R, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Warmer({:?})", self.period)
    }
}

#[cfg(test)]
mod tests;
