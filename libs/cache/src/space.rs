//! Values that are kept for a while, close to who asks (the level `l1`).
//!
//! Values are held as they are and handed out as clones, so a hit decodes nothing; large ones belong
//! into an `Arc`. Whether an entry is good is decided by the cache's own clock; moka bounds the memory
//! and lets one of many callers load.
//!
//! A removal is a step of a counter that is part of the key inside. So nobody who asks after a removal
//! finds, or waits for, what was loaded or begun before it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Histogram};
use moka::future::Cache;
use moka::notification::RemovalCause;
use prepx_env::Clock;

/// Counters of removals a space: a removal takes the keys along that share its counter, which are few.
const COUNTERS: usize = 1_024;
/// One lookup in so many is timed: timing costs as much as a hit.
const TIMED_EVERY: u64 = 64;
/// What an entry costs beside its key and its value, about.
const ENTRY_BYTES: usize = 200;

/// What a space keeps.
#[derive(Clone, Copy, Debug)]
pub struct Options<V> {
    /// Its name, which labels its metrics.
    pub name: &'static str,
    /// What its entries may weigh together.
    pub bytes_max: u64,
    /// The longest that anything is kept, whatever it asks for.
    pub ttl_max: Duration,
    /// How many bytes a value holds on to.
    pub weigh: fn(&V) -> usize,
}

/// A value and the time that it is good for, from now on.
#[derive(Clone, Copy, Debug)]
pub struct Loaded<V> {
    /// The value.
    pub value: V,
    /// How long it is good; nothing with no time is kept.
    pub ttl: Duration,
}

/// Values of one kind. Clones are the same space; see the module.
#[derive(Clone)]
pub struct Space<V>(Arc<Inner<V>>);

struct Inner<V> {
    options: Options<V>,
    entries: Cache<Box<[u8]>, Entry<V>>,
    clock: Arc<dyn Clock>,
    removed: Arc<Removed>,
    meters: Meters,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    bytes: u32,
    /// On the monotonic clock.
    good_until: Duration,
}

impl<V: Clone + Send + Sync + 'static> Space<V> {
    pub(crate) fn new(
        options: Options<V>,
        clock: Arc<dyn Clock>,
        removed: Arc<Removed>,
    ) -> Space<V> {
        let labels = [("space", options.name), ("level", "l1")];
        let evictions = metrics::counter!("prepx_cache_evictions_total", &labels);
        let entries = Cache::builder()
            .max_capacity(options.bytes_max)
            .weigher(|_, entry: &Entry<V>| entry.bytes)
            // The machine's clock only frees memory here.
            .time_to_live(options.ttl_max)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    evictions.increment(1);
                }
            })
            .build();
        let meters = Meters {
            lookups: AtomicU64::new(0),
            hits: metrics::counter!("prepx_cache_hits_total", &labels),
            misses: metrics::counter!("prepx_cache_misses_total", &labels),
            seconds: metrics::histogram!("prepx_cache_lookup_seconds", &labels),
        };
        Space(Arc::new(Inner {
            options,
            entries,
            clock,
            removed,
            meters,
        }))
    }

    /// The value under a key, if it is kept and good.
    pub async fn get(&self, key: &[u8]) -> Option<V> {
        self.0.get(&self.0.removed.inside(key)).await
    }

    /// Keeps a value.
    pub async fn put(&self, key: &[u8], loaded: Loaded<V>) {
        let inside = self.0.removed.inside(key);
        let entry = self.0.entry(&inside, loaded);
        self.0.entries.insert(inside, entry).await;
    }

    /// The value under a key, loaded by the first of those who ask for it at the same time. When that
    /// fails, all who waited are told so and nothing is kept; when its caller goes away, the next one
    /// loads.
    ///
    /// # Errors
    /// That of the load.
    pub async fn get_or_load<E: Send + Sync + 'static>(
        &self,
        key: &[u8],
        load: impl Future<Output = Result<Loaded<V>, E>>,
    ) -> Result<V, Arc<E>> {
        let inner = &*self.0;
        let inside = inner.removed.inside(key);
        if let Some(value) = inner.get(&inside).await {
            return Ok(value);
        }
        let kept = async {
            let loaded = load.await?;
            Ok::<_, E>(inner.entry(&inside, loaded))
        };
        let entry = inner.entries.try_get_with(inside.clone(), kept).await?;
        Ok(entry.value)
    }

    /// Forgets the value under a key wherever spaces of this name are held, and what is being loaded
    /// for it: who asks from now on gets what is loaded from now on.
    pub async fn remove(&self, key: &[u8]) {
        let before = self.0.removed.inside(key);
        self.0.removed.add(key);
        self.0.entries.invalidate(&before).await;
    }

    /// What the entries weigh together once what was begun is done.
    pub async fn weight_bytes(&self) -> u64 {
        self.0.entries.run_pending_tasks().await;
        self.0.entries.weighted_size()
    }
}

impl<V: Clone + Send + Sync + 'static> Inner<V> {
    async fn get(&self, inside: &[u8]) -> Option<V> {
        let now = self.clock.monotonic();
        let entry = self.entries.get(inside).await;
        let is_kept = entry.is_some();
        let found = entry.filter(|entry| now < entry.good_until);
        if is_kept && found.is_none() {
            self.entries.invalidate(inside).await;
        }
        self.meters
            .count(found.is_some(), || self.clock.monotonic() - now);
        found.map(|entry| entry.value)
    }

    fn entry(&self, inside: &[u8], loaded: Loaded<V>) -> Entry<V> {
        let Loaded { value, ttl } = loaded;
        let bytes = ENTRY_BYTES + inside.len() + (self.options.weigh)(&value);
        Entry {
            value,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            good_until: self.clock.monotonic() + ttl.min(self.options.ttl_max),
        }
    }
}

impl<V> std::fmt::Debug for Space<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Space({})", self.0.options.name)
    }
}

struct Meters {
    lookups: AtomicU64,
    hits: Counter,
    misses: Counter,
    seconds: Histogram,
}

impl Meters {
    fn count(&self, is_hit: bool, took: impl FnOnce() -> Duration) {
        if is_hit { &self.hits } else { &self.misses }.increment(1);
        if self
            .lookups
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(TIMED_EVERY)
        {
            self.seconds.record(took());
        }
    }
}

/// The removals of all spaces, by name.
#[derive(Default)]
pub(crate) struct Removals(Mutex<HashMap<&'static str, Arc<Removed>>>);

impl Removals {
    pub(crate) fn of(&self, space: &'static str) -> Arc<Removed> {
        let mut spaces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(spaces.entry(space).or_default())
    }
}

/// How often keys of a space were removed.
pub(crate) struct Removed {
    counters: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for Removed {
    fn default() -> Removed {
        Removed {
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Removed {
    /// A key with the number of its removals so far.
    fn inside(&self, key: &[u8]) -> Box<[u8]> {
        let count = self.counter(key).load(Ordering::Acquire).to_le_bytes();
        [key, &count].concat().into()
    }

    fn add(&self, key: &[u8]) {
        self.counter(key).fetch_add(1, Ordering::AcqRel);
    }

    fn counter(&self, key: &[u8]) -> &AtomicU64 {
        &self.counters[self.hasher.hash_one(key) as usize % COUNTERS]
    }
}
