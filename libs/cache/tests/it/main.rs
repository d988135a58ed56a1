//! The engines of this crate under the suite of the seam.

#[cfg(feature = "redis-tests")]
mod memcached;
#[cfg(feature = "redis-tests")]
mod redis;
#[cfg(feature = "redis-tests")]
mod wire;

use std::sync::Arc;
use std::time::Duration;

use prepx_cache::conformance::{self, Engine};
use prepx_cache::{Cache, Location};
use prepx_domain::Micros;
use prepx_env::ManualClock;

/// The memory of this process, with a clock that is moved by hand.
struct Memory {
    clock: Arc<ManualClock>,
    cache: Cache,
}

impl Memory {
    async fn new() -> Memory {
        let clock = Arc::new(ManualClock::new(Micros(1_800_000_000_000_000)));
        let cache = Cache::open(Location::Memory, clock.clone()).await;
        Memory { clock, cache }
    }
}

impl Engine for Memory {
    fn open(&mut self) -> Cache {
        self.cache.clone()
    }

    fn rival(&mut self) -> Cache {
        self.cache.clone()
    }

    fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_passes_the_suite() {
    conformance::run(Memory::new).await;
}
