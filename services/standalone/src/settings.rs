//! The settings of the whole platform in one process. Flags, `PREPX_*` variables and a TOML file have the same settings
//! under the same names.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use prepx_platform::{DATA_DIR, check_dev_is_local, engines};
use prepx_runtime::config::{self, Error, Settings as Checked, Sources};
use prepx_runtime::tls::{self, Callers};
use prepx_runtime::{guard, serve, telemetry};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::disk::Shares;
use crate::{cli, simulate};

/// The configuration of `prepx start`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether the fixed keys of development are valid.
    pub dev: bool,
    /// Whether simulated traders keep a market going: `true`, or `"on"` as with the flag.
    #[serde(deserialize_with = "switch")]
    pub simulate: bool,
    /// How simulated traders act.
    pub simulation: simulate::Config,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The event log: `kafka://HOST:PORT,HOST:PORT/PREFIX`, with TLS `kafka+ssl://USER:PASSWORD@…?sslrootcert=FILE` (ADR
    /// 0027); the embedded one in the data directory when empty.
    pub log_url: String,
    /// Replicas of each topic on Kafka, when this platform creates it.
    pub log_replication: u16,
    /// Partitions of each topic that PrepX itself neither writes nor reads, when this platform creates it; few are better
    /// for brokers with few cores. By default as many as the file of topics declares.
    pub log_partitions_of_others: Option<NonZeroU32>,
    /// The SQL store: `sqlite:DIRECTORY` or `postgres://USER:PASSWORD@HOST/DATABASE`, with TLS
    /// `?sslmode=verify-full&sslrootcert=/etc/prepx/sql-ca.crt` (ADR 0027); SQLite in the data directory when empty.
    pub sql_url: String,
    /// Where the schemas with rows by account are, when they are sharded.
    pub sql_shards: Vec<engines::SqlShard>,
    /// The cache, which also counts requests and carries news: `memory:`, `redis://HOST:PORT[/PREFIX]` or
    /// `redis-cluster://HOST:PORT,HOST:PORT[/PREFIX]`, with `?memcached=HOST:PORT` for Memcached behind either; `rediss`
    /// and `rediss-cluster` with TLS, with `?sslrootcert=/etc/prepx/redis-ca.crt` (ADR 0027).
    pub cache_url: String,
    /// How often to prefetch what the busiest tenth of accounts asks for most, in seconds; 0 for never.
    pub warm_seconds: u32,
    /// The address to listen on; port 0 picks a free port.
    #[serde(deserialize_with = "config::listen")]
    pub listen: SocketAddr,
    /// The address of the health probes, which is plain HTTP and serves nothing else; none when not set.
    #[serde(deserialize_with = "config::listen")]
    pub probe_listen: Option<SocketAddr>,
    /// The certificate for clients; without it there is no TLS.
    pub public_tls: tls::PublicConfig,
    /// How long requests in progress may take once draining has begun.
    pub drain_timeout_ms: u64,
    /// The limits of connections from outside.
    pub limits: serve::Limits,
    /// The limits of all services together.
    pub calls: guard::Limits,
    /// Rate limits; off unless a profile is chosen.
    pub rate_limits: prepx_gateway::RateLimits,
    /// Logs, metrics and traces.
    pub telemetry: telemetry::Config,
    /// The user service's settings.
    pub user: prepx_user::Config,
    /// The settings of webhooks.
    pub webhooks: prepx_notification::webhook::Config,
}

impl Default for Settings {
    fn default() -> Settings {
        let host = prepx_runtime::Config::default();
        Settings {
            dev: false,
            simulate: true,
            simulation: simulate::Config::default(),
            data_dir: PathBuf::from(DATA_DIR),
            log_url: String::new(),
            log_replication: 3,
            log_partitions_of_others: None,
            sql_url: String::new(),
            sql_shards: Vec::new(),
            cache_url: "memory:".to_owned(),
            warm_seconds: prepx_platform::WARM_SECONDS,
            listen: host.listen,
            probe_listen: host.probe_listen,
            public_tls: host.public_tls,
            drain_timeout_ms: host.drain_timeout_ms,
            limits: host.limits,
            calls: guard::Limits::default(),
            rate_limits: prepx_gateway::RateLimits::default(),
            telemetry: host.telemetry,
            user: prepx_user::Config::default(),
            webhooks: prepx_notification::webhook::Config::default(),
        }
    }
}

