//! Values in Memcached (the level `l3`), behind those in Redis: it has room for more, and answers while
//! Redis is away.
//!
//! The rule: **what is under a name never becomes wrong before it expires.** A name holds, beside the key, the key's
//! generation. Redis has the generations, and every removal and put steps the generation before it does anything else. So
//! nothing has to be removed here, a server that missed removals may come back, and a value that was being loaded during a
//! removal is stored under a name that is never asked for again. Keys share generations, one in 1,024.
//!
//! Owns: that rule. While Redis is away, the generation is the one that this process saw last, unless it has learnt of a
//! removal since. A removal that it could not learn of then takes effect when the value expires, as in the process itself.
//! Refuses: to guess a generation, and to put into Redis what was found under a generation that Redis has not just
//! confirmed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prepx_env::Clock;

use crate::memcached::{Away, Memcached, Name};
use crate::meters::Meters;
use crate::redis::Redis;
use crate::removals::{self, Removed};

pub(crate) struct L3 {
    space: &'static str,
    memcached: Arc<Memcached>,
    clock: Arc<dyn Clock>,
    removed: Arc<Removed>,
    seen: Mutex<HashMap<u16, Seen>>,
    meters: Meters,
}

/// A generation, and how many removals the process had learnt of before it asked.
#[derive(Clone, Copy)]
struct Seen {
    generation: u64,
    removals: u64,
}

impl L3 {
    pub(crate) fn new(
        space: &'static str,
        memcached: Arc<Memcached>,
        clock: Arc<dyn Clock>,
        removed: Arc<Removed>,
    ) -> L3 {
        L3 {
            space,
            memcached,
            clock,
            removed,
            seen: Mutex::default(),
            meters: Meters::of(space, "l3", 1),
        }
    }

    /// Under which name values of a key are from now on until it is removed, as Redis says.
    pub(crate) async fn place(&self, redis: &Redis, key: &[u8]) -> Option<Name> {
        let counter = removals::counter(key);
        let removals = self.removed.count(counter);
        let generation = redis.generation(self.space, counter).await?;
        let seen = Seen {
            generation,
            removals,
        };
        self.seen().insert(counter, seen);
        Some(self.memcached.name(self.space, key, generation))
    }

    /// The name by the generation that this process knows.
    pub(crate) fn place_seen(&self, key: &[u8]) -> Option<Name> {
        let counter = removals::counter(key);
        let seen = self.seen().get(&counter).copied()?;
        (seen.removals == self.removed.count(counter))
            .then(|| self.memcached.name(self.space, key, seen.generation))
    }

    /// The value under it, and the time until it expires.
    pub(crate) async fn get(&self, place: &Name) -> Option<(Bytes, Duration)> {
        let began = self.clock.monotonic();
        let found = match self.memcached.get(place).await {
            Ok(found) => found,
            Err(Away) => return None,
        };
        let took = self.clock.monotonic() - began;
        self.meters.count(found.is_some(), || took);
        found.map(|(value, left)| (value, left.saturating_sub(took)))
    }

    pub(crate) async fn put(&self, place: &Name, value: &[u8], ttl: Duration) {
        self.memcached.put(place, value, ttl).await;
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<u16, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
