//! Randomness: from the operating system, or the same every time from a seed.

// The one place that may read the machine's randomness.
#![allow(clippy::disallowed_methods)]

use std::sync::Mutex;

use prepx_domain::Micros;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use uuid::{Builder, Uuid};

/// A source of random bytes that threads may share.
pub struct Random(Mutex<ChaCha12Rng>);

impl Random {
    /// Unpredictable: seeded by the operating system. Fit for secrets.
    pub fn from_system() -> Self {
        Random(Mutex::new(ChaCha12Rng::from_rng(&mut rand::rng())))
    }

    /// The same bytes for the same seed. For simulations and tests only.
    pub fn from_seed(seed: u64) -> Self {
        Random(Mutex::new(ChaCha12Rng::seed_from_u64(seed)))
    }

    /// Fills the buffer.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .fill_bytes(bytes);
    }

    /// So many random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A number from 0 to 2^64 − 1.
    pub fn next_u64(&self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A random UUID of version 4.
    pub fn uuid(&self) -> Uuid {
        Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// A UUID of version 7: it begins with the time, so that in an index those drawn one after the other
    /// stand beside each other.
    pub fn uuid_at(&self, now: Micros) -> Uuid {
        let unix_ms = u64::try_from(now.0 / 1_000).unwrap_or_default();
        Builder::from_unix_timestamp_millis(unix_ms, &self.bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_the_system_does_not() {
        let draw = |random: &Random| (random.next_u64(), random.uuid());
        assert_eq!(draw(&Random::from_seed(7)), draw(&Random::from_seed(7)));
        assert_ne!(draw(&Random::from_seed(7)), draw(&Random::from_seed(8)));
        assert_ne!(draw(&Random::from_system()), draw(&Random::from_system()));
        assert_eq!(Random::from_seed(7).uuid().get_version_num(), 4);
    }

    #[test]
    fn what_is_drawn_later_sorts_later() {
        let random = Random::from_seed(7);
        let at = |ms: i64| random.uuid_at(Micros(ms * 1_000));
        let drawn = [at(0), at(1), at(1_795_000_000_000), at(1_795_000_000_001)];
        assert!(drawn.is_sorted());
        assert_ne!(at(1), at(1));
        assert_eq!(drawn[2].get_version_num(), 7);
    }
}
