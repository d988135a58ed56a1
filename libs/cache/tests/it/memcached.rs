//! Memcached behind Redis, on the servers that `make test-redis` starts: the suite of the seam, and
//! what may go wrong with one more level and must not be seen.

mod away;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use prepx_cache::conformance::{self, Engine as _};
use prepx_cache::{Loaded, Location, RedisLocation, Space};

use crate::redis::{Outcome, Redis, loaded, location, never_loads, open, space};
use crate::wire::until;

const NAME: &str = "PREPX_TEST_MEMCACHED";

/// Where the servers of this run are, for one engine alone.
fn with_memcached() -> RedisLocation {
    let servers = std::env::var(NAME);
    let servers = servers.expect("it says where Memcached is: run `make test-redis`");
    let url = format!("redis://unused:1?memcached={servers}");
    let Ok(Location::Redis(RedisLocation { memcached, .. })) = Location::parse(&url) else {
        panic!("{NAME} is {servers}; 127.0.0.1:11211 would be right");
    };
    RedisLocation {
        memcached,
        ..location()
    }
}

fn without_memcached(location: &RedisLocation) -> RedisLocation {
    RedisLocation {
        memcached: Vec::new(),
        ..location.clone()
    }
}

/// Has Redis forget what it keeps under a key, as when its memory is full: nobody is told.
fn forget(location: &RedisLocation, space: &str, key: &[u8]) {
    let name = [format!("{}:v:{space}:", location.prefix).as_bytes(), key].concat();
    let head = format!("*2\r\n$3\r\nDEL\r\n${}\r\n", name.len());
    let command = [head.as_bytes(), &name, b"\r\n"].concat();
    let mut answers = vec![];
    for (host, port) in &location.servers {
        let mut server = TcpStream::connect((host.as_str(), *port)).expect("it serves");
        server.write_all(&command).expect("it takes commands");
        let mut answer = [0; 2];
        server.read_exact(&mut answer).expect("it answers");
        // A node of a cluster that has not this key says who has.
        answers.push(answer);
    }
    assert!(answers.contains(b":1"), "there was nothing to forget");
}

async fn load(space: &Space<String>, key: &[u8], text: &str) {
    let answer = space.get_or_load(key, async { Outcome::Ok(loaded(text)) });
    assert_eq!(answer.await.as_deref(), Ok(text));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memcached_passes_the_suite() {
    conformance::run(async || Redis::at(&with_memcached()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_redis_has_let_go_is_found_behind_it() {
    let location = with_memcached();
    let Redis { here, there } = Redis::at(&location).await;
    // Over many keys, so that every server has some.
    for key in 0..32_u8 {
        let text = key.to_string();
        load(&space(&here), &[key], &text).await;
        forget(&location, "shared", &[key]);
        assert_eq!(space(&there).get(&[key]).await.as_ref(), Some(&text));
        let found = space(&there).get_or_load(&[key], never_loads()).await;
        assert_eq!(found.as_ref(), Ok(&text));
        // Who finds it leaves it in Redis again.
        let alone = open(&without_memcached(&location)).await;
        assert_eq!(space(&alone).get(&[key]).await, Some(text));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_removal_by_a_process_that_knows_no_memcached_is_not_undone() {
    let location = with_memcached();
    let Redis { here, there } = Redis::at(&location).await;
    load(&space(&here), b"key", "old").await;
    let alone = open(&without_memcached(&location)).await;
    space(&alone).remove(b"key").await;
    assert_eq!(space(&there).get(b"key").await, None);
    load(&space(&there), b"key", "new").await;
    forget(&location, "shared", b"key");
    assert_eq!(space(&here).get(b"key").await.as_deref(), Some("new"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_put_is_not_undone_either() {
    let location = with_memcached();
    let Redis { here, there } = Redis::at(&location).await;
    load(&space(&here), b"key", "old").await;
    space(&there).put(b"key", loaded("new")).await;
    assert_eq!(space(&here).get(b"key").await.as_deref(), Some("new"));
    forget(&location, "shared", b"key");
    assert_eq!(space(&here).get(b"key").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_loaded_before_a_removal_is_not_found_behind() {
    let location = with_memcached();
    let Redis { here, there } = Redis::at(&location).await;
    let (ours, theirs) = (space(&here), space(&there));
    let early = ours.get_or_load(b"key", async {
        // Done when this goes on, and keeps its value.
        theirs.remove(b"key").await;
        Outcome::Ok(loaded("before"))
    });
    assert_eq!(early.await.as_deref(), Ok("before"));
    assert_eq!(space(&there).get(b"key").await, None);
    until("is told", async || ours.get(b"key").await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_found_behind_after_its_time() {
    let location = with_memcached();
    let mut engine = Redis::at(&location).await;
    let short = Loaded {
        ttl: Duration::from_secs(4),
        ..loaded("short")
    };
    let ours = space(&engine.here);
    let kept = ours.get_or_load(b"key", async { Outcome::Ok(short) });
    assert_eq!(kept.await.as_deref(), Ok("short"));
    forget(&location, "shared", b"key");
    // What this one finds ends when it would have ended.
    let theirs = space(&engine.there);
    assert_eq!(theirs.get(b"key").await.as_deref(), Some("short"));
    engine.pass(Duration::from_secs(4));
    assert_eq!(space(&engine.here).get(b"key").await, None);
    assert_eq!(theirs.get(b"key").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_too_large_for_memcached_is_kept_before_it() {
    let location = with_memcached();
    let Redis { here, there } = Redis::at(&location).await;
    let large = "x".repeat(1_010_000);
    load(&space(&here), b"large", &large).await;
    assert_eq!(space(&there).get(b"large").await, Some(large));
    forget(&location, "shared", b"large");
    assert_eq!(space(&there).get(b"large").await, None);
}
