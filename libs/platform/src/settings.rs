//! The settings of the services. Flags, `PREPX_*` variables and a TOML file have the same settings under the same names,
//! those of `prepx start` where it has them. All services can use the same file.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use prepx_auth::ClusterKey;
use prepx_bus::KafkaLocation;
use prepx_objects::Location as Objects;
use prepx_owner::Standbys;
use prepx_runtime::config::{self, Error};
use prepx_runtime::tls::{self, Callers};
use prepx_runtime::{guard, serve, telemetry};
use prepx_stage::Topology;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::engines::{self, SqlShard, wrong};
use crate::peers::Peers;

/// Where data is kept unless something else is said.
pub const DATA_DIR: &str = "prepx-data";
/// How often what is asked for most is read ahead unless something else is said.
pub const WARM_SECONDS: u32 = 300;

/// The settings of a service.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether the fixed keys of development are in force.
    pub dev: bool,
    /// Where to serve; port 0 picks a free one.
    #[serde(deserialize_with = "config::listen")]
    pub listen: SocketAddr,
    /// Where to tell an orchestrator in plain text how this process is, and nothing else; nowhere when it
    /// is not set.
    #[serde(deserialize_with = "config::listen")]
    pub probe_listen: Option<SocketAddr>,
    /// The URL at which other processes reach this one; where it listens when empty.
    pub advertise: String,
    /// Where keys are kept. All processes of a service see the same directory.
    pub data_dir: PathBuf,
    /// The event log: `kafka://HOST:PORT,HOST:PORT/PREFIX`, by TLS `kafka+ssl://USER:PASSWORD@…?sslrootcert=FILE`
    /// (ADR 0027).
    pub log_url: String,
    /// Replicas of each topic where this platform makes them.
    pub log_replication: u16,
    /// Partitions of each topic that PrepX itself neither writes nor reads, where this platform makes them: few, where
    /// brokers have few cores. As many as the file of topics gives each when it is not set.
    pub log_partitions_of_others: Option<NonZeroU32>,
    /// Partitions of everything that goes by account.
    pub account_partitions: u32,
    /// Partitions of everything that goes by instrument.
    pub matching_partitions: u32,
    /// Where snapshots of the stages are: `s3://BUCKET[/PREFIX]`, or `file:DIRECTORY`, which all owners see; in
    /// the data directory when empty.
    pub snapshot_url: String,
    /// Where the journals of the stages are archived, as `snapshot_url` says it, and nowhere when empty. What is archived
    /// and older than a week leaves the log.
    pub archive_url: String,
    /// Most partitions of its stage that a process has a copy of while another one owns them, so that it takes them
    /// over at once; 0 for none.
    pub standby_partitions: usize,
    /// Most bytes that the snapshots of those copies have together; in memory they take a few times as much.
    pub standby_bytes: u64,
    /// Where the services' schemas are: `postgres://USER:PASSWORD@HOST/DATABASE`, by TLS with
    /// `?sslmode=verify-full&sslrootcert=/etc/prepx/sql-ca.crt` (ADR 0027); in SQLite in the data directory when empty.
    pub sql_url: String,
    /// Where those schemas are whose rows go by account, when they are shared out.
    pub sql_shards: Vec<SqlShard>,
    /// What caches, counts requests and tells news: `memory:`, `redis://HOST:PORT[/PREFIX]` or
    /// `redis-cluster://HOST:PORT,HOST:PORT[/PREFIX]`, and `?memcached=HOST:PORT` behind either; `rediss` and
    /// `rediss-cluster` by TLS, with `?sslrootcert=/etc/prepx/redis-ca.crt` (ADR 0027).
    pub cache_url: String,
    /// How often what the busiest tenth of accounts asks for most is read before they ask, in seconds; 0 for never.
    pub warm_seconds: u32,
    /// Where the other services are.
    pub peers: Peers,
    /// Who this process is to the other services; nothing between them is encrypted when it is not set.
    pub tls: tls::Config,
    /// Who the gateway is to clients; it speaks plain text to them when it is not set.
    pub public_tls: tls::PublicConfig,
    /// The key that all services of the platform share.
    pub cluster_key: Option<ClusterKey>,
    /// After how long without a sign of life what a process owns goes to another one.
    pub lease_timeout_ms: u64,
    /// How long what is under way may take once the end has begun.
    pub drain_timeout_ms: u64,
    /// What to take on from outside.
    pub limits: serve::Limits,
    /// What a service takes on.
    pub calls: guard::Limits,
    /// What to report.
    pub telemetry: telemetry::Config,
    /// The user service's own part.
    pub user: toml::Table,
    /// The gateway's own part.
    pub rate_limits: toml::Table,
    /// The part of webhooks, which is the notification service's.
    pub webhooks: toml::Table,
}

