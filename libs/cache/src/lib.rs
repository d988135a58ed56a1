//! The cache behind one seam: values that are kept for a while, rate limits, publish and subscribe.
//!
//! One URL names the engine; everything above holds a [`Cache`] and does not know which it is. Today
//! that is the process's own memory. Redis Cluster joins as a second engine behind the same three
//! offers, and [`conformance`] is what both sides pass:
//!
//! - [`Space`]: values under keys, bounded in bytes and time, loaded once however many ask;
//! - [`Cache::take`]: whether one more is within a [`Limiter`], counted in one atomic step;
//! - [`Cache::publish`] and [`Cache::subscribe`]: news for whoever listens, bounded, at most once.
//!
//! Nothing that matters lives only here: every answer may be "not kept" or "some news were missed",
//! and no call fails. So it refuses to be a store or a log. Time comes from the [`Clock`] that it is
//! opened with.

mod buckets;
pub mod conformance;
mod limiter;
mod space;
mod topics;

use std::sync::Arc;

use bytes::Bytes;
use prepx_env::Clock;

pub use limiter::{Limiter, Rate, Verdict};
pub use space::{Loaded, Options, Space};
pub use topics::{Heard, Subscription};

use buckets::Buckets;
use space::Removals;
use topics::Topics;

/// The longest key of a limiter, in bytes.
pub const LIMITER_KEY_BYTES_MAX: usize = 32;

/// A URL that names no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cache {0:?} is not known: use `memory:`, the memory of this process")]
pub struct UnknownUrl(String);

/// Which engine, from one URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// `memory:`: the memory of this process.
    Memory,
}

impl Location {
    /// Reads a URL. Only `memory:` is served so far.
    ///
    /// # Errors
    /// Any other URL.
    pub fn parse(url: &str) -> Result<Location, UnknownUrl> {
        match url {
            "memory:" => Ok(Location::Memory),
            _ => Err(UnknownUrl(url.to_owned())),
        }
    }
}

/// An open cache. Clones are the same cache.
#[derive(Clone)]
pub struct Cache(Engine);

#[derive(Clone)]
enum Engine {
    Memory(Arc<Memory>),
}

/// What one process keeps.
struct Memory {
    clock: Arc<dyn Clock>,
    removals: Removals,
    buckets: Buckets,
    topics: Topics,
}

impl Cache {
    /// Opens the cache at a location.
    pub fn open(location: Location, clock: Arc<dyn Clock>) -> Cache {
        match location {
            Location::Memory => Cache(Engine::Memory(Arc::new(Memory {
                clock,
                removals: Removals::default(),
                buckets: Buckets::default(),
                topics: Topics::default(),
            }))),
        }
    }

    /// A space of values. Spaces of one name share what is removed, wherever they are held; give each
    /// kind of value a name of its own.
    pub fn space<V: Clone + Send + Sync + 'static>(&self, options: Options<V>) -> Space<V> {
        let Engine::Memory(memory) = &self.0;
        let removed = memory.removals.of(options.name);
        Space::new(options, Arc::clone(&memory.clock), removed)
    }

    /// Counts `count` more under `key` (at most [`LIMITER_KEY_BYTES_MAX`] bytes) if that is within the
    /// limiter; all of its rates in one atomic step, or none.
    pub async fn take(&self, limiter: &Limiter, key: &[u8], count: u32) -> Verdict {
        let Engine::Memory(memory) = &self.0;
        let verdict = memory
            .buckets
            .take(limiter, key, count, memory.clock.monotonic());
        if !verdict.allowed {
            metrics::counter!("prepx_rate_limited_total", "limiter" => limiter.name()).increment(1);
        }
        verdict
    }

    /// Forgets what was counted under a key, and a block with it.
    pub async fn forgive(&self, limiter: &Limiter, key: &[u8]) {
        let Engine::Memory(memory) = &self.0;
        memory.buckets.forgive(limiter, key);
    }

    /// Tells everybody who listens to a topic, now; never waits for one of them. Messages are small:
    /// they say what happened to what, not the data.
    pub async fn publish(&self, topic: &'static str, message: Bytes) {
        let Engine::Memory(memory) = &self.0;
        memory.topics.publish(topic, message);
    }

    /// Listens to a topic from now on.
    pub fn subscribe(&self, topic: &'static str) -> Subscription {
        let Engine::Memory(memory) = &self.0;
        memory.topics.subscribe(topic)
    }
}

/// What one caller may still take, handed to who knows how much it takes.
#[derive(Clone, Debug)]
pub struct Allowance {
    cache: Cache,
    limiter: Limiter,
    key: Box<[u8]>,
}

impl Allowance {
    /// What the limiter leaves under a key.
    pub fn new(cache: Cache, limiter: Limiter, key: &[u8]) -> Allowance {
        let key = key.into();
        Allowance {
            cache,
            limiter,
            key,
        }
    }

    /// See [`Cache::take`].
    pub async fn take(&self, count: u32) -> Verdict {
        self.cache.take(&self.limiter, &self.key, count).await
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Engine::Memory(_) => f.write_str("Cache(memory)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_an_engine() {
        assert_eq!(Location::parse("memory:"), Ok(Location::Memory));
        for wrong in ["", "memory", "redis://localhost", "memory:8MiB"] {
            assert_eq!(Location::parse(wrong), Err(UnknownUrl(wrong.to_owned())));
        }
    }
}