impl Checked for Settings {
    fn validate(&self) -> Result<(), Error> {
        check_dev_is_local(self.dev, self.listen.ip())?;
        self.simulation.validate().map_err(Error::Invalid)?;
        self.calls.validate()?;
        self.rate_limits.validate()?;
        self.webhooks.validate().map_err(Error::Invalid)?;
        engines::validate(
            &self.log_url,
            &self.sql_url,
            &self.cache_url,
            &self.data_dir,
        )?;
        self.user
            .validate()
            .map_err(|problem| Error::Invalid(problem.to_string()))?;
        self.host().validate()
    }
}

/// A boolean, or a switch as on the command line.
fn switch<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        Truth(bool),
        Word(String),
    }
    match Said::deserialize(from) {
        Ok(Said::Truth(is_on)) => Ok(is_on),
        Ok(Said::Word(word)) if word == "on" => Ok(true),
        Ok(Said::Word(word)) if word == "off" => Ok(false),
        _ => Err(D::Error::custom("expected on or off, or true or false")),
    }
}

impl Settings {
    /// Reads the command line, the environment variables and the file.
    ///
    /// # Errors
    /// Names the invalid source, and what would be right.
    pub fn load(options: &cli::Start) -> Result<Settings, Error> {
        let mut flags = toml::Table::new();
        if options.dev {
            flags.insert("dev".into(), true.into());
        }
        if let Some(simulate) = options.simulate {
            flags.insert("simulate".into(), (simulate == cli::Switch::On).into());
        }
        if let Some(listen) = options.listen {
            flags.insert("listen".into(), listen.to_string().into());
        }
        if let Some(data_dir) = &options.data_dir {
            flags.insert(
                "data_dir".into(),
                data_dir.to_string_lossy().into_owned().into(),
            );
        }
        let mut settings: Settings = Sources::of_process(options.config.clone(), flags).load()?;
        settings.user.dev = settings.dev;
        Ok(settings)
    }

    /// The location of the services' schemas.
    ///
    /// # Errors
    /// When the URL does not name a store.
    pub fn location(&self) -> prepx_store::Result<prepx_store::Location> {
        engines::sql_location(&self.sql_url, &self.data_dir)
    }

    /// The shards of the schemas with rows by account, for this many account partitions.
    ///
    /// # Errors
    /// When a URL does not name a store, or the shards do not have each partition exactly once.
    pub fn layout(&self, partitions: u32) -> prepx_store::Result<prepx_store::Layout> {
        let shards = engines::sql_layout(&self.sql_shards, partitions)?;
        Ok(shards.unwrap_or(self.location()?.into()))
    }

    /// How disk space is divided; `None` when everything is kept.
    pub fn shares(&self) -> Option<Shares> {
        let bytes_max = self.simulation.disk_bytes_max;
        self.simulate.then(|| Shares::of(bytes_max))
    }

    /// The runtime's settings.
    pub fn host(&self) -> prepx_runtime::Config {
        prepx_runtime::Config {
            listen: self.listen,
            probe_listen: self.probe_listen,
            callers: Callers::Clients,
            tls: tls::Config::default(),
            public_tls: self.public_tls.clone(),
            drain_timeout_ms: self.drain_timeout_ms,
            limits: self.limits.clone(),
            telemetry: self.telemetry.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_market_is_a_truth_or_a_switch() {
        let read = |said: &str| toml::from_str::<Settings>(&format!("simulate = {said}"));
        for (said, is_on) in [
            ("true", true),
            ("\"on\"", true),
            ("false", false),
            ("\"off\"", false),
        ] {
            assert_eq!(read(said).expect(said).simulate, is_on, "{said}");
        }
        let refused = read("\"maybe\"").expect_err("is neither").to_string();
        assert!(refused.contains("on or off"), "{refused}");
    }
}
