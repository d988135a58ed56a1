//! Between a process and one server: what may be cut, or hang.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A host and a port.
pub(crate) type Server = (String, u16);

pub(crate) struct Wire {
    /// Where a process is to think that the server is.
    pub(crate) near: Server,
    pub(crate) state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    Whole,
    Cut,
    Hanging,
}

impl Wire {
    pub(crate) async fn to(server: &Server) -> Wire {
        let (to, inside) = (server.clone(), TcpListener::bind("127.0.0.1:0").await);
        let inside = inside.expect("a free port");
        let port = inside.local_addr().expect("bound").port();
        let (state, seen) = watch::channel(State::Whole);
        tokio::spawn(async move {
            loop {
                let (near, _) = inside.accept().await.expect("accepts");
                if *seen.borrow() != State::Cut {
                    tokio::spawn(carry(near, to.clone(), seen.clone()));
                }
            }
        });
        let near = ("127.0.0.1".to_owned(), port);
        Wire { near, state }
    }
}

/// Carries bytes both ways while the wire is whole; ends with either side.
async fn carry(
    mut near: TcpStream,
    to: Server,
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
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..3_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{what}: not within half a minute");
}
