//! Redis passes the suite of the seam, on the servers that `make test-redis` starts.

mod away;
mod failover;
mod sharing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prepx_cache::conformance::{self, Engine};
use prepx_cache::{Cache, Codec, Loaded, Location, Options, RedisLocation, Space};
use prepx_env::SystemClock;

/// Names differ over the engines of one run.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Tests share the machine: what takes long is not away.
const PATIENT: Duration = Duration::from_secs(10);

/// Where the servers of this run are, for one engine alone.
fn location() -> RedisLocation {
    let url = std::env::var("PREPX_TEST_REDIS");
    let url = url.expect("PREPX_TEST_REDIS says where Redis is: run `make test-redis`");
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let prefix = format!("test-{}-{number}", std::process::id());
    let Ok(Location::Redis(location)) = Location::parse(&format!("{url}/{prefix}")) else {
        panic!("PREPX_TEST_REDIS is {url}; redis://127.0.0.1:6379 would be right");
    };
    RedisLocation {
        timeout: PATIENT,
        ..location
    }
}

async fn open(location: &RedisLocation) -> Cache {
    let clock = Arc::new(SystemClock::new());
    Cache::open(Location::Redis(location.clone()), clock).await
}

/// Two processes on the same servers.
struct Redis {
    here: Cache,
    there: Cache,
}

impl Redis {
    async fn new() -> Redis {
        let location = location();
        Redis {
            here: open(&location).await,
            there: open(&location).await,
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

    /// The servers have the machine's time.
    fn pass(&mut self, time: Duration) {
        tokio::task::block_in_place(|| std::thread::sleep(time));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_passes_the_suite() {
    conformance::run(Redis::new).await;
}

fn space(cache: &Cache) -> Space<String> {
    cache.space(Options {
        name: "shared",
        bytes_max: 1 << 20,
        ttl_max: PATIENT * 60,
        weigh: String::len,
        codec: Some(Codec {
            encode: |text| Bytes::copy_from_slice(text.as_bytes()),
            decode: |bytes| String::from_utf8(bytes.to_vec()).ok(),
        }),
    })
}

fn loaded(text: &str) -> Loaded<String> {
    Loaded {
        value: text.to_owned(),
        ttl: PATIENT * 60,
    }
}

type Outcome = Result<Loaded<String>, ()>;
