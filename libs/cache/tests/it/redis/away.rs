//! Servers that are away, and come back.

use std::time::Duration;

use prepx_cache::{Heard, Limiter, Rate, RedisLocation};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Outcome, PATIENT, loaded, location, open, space};

/// Between a process and one server: what may be cut, or hang.
struct Wire {
    location: RedisLocation,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Whole,
    Cut,
    Hanging,
}

impl Wire {
    async fn new() -> Wire {
        let real = location();
        let [(host, port)] = &real.servers[..] else {
            panic!("a wire is to one server");
        };
        let (to, inside) = (
            (host.clone(), *port),
            TcpListener::bind("127.0.0.1:0").await,
        );
        let inside = inside.expect("a free port");
        let servers = vec![(
            "127.0.0.1".to_owned(),
            inside.local_addr().expect("bound").port(),
        )];
        let (state, seen) = watch::channel(State::Whole);
        tokio::spawn(async move {
            loop {
                let (near, _) = inside.accept().await.expect("accepts");
                if *seen.borrow() != State::Cut {
                    tokio::spawn(carry(near, to.clone(), seen.clone()));
                }
            }
        });
        let timeout = Duration::from_millis(500);
        let location = RedisLocation {
            servers,
            timeout,
            ..real
        };
        Wire { location, state }
    }
}

/// Carries bytes both ways while the wire is whole; ends with either side.
async fn carry(
    mut near: TcpStream,
    to: (String, u16),
    mut seen: watch::Receiver<State>,
) -> std::io::Result<()> {
    let mut far = TcpStream::connect(to).await?;
    let (mut ours, mut theirs) = ([0; 4096], [0; 4096]);
    loop {
        let state = *seen.borrow_and_update();
        let is_whole = state == State::Whole;
        let ended = tokio::select! {
            changed = seen.changed() => changed.is_err(),
            read = near.read(&mut ours), if is_whole => {
                let length = read?;
                far.write_all(&ours[..length]).await?;
                length == 0
            }
            read = far.read(&mut theirs), if is_whole => {
                let length = read?;
                near.write_all(&theirs[..length]).await?;
                length == 0
            }
        };
        if ended || *seen.borrow() == State::Cut {
            return Ok(());
        }
    }
}

/// Waits for a condition, not for a time.
pub(super) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..3_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within half a minute");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_goes_on_without_its_server_and_with_it_again() {
    for away in [State::Cut, State::Hanging] {
        let wire = Wire::new().await;
        let (here, there) = (open(&wire.location).await, open(&location_of(&wire)).await);
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
        assert_eq!(own.next().await, Some(Heard::Message("said".into())));
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
            assert_eq!(news.next().await, Some(Heard::Missed(0)));
        }
        there.publish("news", "again".into()).await;
        assert_eq!(news.next().await, Some(Heard::Message("again".into())));
    }
}

/// The server itself, for the same engine as behind a wire.
fn location_of(wire: &Wire) -> RedisLocation {
    RedisLocation {
        prefix: wire.location.prefix.clone(),
        ..location()
    }
}
