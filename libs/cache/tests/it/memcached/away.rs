//! Either of the two kinds of servers is away, and comes back.

use std::time::Duration;

use prepx_cache::{Cache, Options, RedisLocation, Space};

use super::{forget, load, with_memcached, without_memcached};
use crate::redis::{Redis, open, options, space};
use crate::wire::{State, Wire, until};

/// How long a process waits for what hangs.
const TIMEOUT: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_memcached_a_process_goes_on_and_nothing_old_comes_back_with_it() {
    for away in [State::Cut, State::Hanging] {
        let location = with_memcached();
        let (mut wires, mut servers) = (vec![], vec![]);
        for server in &location.memcached {
            let wire = Wire::to(server).await;
            servers.push(wire.near.clone());
            wires.push(wire);
        }
        let wired = RedisLocation {
            memcached: servers,
            timeout: TIMEOUT,
            ..location.clone()
        };
        let Redis { here, there } = Redis::at(&wired).await;
        load(&space(&here), b"key", "old").await;
        load(&space(&here), b"other", "other").await;
        for wire in &wires {
            wire.state.send(away).expect("carried");
        }
        forget(&location, "shared", b"other");
        load(&space(&here), b"other", "loaded anew").await;
        space(&here).remove(b"key").await;
        for wire in &wires {
            wire.state.send(State::Whole).expect("carried");
        }
        let mut number = 0_u32;
        until("uses Memcached again", async || {
            number += 1;
            let key = number.to_le_bytes();
            load(&space(&here), &key, "again").await;
            forget(&location, "shared", &key);
            space(&there).get(&key).await.is_some()
        })
        .await;
        assert_eq!(space(&there).get(b"key").await, None);
    }
}

/// Keys that a process cannot all keep itself.
const KEYS: u8 = 50;

async fn how_many_are_found(space: &Space<String>) -> usize {
    let mut found = 0;
    for key in 0..KEYS {
        found += usize::from(space.get(&[key]).await.is_some());
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_redis_memcached_answers_for_what_was_not_removed() {
    let location = with_memcached();
    let [server] = &location.servers[..] else {
        panic!("a wire is to one server");
    };
    let wire = Wire::to(server).await;
    let wired = RedisLocation {
        servers: vec![wire.near.clone()],
        timeout: TIMEOUT,
        ..location.clone()
    };
    let (here, alone) = (open(&wired).await, open(&without_memcached(&wired)).await);
    let small = |cache: &Cache| {
        cache.space(Options {
            bytes_max: 2_000,
            ..options()
        })
    };
    let ours = small(&here);
    for key in 0..KEYS {
        load(&ours, &[key], "kept").await;
    }
    assert!(ours.weight_bytes().await <= 2_000);
    wire.state.send(State::Cut).expect("carried");
    until("Redis is away", async || {
        how_many_are_found(&small(&alone)).await == 0
    })
    .await;
    assert_eq!(how_many_are_found(&ours).await, usize::from(KEYS));

    ours.remove(&[0]).await;
    assert_eq!(ours.get(&[0]).await, None);
    // It is not known when another process may have removed something.
    assert_eq!(
        space(&here).get(&[1]).await,
        None,
        "asks under a generation that it never saw"
    );

    wire.state.send(State::Whole).expect("carried");
    let direct = small(&open(&location).await);
    until("tells Redis what it owes", async || {
        direct.get(&[0]).await.is_none()
    })
    .await;
    forget(&location, "shared", &[1]);
    assert_eq!(direct.get(&[1]).await.as_deref(), Some("kept"));
}
