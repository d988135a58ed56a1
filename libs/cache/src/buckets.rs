//! What limiters have counted, in the memory of this process: bounded, and decided under one lock.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::LIMITER_KEY_BYTES_MAX;
use crate::limiter::{Limiter, State, Verdict};

const SHARDS: usize = 16;
/// How many keys are remembered at most, over all limiters.
const KEYS_MAX: usize = 131_072;
const SHARD_KEYS_MAX: usize = KEYS_MAX / SHARDS;

/// A limiter's name and a key with its length, which need no memory of their own.
type Key = (&'static str, u8, [u8; LIMITER_KEY_BYTES_MAX]);

pub(crate) struct Buckets {
    shards: [Mutex<HashMap<Key, State>>; SHARDS],
    hasher: RandomState,
}

impl Default for Buckets {
    fn default() -> Buckets {
        Buckets {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }
}

impl Buckets {
    pub(crate) fn take(&self, limiter: &Limiter, key: &[u8], count: u32, now: Duration) -> Verdict {
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let key = whole(limiter, key);
        let mut shard = self.shard(&key);
        if let Some(state) = shard.get_mut(&key) {
            return limiter.take(state, count, now_ns);
        }
        if shard.len() >= SHARD_KEYS_MAX {
            make_room(&mut shard, now_ns);
        }
        limiter.take(shard.entry(key).or_default(), count, now_ns)
    }

    pub(crate) fn forgive(&self, limiter: &Limiter, key: &[u8]) {
        let key = whole(limiter, key);
        self.shard(&key).remove(&key);
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, State>> {
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let len = |shard: &Mutex<HashMap<Key, State>>| shard.lock().map_or(0, |keys| keys.len());
        self.shards.iter().map(len).sum()
    }
}

fn whole(limiter: &Limiter, key: &[u8]) -> Key {
    let mut bytes = [0; LIMITER_KEY_BYTES_MAX];
    bytes[..key.len()].copy_from_slice(key);
    (limiter.name(), key.len() as u8, bytes)
}

/// Drops keys that are full again. If those are few, also the quarter that will be full soonest, so that during a flood
/// of keys each loses little, and the longest blocks stay.
fn make_room(shard: &mut HashMap<Key, State>, now_ns: u64) {
    shard.retain(|_, state| state.forgotten_at_ns() > now_ns);
    if shard.len() <= SHARD_KEYS_MAX / 4 * 3 {
        return;
    }
    let mut ends_ns: Vec<u64> = shard.values().map(State::forgotten_at_ns).collect();
    let (_, &mut last_ns, _) = ends_ns.select_nth_unstable(SHARD_KEYS_MAX / 4);
    shard.retain(|_, state| state.forgotten_at_ns() > last_ns);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rate;

    #[test]
    fn a_flood_of_keys_does_not_grow_and_frees_nobody_who_is_blocked() {
        let buckets = Buckets::default();
        let per = Duration::from_secs(60);
        let strict = Limiter::new("strict", Rate::new(1, per)).blocking(Duration::from_secs(600));
        let flood = Limiter::new("flood", Rate::new(10, per));
        let now = Duration::from_secs(1);
        assert!(buckets.take(&strict, b"bad", 1, now).allowed);
        assert!(!buckets.take(&strict, b"bad", 1, now).allowed);
        for number in 0..3 * KEYS_MAX as u64 {
            let later = now + Duration::from_micros(number);
            assert!(
                buckets
                    .take(&flood, &number.to_le_bytes(), 1, later)
                    .allowed
            );
        }
        assert!(buckets.len() <= KEYS_MAX);
        assert!(!buckets.take(&strict, b"bad", 1, per).allowed);
    }
}
