//! What a read costs on each level of the cache and in the database; `run` starts the servers.
//!
//! One caller, one read at a time: what is printed is the way there and back, not what a server bears.

mod far;
mod sql;

use std::sync::Arc;
use std::time::Duration;

use prepx_cache::{Cache, Limiter, Loaded, Location, Options, Rate, Space};
use prepx_env::{Clock, SystemClock};

const ROUNDS: u32 = 2_000_000;
const HOUR: Duration = Duration::from_secs(3_600);
/// As long as an access token.
const VALUE: &str = concat!(
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjEifQ.eyJzdWIiOiI1ZjdmYjA3NC0wZjFkLTQ2NjUtOTM4My0",
    "1N2Y5YzFmZjQ5YjAiLCJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMDkwMCwic2NvcGUiOiJ0cmFkZSByZWFkIn0.",
    "c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0d",
    "XJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF",
    "0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2ln",
);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock::new());
    near(&Cache::open(Location::Memory, clock.clone()).await, &*clock).await;
    far::measure(clock.clone()).await?;
    sql::measure(&*clock).await
}

fn options() -> Options<Arc<str>> {
    Options {
        name: "cost",
        bytes_max: 64 << 20,
        ttl_max: HOUR,
        weigh: |_: &Arc<str>| VALUE.len(),
        codec: Some(prepx_cache::Codec {
            encode: |text| bytes::Bytes::copy_from_slice(text.as_bytes()),
            decode: |bytes| std::str::from_utf8(bytes).ok().map(Arc::from),
        }),
    }
}

fn space(cache: &Cache) -> Space<Arc<str>> {
    cache.space(options())
}

fn value() -> Loaded<Arc<str>> {
    let (value, ttl) = (Arc::from(VALUE), HOUR);
    Loaded { value, ttl }
}

fn limiter() -> Limiter {
    Limiter::new("cost", Rate::new(1_000_000, HOUR)).and(Rate::new(9_000_000, HOUR))
}

/// What the process itself keeps and counts.
async fn near(cache: &Cache, clock: &dyn Clock) {
    let (space, limiter) = (space(cache), limiter());
    space.put(&[7; 32], value()).await;
    let began = clock.monotonic();
    for _ in 0..ROUNDS {
        std::hint::black_box(space.get(&[7; 32]).await);
    }
    println!("L1 hit {:?}", (clock.monotonic() - began) / ROUNDS);
    let began = clock.monotonic();
    for number in 0..ROUNDS {
        let key = (number % 1_000).to_le_bytes();
        std::hint::black_box(cache.take(&limiter, &key, 1).await);
    }
    println!("L1 count {:?}", (clock.monotonic() - began) / ROUNDS);
}

/// The times of many tries.
struct Times<'a> {
    clock: &'a dyn Clock,
    took: Vec<Duration>,
}

impl Times<'_> {
    fn new(clock: &dyn Clock) -> Times<'_> {
        let took = Vec::new();
        Times { clock, took }
    }

    async fn time<T>(&mut self, what: impl Future<Output = T>) -> T {
        let began = self.clock.monotonic();
        let outcome = what.await;
        self.took.push(self.clock.monotonic() - began);
        outcome
    }

    fn tell(mut self, what: &str) {
        self.took.sort_unstable();
        let count = self.took.len();
        let at = |hundredths: usize| self.took[count * hundredths / 100];
        let (p50, p95, p99) = (at(50), at(95), at(99));
        println!("{what}: p50 {p50:?}, p95 {p95:?}, p99 {p99:?} of {count}");
    }
}
