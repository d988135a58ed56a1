//! Servers that are away, and come back.

use std::time::Duration;

use prepx_cache::{Limiter, Rate, Received, RedisLocation};

use super::{Outcome, PATIENT, loaded, location, open, space};
use crate::wire::{State, Wire, until};

/// A server behind a wire, and as it is without one.
async fn wired() -> (Wire, RedisLocation, RedisLocation) {
    let real = location();
    let [server] = &real.servers[..] else {
        panic!("a wire is to one server");
    };
    let wire = Wire::to(server).await;
    let behind = RedisLocation {
        servers: vec![wire.near.clone()],
        timeout: Duration::from_millis(500),
        ..real.clone()
    };
    (wire, behind, real)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_goes_on_without_its_server_and_with_it_again() {
    for away in [State::Cut, State::Hanging] {
        let (wire, behind, real) = wired().await;
        let (here, there) = (open(&behind).await, open(&real).await);
        let (ours, theirs) = (space(&here), space(&there));
        let once = Limiter::new("once", Rate::new(1, PATIENT * 100));
        let mut news = here.subscribe("news");
        ours.put(b"kept", loaded("old")).await;
        assert!(here.take(&once, b"key", 1).await.allowed);
        assert!(!there.take(&once, b"key", 1).await.allowed);

        wire.state.send(away).unwrap();
        // Counted by the process itself, which has not counted this one yet.
        until("counts for itself", async || {
            here.take(&once, b"key", 1).await.allowed
        })
        .await;
        let mut own = here.subscribe("own");
        here.publish("own", "said".into()).await;
        assert_eq!(own.next().await, Some(Received::Message("said".into())));
        let alone = ours.get_or_load(b"new", async { Outcome::Ok(loaded("alone")) });
        assert_eq!(alone.await, Ok("alone".to_owned()));
        ours.remove(b"kept").await;
        theirs.put(b"other", loaded("told to nobody")).await;

        wire.state.send(State::Whole).unwrap();
        until("counts together", async || {
            !here.take(&once, b"key", 1).await.allowed
        })
        .await;
        until("tells what it owes", async || {
            theirs.get(b"kept").await.is_none()
        })
        .await;
        if away == State::Cut {
            assert_eq!(news.next().await, Some(Received::Missed(0)));
        }
        there.publish("news", "again".into()).await;
        assert_eq!(news.next().await, Some(Received::Message("again".into())));
    }
}
