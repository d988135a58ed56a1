//! Values that processes share (the level `l2`), behind the memory of each process.
//!
//! A process that finds no value gets a lease on the key in the same step; only one can have it. The holder looks in the
//! next level (`l3`) or loads, and its value is stored only if the lease still exists. So one process loads while the
//! others wait, and since a removal ends the lease, a value that was loaded before a removal cannot come back after it.
//! Owns: that protocol. Refuses: to fail. While the servers are away, every process loads for itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prepx_env::Clock;

use crate::Far;
use crate::l3::L3;
use crate::memcached::Name;
use crate::meters::Meters;
use crate::redis::{Lease, Look};
use crate::removals::Removed;
use crate::space::{Codec, Loaded, Options};

/// The pauses while another process loads; together they are longer than a lease lasts.
const PAUSES_MS: [u64; 11] = [5, 10, 20, 40, 80, 160, 160, 160, 160, 160, 160];

/// The shared levels of a space.
pub(crate) struct Shared<V> {
    options: Options<V>,
    far: Far,
    l3: Option<L3>,
    clock: Arc<dyn Clock>,
    meters: Meters,
}

/// The level behind Redis for a key, and what was found there.
struct Behind<'a> {
    l3: &'a L3,
    place: Name,
    found: Option<(Bytes, Duration)>,
}

impl<V> Shared<V> {
    pub(crate) fn new(
        options: Options<V>,
        far: Far,
        clock: Arc<dyn Clock>,
        removed: Arc<Removed>,
    ) -> Shared<V> {
        let l3 = far
            .memcached
            .clone()
            .map(|memcached| L3::new(options.name, memcached, Arc::clone(&clock), removed));
        Shared {
            meters: Meters::of(options.name, "l2", 1),
            options,
            far,
            l3,
            clock,
        }
    }

    /// The value that another process, or this one earlier, has stored.
    pub(crate) async fn get(&self, key: &[u8]) -> Option<Loaded<V>> {
        let codec = self.options.codec.as_ref()?;
        let began = self.clock.monotonic();
        let look = self.far.redis.look(self.options.name, key).await;
        if let Some(found) = self.read(codec, &look, began) {
            return Some(found);
        }
        self.behind(key, &look).await?.read(codec)
    }

    /// As [`Self::get`]; otherwise loads the value and stores it for other processes.
    pub(crate) async fn get_or_load<E>(
        &self,
        key: &[u8],
        load: impl Future<Output = Result<Loaded<V>, E>>,
    ) -> Result<Loaded<V>, E> {
        let Some(codec) = &self.options.codec else {
            return load.await;
        };
        let began = self.clock.monotonic();
        let look = self.look_patiently(key).await;
        if let Some(found) = self.read(codec, &look, began) {
            return Ok(found);
        }
        let behind = self.behind(key, &look).await;
        let lease = match look {
            Look::Leased(lease) => Some(lease),
            _ => None,
        };
        if let Some(found) = behind.as_ref().and_then(|behind| behind.read(codec)) {
            self.store(codec, &found, lease, None).await;
            return Ok(found);
        }
        let loaded = load.await?;
        self.store(codec, &loaded, lease, behind).await;
        Ok(loaded)
    }

    /// Stores a value for all processes, and has them drop the one that they have.
    pub(crate) async fn put(&self, key: &[u8], loaded: &Loaded<V>) {
        let value = self.options.codec.as_ref().zip(self.fits(loaded));
        let value = value.map(|(codec, ttl)| ((codec.encode)(&loaded.value), ttl));
        self.far.redis.replace(self.options.name, key, value).await;
    }

    /// Removes the value for all processes.
    pub(crate) async fn remove(&self, key: &[u8]) {
        self.far.redis.replace(self.options.name, key, None).await;
    }

    async fn look_patiently(&self, key: &[u8]) -> Look {
        for pause_ms in PAUSES_MS {
            match self.far.redis.look_or_lease(self.options.name, key).await {
                Look::Busy => tokio::time::sleep(Duration::from_millis(pause_ms)).await,
                other => return other,
            }
        }
        Look::Busy
    }

    /// Looks in the level behind Redis, if there is one and the key's name there is known.
    async fn behind(&self, key: &[u8], look: &Look) -> Option<Behind<'_>> {
        let l3 = self.l3.as_ref()?;
        let place = match look {
            Look::Away => l3.place_seen(key)?,
            _ => l3.place(&self.far.redis, key).await?,
        };
        let found = l3.get(&place).await;
        Some(Behind { l3, place, found })
    }

    /// Stores what was found or loaded for other processes.
    async fn store(
        &self,
        codec: &Codec<V>,
        loaded: &Loaded<V>,
        lease: Option<Lease>,
        behind: Option<Behind<'_>>,
    ) {
        let Some(ttl) = self
            .fits(loaded)
            .filter(|_| lease.is_some() || behind.is_some())
        else {
            return;
        };
        let bytes = (codec.encode)(&loaded.value);
        if let Some(Behind { l3, place, .. }) = behind {
            l3.put(&place, &bytes, ttl).await;
        }
        if let Some(lease) = lease {
            lease.fill(bytes, ttl).await;
        }
    }

    /// What was found, with the time until it expires.
    fn read(&self, codec: &Codec<V>, look: &Look, began: Duration) -> Option<Loaded<V>> {
        let took = self.clock.monotonic() - began;
        let found = match look {
            // No server was asked.
            Look::Away => return None,
            Look::Found(bytes, left) => (codec.decode)(bytes).map(|value| Loaded {
                value,
                ttl: left.saturating_sub(took),
            }),
            Look::Leased(_) | Look::Busy | Look::Absent => None,
        };
        self.meters.count(found.is_some(), || took);
        found
    }

    /// The time that a value is kept for; `None` for one that is not.
    fn fits(&self, loaded: &Loaded<V>) -> Option<Duration> {
        let bytes = (self.options.weigh)(&loaded.value) as u64;
        let ttl = loaded.ttl.min(self.options.ttl_max);
        (bytes <= self.options.bytes_max && ttl.as_millis() > 0).then_some(ttl)
    }
}

impl Behind<'_> {
    fn read<V>(&self, codec: &Codec<V>) -> Option<Loaded<V>> {
        let (bytes, ttl) = self.found.as_ref()?;
        let value = (codec.decode)(bytes)?;
        Some(Loaded { value, ttl: *ttl })
    }
}
