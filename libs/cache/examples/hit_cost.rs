//! What a hit and a count cost: `cargo run --release -p prepx-cache --example hit_cost`, and behind
//! `tests/servers/redis.py run --` what they cost on Redis.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prepx_cache::{Cache, Codec, Limiter, Loaded, Location, Options, Rate, Space};
use prepx_env::{Clock, SystemClock};

const ROUNDS: u32 = 2_000_000;
const FAR_ROUNDS: u32 = 20_000;
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
async fn main() {
    let clock = Arc::new(SystemClock::new());
    near(&Cache::open(Location::Memory, clock.clone()).await, &*clock).await;
    let Ok(url) = std::env::var("PREPX_TEST_REDIS") else {
        return println!("PREPX_TEST_REDIS is not set: nothing of Redis");
    };
    let location = Location::parse(&url).expect("PREPX_TEST_REDIS is the URL of a cache");
    let [here, there] = [location.clone(), location].map(|at| Cache::open(at, clock.clone()));
    let (here, there) = tokio::join!(here, there);
    far(&here, &there, &*clock).await;
}

fn space(cache: &Cache) -> Space<Arc<str>> {
    cache.space(Options {
        name: "cost",
        bytes_max: 64 << 20,
        ttl_max: HOUR,
        weigh: |_: &Arc<str>| VALUE.len(),
        codec: Some(Codec {
            encode: |text| Bytes::copy_from_slice(text.as_bytes()),
            decode: |bytes| std::str::from_utf8(bytes).ok().map(Arc::from),
        }),
    })
}

fn value() -> Loaded<Arc<str>> {
    let (value, ttl) = (Arc::from(VALUE), HOUR);
    Loaded { value, ttl }
}

fn limiter() -> Limiter {
    Limiter::new("cost", Rate::new(1_000_000, HOUR)).and(Rate::new(9_000_000, HOUR))
}

async fn near(cache: &Cache, clock: &dyn Clock) {
    let (space, limiter) = (space(cache), limiter());
    space.put(&[7; 32], value()).await;
    let began = clock.monotonic();
    for _ in 0..ROUNDS {
        std::hint::black_box(space.get(&[7; 32]).await);
    }
    println!("hit   {:?}", (clock.monotonic() - began) / ROUNDS);
    let began = clock.monotonic();
    for number in 0..ROUNDS {
        let key = (number % 1_000).to_le_bytes();
        std::hint::black_box(cache.take(&limiter, &key, 1).await);
    }
    println!("count {:?}", (clock.monotonic() - began) / ROUNDS);
}

async fn far(here: &Cache, there: &Cache, clock: &dyn Clock) {
    let (ours, theirs, limiter) = (space(here), space(there), limiter());
    let (mut kept, mut found, mut counted, mut misses) = (vec![], vec![], vec![], 0);
    for number in 0..FAR_ROUNDS {
        let key = number.to_le_bytes();
        let began = clock.monotonic();
        ours.put(&key, value()).await;
        kept.push(clock.monotonic() - began);
    }
    for number in 0..FAR_ROUNDS {
        let key = number.to_le_bytes();
        let began = clock.monotonic();
        // On a machine with too much to do, a server may take longer than is waited for.
        misses += u32::from(theirs.get(&key).await.is_none());
        found.push(clock.monotonic() - began);
    }
    for number in 0..FAR_ROUNDS {
        let key = (number % 1_000).to_le_bytes();
        let began = clock.monotonic();
        assert!(here.take(&limiter, &key, 1).await.allowed);
        counted.push(clock.monotonic() - began);
    }
    for (what, took) in [("put", kept), ("hit", found), ("count", counted)] {
        tell(what, took);
    }
    println!("on Redis: {misses} of {FAR_ROUNDS} not found");
}

fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |hundredths: usize| took[took.len() * hundredths / 100];
    let (p50, p95, p99) = (at(50), at(95), at(99));
    println!("on Redis: {what:5} p50 {p50:?}, p95 {p95:?}, p99 {p99:?}");
}
