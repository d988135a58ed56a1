//! Redis, and Memcached behind it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use prepx_cache::{Cache, Location, RedisLocation};
use prepx_env::SystemClock;

use crate::{Times, limiter, space, value};

const ROUNDS: u32 = 20_000;

pub async fn measure(clock: Arc<SystemClock>) -> anyhow::Result<()> {
    let redis =
        std::env::var("PREPX_TEST_REDIS").context("PREPX_TEST_REDIS: use bench/cache/run")?;
    let memcached = std::env::var("PREPX_TEST_MEMCACHED")
        .context("PREPX_TEST_MEMCACHED: use bench/cache/run")?;
    let alone = Location::parse(&format!("{redis}/alone"))?;
    let both = Location::parse(&format!("{redis}/both?memcached={memcached}"))?;
    redis_alone(alone, &clock).await;
    memcached_behind(both, &clock).await
}

async fn redis_alone(location: Location, clock: &Arc<SystemClock>) {
    let here = Cache::open(location.clone(), clock.clone()).await;
    let there = Cache::open(location, clock.clone()).await;
    let (ours, theirs, limiter) = (space(&here), space(&there), limiter());
    let [mut kept, mut found, mut counted] = [(); 3].map(|()| Times::new(&**clock));
    let mut misses = 0;
    for number in 0..ROUNDS {
        kept.time(ours.put(&number.to_le_bytes(), value())).await;
    }
    for number in 0..ROUNDS {
        // On a machine with too much to do, a server may take longer than is waited for.
        let value = found.time(theirs.get(&number.to_le_bytes())).await;
        misses += u32::from(value.is_none());
    }
    for number in 0..ROUNDS {
        let key = (number % 1_000).to_le_bytes();
        counted.time(here.take(&limiter, &key, 1)).await;
    }
    found.tell("L2 hit");
    println!("L2 misses: {misses} of {ROUNDS}");
    kept.tell("L2 put");
    counted.tell("L2 count");
}

/// What a hit behind Redis costs, the look into Redis and the question for the generation in it.
async fn memcached_behind(location: Location, clock: &Arc<SystemClock>) -> anyhow::Result<()> {
    let Location::Redis(redis) = &location else {
        anyhow::bail!("{location:?} is no Redis");
    };
    let here = Cache::open(location.clone(), clock.clone()).await;
    let there = Cache::open(location.clone(), clock.clone()).await;
    let (ours, theirs) = (space(&here), space(&there));
    let [mut loaded, mut found] = [(); 2].map(|()| Times::new(&**clock));
    for number in 0..ROUNDS {
        let key = number.to_le_bytes();
        let load = async { Ok::<_, ()>(value()) };
        let answer = loaded.time(ours.get_or_load(&key, load)).await;
        ensure!(answer.is_ok(), "loads do not fail");
    }
    forget(redis)?;
    let mut misses = 0;
    for number in 0..ROUNDS {
        let value = found.time(theirs.get(&number.to_le_bytes())).await;
        misses += u32::from(value.is_none());
    }
    found.tell("L3 hit");
    println!("L3 misses: {misses} of {ROUNDS}");
    loaded.tell("L3 miss on all levels, and what was loaded left on all");
    Ok(())
}

/// Has Redis forget the values, as when its memory is full. Each node of a cluster is told about all.
fn forget(location: &RedisLocation) -> anyhow::Result<()> {
    for (host, port) in &location.servers {
        let mut server = BufReader::new(TcpStream::connect((host.as_str(), *port))?);
        for number in 0..ROUNDS {
            let name = [
                format!("{}:v:cost:", location.prefix).as_bytes(),
                &number.to_le_bytes(),
            ]
            .concat();
            let mut command = format!("*2\r\n$3\r\nDEL\r\n${}\r\n", name.len()).into_bytes();
            command.extend_from_slice(&name);
            command.extend_from_slice(b"\r\n");
            server.get_mut().write_all(&command)?;
            server.read_until(b'\n', &mut Vec::new())?;
        }
    }
    Ok(())
}
