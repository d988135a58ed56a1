//! Redis passes the suite of the seam, on the servers that `make test-redis` starts.

mod away;
mod failover;
mod sharing;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prepx_cache::conformance::{self, Engine};
use prepx_cache::{Cache, Codec, Loaded, Location, Options, RedisLocation, Space};
use prepx_env::{Clock as _, SystemClock};

/// Names differ over the engines of one run.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Tests share the machine: what takes long is not away.
pub(crate) const PATIENT: Duration = Duration::from_secs(10);

/// Where the servers of this run are, for one engine alone.
pub(crate) fn location() -> RedisLocation {
    let url = std::env::var("PREPX_TEST_REDIS");
    let url = url.expect("PREPX_TEST_REDIS says where Redis is: run `make test-redis`");
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let prefix = format!("test-{}-{number}", std::process::id());
    let Ok(Location::Redis(location)) = Location::parse(&url) else {
        panic!("PREPX_TEST_REDIS is {url}; redis://127.0.0.1:6379 would be right");
    };
    RedisLocation {
        prefix,
        timeout: PATIENT,
        ..location
    }
}

pub(crate) async fn open(location: &RedisLocation) -> Cache {
    let clock = Arc::new(SystemClock::new());
    Cache::open(Location::Redis(location.clone()), clock).await
}

/// Two processes on the same servers.
pub(crate) struct Redis {
    pub(crate) here: Cache,
    pub(crate) there: Cache,
}

impl Redis {
    async fn new() -> Redis {
        Redis::at(&location()).await
    }

    pub(crate) async fn at(location: &RedisLocation) -> Redis {
        Redis {
            here: open(location).await,
            there: open(location).await,
        }
    }
}

impl Engine for Redis {
    fn open(&mut self) -> Cache {
        self.here.clone()
    }

    fn rival(&mut self) -> Cache {
        self.there.clone()
    }

    /// What expires on a server does so by its clock, which is this machine's.
    fn pass(&mut self, time: Duration) {
        let clock = SystemClock::new();
        let passed = clock.now().0 + i64::try_from(time.as_micros()).expect("a short time");
        while clock.now().0 <= passed {
            std::thread::yield_now();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_passes_the_suite() {
    conformance::run(Redis::new).await;
}

pub(crate) fn space(cache: &Cache) -> Space<String> {
    cache.space(options())
}

pub(crate) fn options() -> Options<String> {
    Options {
        name: "shared",
        bytes_max: 1 << 20,
        ttl_max: PATIENT * 60,
        weigh: String::len,
        codec: Some(Codec {
            encode: |text| Bytes::copy_from_slice(text.as_bytes()),
            decode: |bytes| String::from_utf8(bytes.to_vec()).ok(),
        }),
    }
}

pub(crate) fn loaded(text: &str) -> Loaded<String> {
    Loaded {
        value: text.to_owned(),
        ttl: PATIENT * 60,
    }
}

pub(crate) type Outcome = Result<Loaded<String>, ()>;

pub(crate) async fn never_loads() -> Outcome {
    panic!("loads what another process has left")
}
