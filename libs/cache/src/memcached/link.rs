//! The connections to one server of Memcached.
//!
//! Owns: a bounded number of connections, their time-outs, and whether the server counts as away. A connection serves one
//! command at a time. It is closed when the command fails or is given up, because the answer may still come.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use metrics::Gauge;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::wire::{self, Answer};
use crate::presence::{PAUSE, Presence, REPORTS};

/// Commands under way at the same time, and so connections.
const CONNECTIONS_MAX: usize = 8;

type Connection = BufReader<TcpStream>;

pub(super) struct Link {
    server: (String, u16),
    /// How long a command may take, including the wait for a connection.
    timeout: Duration,
    idle: Mutex<Vec<Connection>>,
    turns: Semaphore,
    taken: Gauge,
    presence: Presence,
}

/// A connection in use, for the metrics.
struct Turn<'link>(&'link Gauge);

impl<'link> Turn<'link> {
    fn begin(taken: &'link Gauge) -> Turn<'link> {
        taken.increment(1.0);
        Turn(taken)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Link {
    /// A link that is not connected yet.
    pub(super) fn new(server: (String, u16), timeout: Duration) -> Link {
        let (host, port) = &server;
        // Those of all servers count together.
        let most = metrics::gauge!("prepx_queue_entries_max", "queue" => "memcached");
        most.increment(CONNECTIONS_MAX as f64);
        Link {
            presence: Presence::new("l3", format!("{host}:{port}")),
            server,
            timeout,
            idle: Mutex::default(),
            turns: Semaphore::new(CONNECTIONS_MAX),
            taken: metrics::gauge!("prepx_queue_entries", "queue" => "memcached"),
        }
    }

    /// The server's address.
    pub(super) fn server(&self) -> &(String, u16) {
        &self.server
    }

    /// Keeps the server connected for as long as it is polled.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            while !self.seek().await {
                tokio::time::sleep(PAUSE).await;
            }
            self.presence.wait().await;
        }
    }

    /// Reports the server's statistics, for as long as it is polled.
    pub(super) async fn report(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REPORTS).await;
            if let Some(Answer::Evicted(count)) = self.ask(&wire::STATS).await {
                let (host, port) = &self.server;
                self.presence.evicted(format!("{host}:{port}"), count);
            }
        }
    }

    /// Makes the trial command for everybody; returns whether the server answers.
    pub(super) async fn seek(&self) -> bool {
        let answer = self.ask_anyway(&wire::NO_OP).await;
        let is_here = matches!(answer, Ok(Answer::Here));
        if is_here {
            self.presence.find();
        }
        is_here
    }

    /// Sends a command; `None` if it was not carried out, or may not have been.
    pub(super) async fn ask(&self, command: &Bytes) -> Option<Answer> {
        if self.presence.is_away() {
            return None;
        }
        match self.ask_anyway(command).await {
            Ok(answer) => {
                self.presence.succeed();
                Some(answer)
            }
            Err(error) => {
                if self.presence.fail(&error.to_string()) {
                    self.idle().clear();
                }
                None
            }
        }
    }

    async fn ask_anyway(&self, command: &Bytes) -> io::Result<Answer> {
        let asked = tokio::time::timeout(self.timeout, self.ask_in_turn(command)).await;
        asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn ask_in_turn(&self, command: &Bytes) -> io::Result<Answer> {
        let _free = self.turns.acquire().await.map_err(io::Error::other)?;
        let _turn = Turn::begin(&self.taken);
        let kept = self.idle().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.write_all(command).await?;
        let answer = wire::answer(&mut connection).await?;
        if answer != Answer::Refused {
            self.idle().push(connection);
        }
        Ok(answer)
    }

    async fn connect(&self) -> io::Result<Connection> {
        let (host, port) = &self.server;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