impl Default for Settings {
    fn default() -> Settings {
        let host = prepx_runtime::Config::default();
        Settings {
            dev: false,
            listen: host.listen,
            probe_listen: host.probe_listen,
            advertise: String::new(),
            data_dir: PathBuf::from(DATA_DIR),
            log_url: String::new(),
            log_replication: 3,
            log_partitions_of_others: None,
            account_partitions: 4,
            matching_partitions: 4,
            snapshot_url: String::new(),
            archive_url: String::new(),
            standby_partitions: 16,
            standby_bytes: 1 << 30,
            sql_url: String::new(),
            sql_shards: Vec::new(),
            cache_url: "memory:".to_owned(),
            warm_seconds: WARM_SECONDS,
            peers: Peers::default(),
            tls: host.tls,
            public_tls: host.public_tls,
            cluster_key: None,
            lease_timeout_ms: 3_000,
            drain_timeout_ms: host.drain_timeout_ms,
            limits: host.limits,
            calls: guard::Limits::default(),
            telemetry: host.telemetry,
            user: toml::Table::new(),
            rate_limits: toml::Table::new(),
            webhooks: toml::Table::new(),
        }
    }
}

impl config::Settings for Settings {
    fn validate(&self) -> Result<(), Error> {
        dev_is_at_home(self.dev, self.listen.ip())?;
        engines::validate(
            &self.log_url,
            &self.sql_url,
            &self.cache_url,
            &self.data_dir,
        )?;
        engines::sql_layout(&self.sql_shards, self.account_partitions)
            .map_err(|problem| wrong("sql_shards", &problem))?;
        self.snapshot_location()?;
        self.archive_location()?;
        config::at_least("account_partitions", self.account_partitions.into(), 1)?;
        config::at_least("matching_partitions", self.matching_partitions.into(), 1)?;
        config::at_least("lease_timeout_ms", self.lease_timeout_ms, 500)?;
        let is_url = ["http://", "https://"]
            .iter()
            .any(|url| self.advertise.starts_with(url));
        if !self.advertise.is_empty() && !is_url {
            return Err(Error::Invalid(format!(
                "advertise is {:?}: it must be an address such as http://10.0.0.5:9001",
                self.advertise
            )));
        }
        self.calls.validate()?;
        self.host(Callers::Services).validate()
    }
}

/// The fixed keys of development are published: they are for this machine.
///
/// # Errors
/// When others could reach it.
pub fn dev_is_at_home(dev: bool, listen: IpAddr) -> Result<(), Error> {
    if dev && !listen.is_loopback() {
        return Err(Error::Invalid(format!(
            "--dev has published keys and serves loopback only; listen is {listen}: use 127.0.0.1, or \
             leave --dev away"
        )));
    }
    Ok(())
}

impl Settings {
    /// The runtime's part, of a process that is called by these.
    pub fn host(&self, callers: Callers) -> prepx_runtime::Config {
        prepx_runtime::Config {
            listen: self.listen,
            probe_listen: self.probe_listen,
            callers,
            tls: self.tls.clone(),
            public_tls: self.public_tls.clone(),
            drain_timeout_ms: self.drain_timeout_ms,
            limits: self.limits.clone(),
            telemetry: self.telemetry.clone(),
        }
    }

    /// A service's own part.
    ///
    /// # Errors
    /// Names what is not right.
    pub fn section<T: DeserializeOwned>(name: &str, table: &toml::Table) -> Result<T, Error> {
        let read = table.clone().try_into();
        read.map_err(|error: toml::de::Error| wrong(name, &error.message()))
    }

    /// How many partitions there are.
    pub fn topology(&self) -> Topology {
        Topology {
            account_partitions: self.account_partitions,
            matching_partitions: self.matching_partitions,
        }
    }

    /// The event log that processes share.
    ///
    /// # Errors
    /// When there is none.
    pub fn shared_log(&self) -> Result<KafkaLocation, Error> {
        let location = engines::log_location(&self.log_url, &self.data_dir);
        let location = location.map_err(|problem| wrong("log_url", &problem))?;
        location.ok_or_else(|| {
            let words = "a service of its own needs an event log that other processes reach: \
                         kafka://HOST:PORT,HOST:PORT/PREFIX (PREPX_LOG_URL)";
            wrong("log_url", &words)
        })
    }

    /// The key of the platform.
    ///
    /// # Errors
    /// When there is none.
    pub fn shared_key(&self) -> Result<ClusterKey, Error> {
        self.cluster_key.clone().ok_or_else(|| {
            let words = "it is not set: all services of a platform share one of 32 characters or more, \
                         such as `openssl rand -base64 32` prints (PREPX_CLUSTER_KEY)";
            wrong("cluster_key", &words)
        })
    }

