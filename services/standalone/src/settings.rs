//! What an operator may set for the whole platform in one process: flags, `PREPX_*` variables and a
//! TOML file say the same things by the same names.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use prepx_platform::{DATA_DIR, dev_is_at_home, engines};
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
    /// Whether the fixed keys of development are in force.
    pub dev: bool,
    /// Whether a population of simulated traders keeps a market alive: `true`, or `"on"` as the flag
    /// says it.
    #[serde(deserialize_with = "switch")]
    pub simulate: bool,
    /// How that population acts.
    pub simulation: simulate::Config,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Which event log: `kafka://HOST:PORT,HOST:PORT/PREFIX`, by TLS `kafka+ssl://USER:PASSWORD@…?sslrootcert=FILE`
    /// (ADR 0027); the embedded one in the data directory when empty.
    pub log_url: String,
    /// Replicas of each topic where this platform makes them, on Kafka.
    pub log_replication: u16,
    /// Partitions of each topic that PrepX itself neither writes nor reads, where this platform makes them: few, where
    /// brokers have few cores. As many as the file of topics gives each when it is not set.
    pub log_partitions_of_others: Option<NonZeroU32>,
    /// Where the services' schemas are: `sqlite:DIRECTORY` or `postgres://USER:PASSWORD@HOST/DATABASE`, by TLS
    /// with `?sslmode=verify-full&sslrootcert=/etc/prepx/sql-ca.crt` (ADR 0027). In the data directory when empty.
    pub sql_url: String,
    /// Where those schemas are whose rows go by account, when they are shared out.
    pub sql_shards: Vec<engines::SqlShard>,
    /// What caches, counts requests and tells news: `memory:`, `redis://HOST:PORT[/PREFIX]` or
    /// `redis-cluster://HOST:PORT,HOST:PORT[/PREFIX]`, and `?memcached=HOST:PORT` behind either; `rediss`
    /// and `rediss-cluster` by TLS, with `?sslrootcert=/etc/prepx/redis-ca.crt` (ADR 0027).
    pub cache_url: String,
    /// How often what the busiest tenth of accounts asks for most is read before they ask, in seconds; 0 for never.
    pub warm_seconds: u32,
    /// Where to serve; port 0 picks a free one.
    #[serde(deserialize_with = "config::listen")]
    pub listen: SocketAddr,
    /// Where to tell an orchestrator in plain text how this process is, and nothing else; nowhere when it
    /// is not set.
    #[serde(deserialize_with = "config::listen")]
    pub probe_listen: Option<SocketAddr>,
    /// Who it is to clients; plain text is spoken when it is not set.
    pub public_tls: tls::PublicConfig,
    /// How long what is under way may take once the end has begun.
    pub drain_timeout_ms: u64,
    /// What to take on from outside.
    pub limits: serve::Limits,
    /// What the services take on together.
    pub calls: guard::Limits,
    /// How many requests are taken on from whom; off unless a profile is chosen.
    pub rate_limits: prepx_gateway::RateLimits,
    /// What to report.
    pub telemetry: telemetry::Config,
    /// The user service's part.
    pub user: prepx_user::Config,
    /// The part of webhooks.
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
        dev_is_at_home(self.dev, self.listen.ip())?;
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

/// A truth as it is, or a switch in the words of the command line.
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
    /// Reads the command line, the variables and the file.
    ///
    /// # Errors
    /// Names the source that is not right, and what would be.
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

    /// Where the services' schemas are.
    ///
    /// # Errors
    /// When the URL names no store.
    pub fn location(&self) -> prepx_store::Result<prepx_store::Location> {
        engines::sql_location(&self.sql_url, &self.data_dir)
    }

    /// Where the schemas are whose rows go by so many account partitions.
    ///
    /// # Errors
    /// When a URL names no store, or the shards do not have each partition once.
    pub fn layout(&self, partitions: u32) -> prepx_store::Result<prepx_store::Layout> {
        let shards = engines::sql_layout(&self.sql_shards, partitions)?;
        Ok(shards.unwrap_or(self.location()?.into()))
    }

    /// How the disk is shared out; `None` when everything is kept.
    pub fn shares(&self) -> Option<Shares> {
        let bytes_max = self.simulation.disk_bytes_max;
        self.simulate.then(|| Shares::of(bytes_max))
    }

    /// The runtime's part.
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
