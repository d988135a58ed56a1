//! What a hit and a count cost: `cargo run --release -p prepx-cache --example hit_cost`.

use std::sync::Arc;
use std::time::Duration;

use prepx_cache::{Cache, Limiter, Loaded, Location, Options, Rate};
use prepx_env::{Clock, SystemClock};

const ROUNDS: u32 = 2_000_000;
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let clock = Arc::new(SystemClock::new());
    let cache = Cache::open(Location::Memory, clock.clone());
    let space = cache.space(Options {
        name: "cost",
        bytes_max: 1 << 20,
        ttl_max: HOUR,
        weigh: |_: &Arc<str>| 100,
    });
    let (value, ttl) = (Arc::from("an identity"), HOUR);
    space.put(&[7; 32], Loaded { value, ttl }).await;
    let began = clock.monotonic();
    for _ in 0..ROUNDS {
        std::hint::black_box(space.get(&[7; 32]).await);
    }
    println!("hit   {:?}", (clock.monotonic() - began) / ROUNDS);
    let limiter = Limiter::new("cost", Rate::new(1_000_000, HOUR)).and(Rate::new(9_000_000, HOUR));
    let began = clock.monotonic();
    for number in 0..ROUNDS {
        std::hint::black_box(
            cache
                .take(&limiter, &(number % 1_000).to_le_bytes(), 1)
                .await,
        );
    }
    println!("count {:?}", (clock.monotonic() - began) / ROUNDS);
}
