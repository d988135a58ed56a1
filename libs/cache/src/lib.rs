//! The cache: values that are kept for a while, rate limits, publish and subscribe.
//!
//! A URL chooses the engine: the process's own memory; behind it Redis, single or cluster, shared by many processes; and
//! behind that Memcached. Code that holds a [`Cache`] does not know which it is. [`conformance`] tests them all:
//!
//! - [`Space`]: values under keys, bounded in bytes and time, loaded once however many callers ask;
//! - [`Cache::take`]: whether one more event is within a [`Limiter`], counted atomically;
//! - [`Cache::publish`] and [`Cache::subscribe`]: messages to all subscribers, bounded, at most once;
//! - [`Warmer`]: loads what the busiest readers ask for most before they ask.
//!
//! The cache is never the only place of anything that matters. The answer may always be "not cached" or "some messages were
//! missed", and no call fails: while the servers cannot be reached, each process caches and counts for itself. So the cache
//! refuses to be a store or a log. Time comes from the [`Clock`] that it is opened with, and on a server from that server.

mod buckets;
pub mod conformance;
mod l3;
mod limiter;
mod location;
mod memcached;
mod meters;
mod presence;
mod redis;
mod removals;
mod shared;
mod space;
mod topics;
mod warmer;

use std::sync::Arc;

use bytes::Bytes;
use prepx_env::Clock;
use tokio::task::JoinSet;

pub use limiter::{Limiter, Rate, Verdict};
pub use location::{Location, RedisLocation, UnknownUrl};
pub use space::{Codec, Loaded, Options, Space};
pub use topics::{Received, Subscription};
pub use warmer::Warmer;

use buckets::Buckets;
use memcached::Memcached;
use redis::Redis;
use removals::Removals;
use topics::Topics;

/// The longest key of a limiter, in bytes.
pub const LIMITER_KEY_BYTES_MAX: usize = 32;

/// An open cache. Clones are the same cache.
#[derive(Clone)]
pub struct Cache {
    near: Arc<Memory>,
    far: Option<Far>,
}

/// The values, counts and listeners of one process.
struct Memory {
    clock: Arc<dyn Clock>,
    removals: Removals,
    buckets: Buckets,
    topics: Topics,
}

/// The servers that processes share, and the tasks that keep the connections to them.
#[derive(Clone)]
struct Far {
    redis: Arc<Redis>,
    memcached: Option<Arc<Memcached>>,
    _tasks: Arc<JoinSet<()>>,
}

impl Far {
    /// `None`, and a line in the log, for an impossible location.
    async fn open(location: &RedisLocation, near: Arc<Memory>) -> Option<Far> {
        match Redis::open(location, near).await {
            Ok((redis, mut tasks)) => Some(Far {
                redis,
                memcached: Memcached::open(location, &mut tasks).await,
                _tasks: Arc::new(tasks),
            }),
            Err(error) => {
                tracing::error!(%error, ?location, "the cache cannot be opened there");
                None
            }
        }
    }
}

impl Cache {
    /// Opens the cache at a location, on a tokio runtime. Waits a few seconds for servers that are away,
    /// then starts without them, and uses them once they answer.
    pub async fn open(location: Location, clock: Arc<dyn Clock>) -> Cache {
        let near = Arc::new(Memory {
            clock,
            removals: Removals::default(),
            buckets: Buckets::default(),
            topics: Topics::default(),
        });
        let far = match location {
            Location::Memory => None,
            Location::Redis(location) => Far::open(&location, Arc::clone(&near)).await,
        };
        Cache { near, far }
    }

    /// A space of values. Spaces of one name share what is removed, wherever they are held; give each
    /// kind of value a name of its own.
    pub fn space<V: Clone + Send + Sync + 'static>(&self, options: Options<V>) -> Space<V> {
        let removed = self.near.removals.of(options.name);
        let clock = Arc::clone(&self.near.clock);
        Space::new(options, clock, removed, self.far.clone())
    }

    /// Counts `count` more under `key` (at most [`LIMITER_KEY_BYTES_MAX`] bytes) if that is within the
    /// limiter; all of its rates in one atomic step, or none. Servers that are away are not waited for:
    /// then this process counts what it sees itself.
    pub async fn take(&self, limiter: &Limiter, key: &[u8], count: u32) -> Verdict {
        let shared = match &self.far {
            Some(far) => far.redis.take(limiter, key, count).await,
            None => None,
        };
        let verdict = shared.unwrap_or_else(|| {
            let now = self.near.clock.monotonic();
            self.near.buckets.take(limiter, key, count, now)
        });
        if !verdict.allowed {
            metrics::counter!("prepx_rate_limited_total", "limiter" => limiter.name()).increment(1);
        }
        verdict
    }

    /// Resets what was counted under a key, and its block.
    pub async fn forgive(&self, limiter: &Limiter, key: &[u8]) {
        self.near.buckets.forgive(limiter, key);
        if let Some(far) = &self.far {
            far.redis.forgive(limiter, key).await;
        }
    }

    /// Publishes a message to all subscribers of a topic: to those in this process, and at most once to those in
    /// others. Never waits for them. Messages are small: they name what happened, and do not carry the data.
    pub async fn publish(&self, topic: &'static str, message: Bytes) {
        self.near.topics.publish(topic, message.clone());
        if let Some(far) = &self.far {
            far.redis.publish(topic, message).await;
        }
    }

    /// Listens to a topic from now on.
    pub fn subscribe(&self, topic: &'static str) -> Subscription {
        self.near.topics.subscribe(topic)
    }
}

/// A limiter's allowance for one caller, for code that only later knows how much is taken.
#[derive(Clone, Debug)]
pub struct Allowance {
    cache: Cache,
    limiter: Limiter,
    key: Box<[u8]>,
}

impl Allowance {
    /// How much a limiter still allows under a key.
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
        let engine = self.far.as_ref().map_or("memory", |_| "redis");
        write!(f, "Cache({engine})")
    }
}
