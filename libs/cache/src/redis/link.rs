//! The way to the servers: every command has a time, and when they are away nobody waits for them.
//!
//! Owns: the connections, the time-outs, and whether the servers count as away. They do when the connection
//! is lost or several commands in a row failed; they are back when they answer one that is tried for
//! everybody. Refuses: to try a command twice, which may have been done the first time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, LuaInterface};
use fred::types::config::{Config, ReconnectPolicy, Server, ServerConfig};
use fred::types::scripts::Script;
use fred::types::{Builder, Key, Value};
use tokio::sync::Notify;

use crate::RedisLocation;

/// Commands in a row that fail before the servers count as away.
const FAILURES_MAX: u32 = 3;
/// Commands that wait to be sent; more are refused at once.
const WAITING_MAX: usize = 10_000;
/// How long to wait between two tries to reach servers that are away.
pub(super) const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MS: u32 = 250;
/// What a new connection may take.
const CONNECT: Duration = Duration::from_secs(2);

/// A client whose connections end with it.
pub(super) struct Connection(pub(super) Client);

impl Drop for Connection {
    fn drop(&mut self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let client = self.0.clone();
            runtime.spawn(async move { client.quit().await });
        }
    }
}

/// The connections for everything but listening.
pub(super) struct Link {
    client: Connection,
    is_away: AtomicBool,
    failures: AtomicU32,
    wanted: Notify,
}

impl Link {
    /// A way that is not open yet.
    pub(super) fn new(location: &RedisLocation) -> Result<Link, Error> {
        let mut builder = builder(location);
        // Jitter keeps many processes from coming back in one moment.
        builder.set_policy(ReconnectPolicy::new_constant(0, PAUSE_MS));
        Ok(Link {
            client: Connection(builder.build()?),
            is_away: AtomicBool::new(true),
            failures: AtomicU32::new(0),
            wanted: Notify::new(),
        })
    }

    /// Keeps the way open for as long as it is polled. `settle` runs each time before others may use
    /// it, and when it is called for.
    pub(super) async fn keep<F: Future<Output = ()>>(self: Arc<Self>, settle: impl Fn() -> F) {
        let mut connection = self.client.0.connect();
        loop {
            while self.client.0.ping::<Value>(None).await.is_err() {
                if connection.is_finished() {
                    // It gives up by itself only on what it takes for a mistake of configuration.
                    connection = self.client.0.connect();
                }
                tokio::time::sleep(PAUSE).await;
            }
            settle().await;
            self.failures.store(0, Ordering::Release);
            if self.is_away.swap(false, Ordering::AcqRel) {
                metrics::gauge!("prepx_cache_away").set(0.0);
                tracing::info!("the cache's servers answer");
            }
            self.wanted.notified().await;
            // What has just failed is not tried again at once.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Calls for what [`Link::keep`] settles.
    pub(super) fn settle_soon(&self) {
        self.wanted.notify_one();
    }

    /// Whether nobody is to wait for the servers.
    pub(super) fn is_away(&self) -> bool {
        if !self.is_away.load(Ordering::Acquire) && !self.client.0.is_connected() {
            self.lose("the connection is lost");
        }
        self.is_away.load(Ordering::Acquire)
    }

    /// Runs a script on the server that has a key; `None` when it was not, or nobody knows.
    pub(super) async fn run(&self, script: &Script, key: &[u8], args: Vec<Value>) -> Option<Value> {
        if self.is_away() {
            return None;
        }
        // The client's futures are large, and part of every caller's.
        Box::pin(self.run_anyway(script, key, args)).await
    }

    /// The same, also while the servers count as away.
    pub(super) async fn run_anyway(
        &self,
        script: &Script,
        key: &[u8],
        args: Vec<Value>,
    ) -> Option<Value> {
        let known = self
            .client
            .0
            .evalsha(script.sha1().clone(), Key::from(key), args.clone());
        let answer = match known.await {
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                let lua = script.lua().cloned().unwrap_or_default();
                self.client.0.eval(lua, Key::from(key), args).await
            }
            other => other,
        };
        self.judge(answer)
    }

    /// Sends a command; `None` when it was not done, or nobody knows.
    pub(super) async fn call<F>(&self, command: impl FnOnce(Client) -> F) -> Option<Value>
    where
        F: Future<Output = Result<Value, Error>>,
    {
        if self.is_away() {
            return None;
        }
        let answer = Box::pin(command(self.client.0.clone())).await;
        self.judge(answer)
    }

    fn judge(&self, answer: Result<Value, Error>) -> Option<Value> {
        match answer {
            Ok(value) => {
                self.failures.store(0, Ordering::Release);
                Some(value)
            }
            Err(error) => {
                metrics::counter!("prepx_cache_failures_total").increment(1);
                if self.failures.fetch_add(1, Ordering::AcqRel) + 1 >= FAILURES_MAX {
                    self.lose(error.details());
                }
                None
            }
        }
    }

    fn lose(&self, why: &str) {
        if !self.is_away.swap(true, Ordering::AcqRel) {
            metrics::gauge!("prepx_cache_away").set(1.0);
            tracing::warn!(
                why,
                "the cache's servers are away: this process goes on by itself"
            );
            self.wanted.notify_one();
        }
    }
}

/// What all connections to a location have in common.
pub(super) fn builder(location: &RedisLocation) -> Builder {
    let hosts = location.servers.iter().cloned();
    let server = match (location.is_cluster, location.servers.first()) {
        (false, Some((host, port))) => ServerConfig::Centralized {
            server: Server::new(host.clone(), *port),
        },
        _ => ServerConfig::new_clustered(hosts.collect()),
    };
    let mut builder = Builder::from_config(Config {
        fail_fast: false,
        server,
        ..Config::default()
    });
    let timeout = location.timeout;
    builder.with_performance_config(|config| {
        config.default_command_timeout = timeout;
        config.broadcast_channel_capacity = WAITING_MAX;
    });
    builder.with_connection_config(|config| {
        config.connection_timeout = CONNECT;
        config.internal_command_timeout = CONNECT;
        config.max_command_attempts = 1;
        config.max_command_buffer_len = WAITING_MAX;
        config.unresponsive.max_timeout = Some(CONNECT);
        config.unresponsive.interval = PAUSE;
        config.tcp.nodelay = Some(true);
    });
    builder
}
