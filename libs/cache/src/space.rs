//! Values that are cached in the memory of this process (the level `l1`).
//!
//! Values are held decoded and returned as clones, so a hit decodes nothing; large ones should be
//! in an `Arc`. Whether an entry is still valid is decided by the cache's own clock; moka bounds the memory
//! and has one of many callers load.
//!
//! A removal increments a counter that is part of the inner key. So a read after a removal neither finds nor waits for a
//! value whose load began before it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;
use moka::notification::RemovalCause;
use prepx_env::Clock;

use crate::Far;
use crate::meters::Meters;
use crate::removals::Removed;
use crate::shared::Shared;

/// One lookup in this many is timed: timing costs as much as a hit. A prime, so that it is not always that in
/// which moka tidies up, or never.
const TIMED_EVERY: u64 = 61;
/// About what an entry costs beside its key and its value, in bytes.
const ENTRY_BYTES: usize = 200;

/// The settings of a space.
#[derive(Clone, Copy, Debug)]
pub struct Options<V> {
    /// Its name, which labels its metrics.
    pub name: &'static str,
    /// The most that its entries may weigh together.
    pub bytes_max: u64,
    /// The longest that any value is kept, whatever time it asks for.
    pub ttl_max: Duration,
    /// How many bytes a value holds on to.
    pub weigh: fn(&V) -> usize,
    /// How its values are encoded for other processes; without that, each process loads its own.
    pub codec: Option<Codec<V>>,
}

/// How a value is encoded outside this process.
#[derive(Clone, Copy, Debug)]
pub struct Codec<V> {
    /// Its bytes.
    pub encode: fn(&V) -> Bytes,
    /// The value; `None` for invalid bytes, such as those of another version: it is loaded again.
    pub decode: fn(&[u8]) -> Option<V>,
}

/// A value and how long it is valid from now on.
#[derive(Clone, Copy, Debug)]
pub struct Loaded<V> {
    /// The value.
    pub value: V,
    /// How long it is valid; zero is not kept at all.
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
    /// What is behind it, where processes share something.
    shared: Option<Shared<V>>,
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
        far: Option<Far>,
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
        Space(Arc::new(Inner {
            entries,
            meters: Meters::of(options.name, "l1", TIMED_EVERY),
            shared: far.map(|far| {
                Shared::new(
                    options.clone(),
                    far,
                    Arc::clone(&clock),
                    Arc::clone(&removed),
                )
            }),
            removed,
            options,
            clock,
        }))
    }

    /// The value under a key, if it is kept and valid.
    pub async fn get(&self, key: &[u8]) -> Option<V> {
        let inner = &*self.0;
        let inside = inner.removed.inside(key);
        if let Some(value) = inner.get(&inside).await {
            return Some(value);
        }
        let loaded = inner.shared.as_ref()?.get(key).await?;
        let entry = inner.entry(&inside, loaded.clone());
        inner.entries.insert(inside, entry).await;
        Some(loaded.value)
    }

    /// Stores a value on every level in place of the old one. Other processes find the new value, or none, as
    /// soon as they learn of it.
    pub async fn put(&self, key: &[u8], loaded: Loaded<V>) {
        let inner = &*self.0;
        inner.removed.add(key);
        let inside = inner.removed.inside(key);
        let entry = inner.entry(&inside, loaded.clone());
        inner.entries.insert(inside, entry).await;
        if let Some(shared) = &inner.shared {
            shared.put(key, &loaded).await;
        }
    }

    /// The value under a key, loaded by the first of the callers that ask for it at the same time. If the load
    /// fails, all that waited get its error and nothing is stored; if its caller goes away, the next one
    /// loads. Where processes share values, one of them loads while the others wait, for at most a
    /// second.
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
        match inner.get(&inside).await {
            Some(value) => Ok(value),
            None => inner.load(key, &inside, load).await,
        }
    }

    /// Loads the value under a key unless it is cached; returns whether it did. Counts neither as a hit nor as a
    /// miss.
    ///
    /// # Errors
    /// That of the load.
    pub async fn warm<E: Send + Sync + 'static>(
        &self,
        key: &[u8],
        load: impl Future<Output = Result<Loaded<V>, E>>,
    ) -> Result<bool, Arc<E>> {
        let inner = &*self.0;
        let inside = inner.removed.inside(key);
        let is_kept = inner.kept(&inside, inner.clock.monotonic()).await.is_some();
        if !is_kept {
            inner.load(key, &inside, load).await?;
        }
        Ok(!is_kept)
    }

    /// Removes the value under a key from all levels, and discards loads of it that are under way: later reads get
    /// a value that was loaded later. The same holds in other processes as soon as they learn of it.
    pub async fn remove(&self, key: &[u8]) {
        let before = self.0.removed.inside(key);
        self.0.removed.add(key);
        self.0.entries.invalidate(&before).await;
        if let Some(shared) = &self.0.shared {
            shared.remove(key).await;
        }
    }

    /// The total size of the entries, after pending maintenance.
    pub async fn weight_bytes(&self) -> u64 {
        self.0.entries.run_pending_tasks().await;
        self.0.entries.weighted_size()
    }
}

impl<V: Clone + Send + Sync + 'static> Inner<V> {
    async fn get(&self, inside: &[u8]) -> Option<V> {
        let now = self.clock.monotonic();
        let found = self.kept(inside, now).await;
        self.meters
            .count(found.is_some(), || self.clock.monotonic() - now);
        found
    }

    async fn kept(&self, inside: &[u8], now: Duration) -> Option<V> {
        let entry = self.entries.get(inside).await?;
        if now >= entry.good_until {
            self.entries.invalidate(inside).await;
            return None;
        }
        Some(entry.value)
    }

    /// Loads the value, or waits for another caller that does.
    async fn load<E: Send + Sync + 'static>(
        &self,
        key: &[u8],
        inside: &[u8],
        load: impl Future<Output = Result<Loaded<V>, E>>,
    ) -> Result<V, Arc<E>> {
        let kept = async {
            let loaded = match &self.shared {
                Some(shared) => Box::pin(shared.get_or_load(key, load)).await?,
                None => load.await?,
            };
            Ok::<_, E>(self.entry(inside, loaded))
        };
        let entry = self.entries.try_get_with(inside.into(), kept).await?;
        Ok(entry.value)
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