    /// Where the journals of the stages are archived, if they are.
    ///
    /// # Errors
    /// A URL that names no object storage.
    pub fn archive_location(&self) -> Result<Option<Objects>, Error> {
        match &*self.archive_url {
            "" => Ok(None),
            url => Objects::parse(url)
                .map(Some)
                .map_err(|problem| wrong("archive_url", &problem)),
        }
    }

    /// How much a process stands by for.
    pub fn standbys(&self) -> Standbys {
        Standbys {
            partitions: self.standby_partitions,
            bytes: self.standby_bytes,
        }
    }

    /// Where the snapshots of the stages are.
    ///
    /// # Errors
    /// A URL that names no object storage.
    pub fn snapshot_location(&self) -> Result<Objects, Error> {
        match &*self.snapshot_url {
            "" => Ok(Objects::Directory(self.data_dir.join("snapshots"))),
            url => Objects::parse(url).map_err(|problem| wrong("snapshot_url", &problem)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prepx_runtime::config::Sources;

    use super::*;

    #[track_caller]
    fn refused(toml: &str, words: &[&str]) {
        let flags = toml.parse().expect("TOML");
        let sources = Sources {
            flags,
            ..Sources::default()
        };
        let said = sources.load::<Settings>().expect_err("must be refused");
        for word in words {
            assert!(
                said.to_string().contains(word),
                "{said} does not say {word}"
            );
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_would_be_right() {
        refused(
            "snapshot_url = 's3:x'",
            &["s3:x", "file:DIRECTORY or s3://BUCKET"],
        );
        refused(
            "archive_url = 'x'",
            &["archive_url", "file:DIRECTORY or s3://BUCKET"],
        );
        refused("advertise = '10.0.0.1:1'", &["10.0.0.1:1", "http://"]);
        refused("dev = true\nlisten = '0.0.0.0:1'", &["--dev", "0.0.0.0"]);
        refused("cluster_key = 'short'", &["32"]);
        refused(
            "[tls]\nca = 'x'",
            &["tls.ca is set", "tls.certificate is not"],
        );
        refused(
            "[public_tls]\nkey = 'x'",
            &["public_tls.certificate is not"],
        );
        refused("log_url = 'pulsar:x'", &["log_url", "kafka://"]);
        refused(
            "sql_url = 'postgres://u@db/p?sslmode=require'",
            &["sql_url", "verify-full"],
        );
        refused("cache_url = 'redis://a:1?sslrootcert=/ca'", &["rediss"]);
        refused("simulate = true", &["simulate"]);
        let shard = |partitions| {
            format!("[[sql_shards]]\nregion = 'a'\nurl = 'sqlite:a'\npartitions = {partitions}")
        };
        refused(
            &shard("[0, 1, 2]"),
            &["sql_shards", "partition 3", "in no shard"],
        );
        refused(&shard("[0, 1, 2, 3, 3]"), &["partition 3", "in two shards"]);
        refused(
            "[[sql_shards]]\nurl = 'sqlite:a'\npartitions = []",
            &["region"],
        );
    }

    #[test]
    fn the_table_of_sixteen_shards_is_right() {
        let flags = include_str!("../../../docs/sql-shards.toml").parse();
        let sources = Sources {
            flags: flags.expect("TOML"),
            ..Sources::default()
        };
        let settings = sources.load::<Settings>().expect("is right");
        let regions: BTreeSet<_> = settings
            .sql_shards
            .iter()
            .map(|shard| &shard.region)
            .collect();
        assert_eq!((settings.sql_shards.len(), regions.len()), (16, 4));
    }

    #[test]
    fn what_pods_are_told_is_right() {
        let said = include_str!("../../../k8s/base/settings.env").lines();
        let said = said.filter(|line| !line.starts_with('#'));
        let pair = |line: &str| {
            let (name, value) = line.split_once('=').expect("a name and a value");
            (name.to_owned(), value.to_owned())
        };
        let sources = Sources {
            variables: said.map(pair).collect(),
            ..Sources::default()
        };
        let settings: Settings = sources.load().expect("is right");
        settings.shared_log().expect("brokers");
        assert_eq!(settings.topology().account_partitions, 64);
        assert!(settings.archive_location().expect("a URL").is_some());
    }

    #[test]
    fn one_file_serves_all_services() {
        let text = "
            cluster_key = '0123456789abcdef0123456789abcdef'
            snapshot_url = 'file:/srv/snapshots'
            [peers]
            user = 'http://127.0.0.1:1'
            [user]
            session_days = 3
            [rate_limits]
            profile = 'off'
        ";
        let settings: Settings = toml::from_str(text).expect("is right");
        assert_eq!(
            settings.snapshot_location().expect("a directory"),
            Objects::Directory("/srv/snapshots".into())
        );
        settings.shared_key().expect("was set");
        let said = settings.shared_log().expect_err("no log").to_string();
        assert!(said.contains("PREPX_LOG_URL"), "{said}");
    }
}
