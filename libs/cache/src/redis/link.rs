//! The connections to the servers: every command has a time-out, and while the servers are away no caller waits for them.
//!
//! Owns: the connections, the time-outs, and whether the servers count as away, which they also do when the connection is
//! lost. Refuses: to send a command twice, because the first one may have been carried out.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, LuaInterface};
use fred::types::config::{Config, ReconnectPolicy, Server, ServerConfig};
use fred::types::scripts::Script;
use fred::types::{Builder, InfoKind, Key, Value};

use super::tls;
use crate::RedisLocation;
use crate::presence::{PAUSE, Presence, REPORTS};

/// Commands that wait to be sent; more are refused at once.
const WAITING_MAX: usize = 10_000;
/// How long a new connection may take.
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
    presence: Presence,
}

impl Link {
    /// A link that is not connected yet.
    pub(super) fn new(location: &RedisLocation) -> Result<Link, Error> {
        let mut builder = builder(location)?;
        // Jitter keeps many processes from coming back in one moment.
        let pause_ms = PAUSE.as_millis() as u32;
        builder.set_policy(ReconnectPolicy::new_constant(0, pause_ms));
        let servers = location.servers.iter();
        let servers: Vec<_> = servers
            .map(|(host, port)| format!("{host}:{port}"))
            .collect();
        Ok(Link {
            client: Connection(builder.build()?),
            presence: Presence::new("l2", servers.join(",")),
        })
    }

    /// Keeps the servers connected for as long as it is polled. `settle` runs after each connecting, before others may
    /// use the connections, and when it is asked for.
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
            self.presence.find();
            self.presence.wait().await;
        }
    }

    /// Reports the servers' statistics, for as long as it is polled.
    pub(super) async fn report(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REPORTS).await;
            let client = &self.client.0;
            for server in client.active_connections() {
                let name = server.to_string();
                let stats = Some(InfoKind::Stats);
                let told: Result<String, Error> = if client.is_clustered() {
                    client.with_cluster_node(server).info(stats).await
                } else {
                    client.info(stats).await
                };
                if let Some(count) = told.ok().as_deref().and_then(evictions) {
                    self.presence.evicted(name, count);
                }
            }
        }
    }

    /// Has [`Link::keep`] run `settle` soon.
    pub(super) fn settle_soon(&self) {
        self.presence.try_soon();
    }

    /// Whether callers are not to wait for the servers.
    pub(super) fn is_away(&self) -> bool {
        if !self.presence.is_away() && !self.client.0.is_connected() {
            self.presence.lose("the connection is lost");
        }
        self.presence.is_away()
    }

    /// Runs a script on the server that has a key; `None` if it did not run, or may not have.
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

    /// Sends a command; `None` if it was not carried out, or may not have been.
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
                self.presence.succeed();
                Some(value)
            }
            Err(error) => {
                self.presence.fail(error.details());
                None
            }
        }
    }
}

/// From a server's statistics, one per line.
fn evictions(told: &str) -> Option<u64> {
    let count = |line: &str| line.strip_prefix("evicted_keys:")?.trim().parse().ok();
    told.lines().find_map(count)
}

/// What all connections to a location have in common.
///
/// # Errors
/// Invalid files for TLS.
pub(super) fn builder(location: &RedisLocation) -> Result<Builder, Error> {
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
        tls: location.tls.as_ref().map(tls::config).transpose()?,
        username: location.login.as_ref().map(|login| login.user.clone()),
        password: location.login.as_ref().map(|login| login.password.clone()),
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
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::evictions;

    #[test]
    fn evictions_are_found_among_what_a_server_tells() {
        let told = "# Stats\r\nexpired_keys:3\r\nevicted_keys:12\r\nevicted_clients:1\r\n";
        assert_eq!(evictions(told), Some(12));
        assert_eq!(evictions("# Stats\r\n"), None);
    }
}
