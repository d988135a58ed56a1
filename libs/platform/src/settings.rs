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

/// The default data directory.
pub const DATA_DIR: &str = "prepx-data";
/// The default interval of prefetching, in seconds.
pub const WARM_SECONDS: u32 = 300;

/// The settings of a service.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether the fixed keys of development are valid.
    pub dev: bool,
    /// The address to listen on; port 0 picks a free port.
    #[serde(deserialize_with = "config::listen")]
    pub listen: SocketAddr,
    /// The address of the health probes, which is plain HTTP and serves nothing else; none when not set.
    #[serde(deserialize_with = "config::listen")]
    pub probe_listen: Option<SocketAddr>,
    /// The URL at which other processes reach this one; the address that it listens on when empty.
    pub advertise: String,
    /// The directory of keys. All processes of a service must see the same directory.
    pub data_dir: PathBuf,
    /// The event log: `kafka://HOST:PORT,HOST:PORT/PREFIX`, with TLS `kafka+ssl://USER:PASSWORD@…?sslrootcert=FILE` (ADR
    /// 0027).
    pub log_url: String,
    /// Replicas of each topic, when this platform creates it.
    pub log_replication: u16,
    /// Partitions of each topic that PrepX itself neither writes nor reads, when this platform creates it; few are better
    /// for brokers with few cores. By default as many as the file of topics declares.
    pub log_partitions_of_others: Option<NonZeroU32>,
    /// Partitions of the account stage and of all topics by account.
    pub account_partitions: u32,
    /// Partitions of the matching stage and of all topics by instrument.
    pub matching_partitions: u32,
    /// Where snapshots of the stages are: `s3://BUCKET[/PREFIX]`, or `file:DIRECTORY`, which all owners must see; in the
    /// data directory when empty.
    pub snapshot_url: String,
    /// Where the journals of the stages are archived, in the form of `snapshot_url`; nowhere when empty. Records that are
    /// archived and older than a week are dropped from the log.
    pub archive_url: String,
    /// The most partitions of its stage of which a process keeps a copy while another process owns them, so that it can
    /// take them over quickly; 0 for none.
    pub standby_partitions: usize,
    /// The most bytes of the snapshots of those copies together; in memory they take a few times as much.
    pub standby_bytes: u64,
    /// The SQL store: `postgres://USER:PASSWORD@HOST/DATABASE`, with TLS
    /// `?sslmode=verify-full&sslrootcert=/etc/prepx/sql-ca.crt` (ADR 0027); SQLite in the data directory when empty.
    pub sql_url: String,
    /// Where the schemas with rows by account are, when they are sharded.
    pub sql_shards: Vec<SqlShard>,
    /// The cache, which also counts requests and carries news: `memory:`, `redis://HOST:PORT[/PREFIX]` or
    /// `redis-cluster://HOST:PORT,HOST:PORT[/PREFIX]`, with `?memcached=HOST:PORT` for Memcached behind either; `rediss`
    /// and `rediss-cluster` with TLS, with `?sslrootcert=/etc/prepx/redis-ca.crt` (ADR 0027).
    pub cache_url: String,
    /// How often to prefetch what the busiest tenth of accounts asks for most, in seconds; 0 for never.
    pub warm_seconds: u32,
    /// The URLs of the other services.
    pub peers: Peers,
    /// The certificate for other services; without it there is no TLS between them.
    pub tls: tls::Config,
    /// The gateway's certificate for clients; without it there is no TLS.
    pub public_tls: tls::PublicConfig,
    /// The key that all services of the platform share.
    pub cluster_key: Option<ClusterKey>,
    /// After how long without a heartbeat a process loses what it owns to another one.
    pub lease_timeout_ms: u64,
    /// How long requests in progress may take once draining has begun.
    pub drain_timeout_ms: u64,
    /// The limits of connections from outside.
    pub limits: serve::Limits,
    /// The limits of a service.
    pub calls: guard::Limits,
    /// Logs, metrics and traces.
    pub telemetry: telemetry::Config,
    /// The user service's settings.
    pub user: toml::Table,
    /// The gateway's settings.
    pub rate_limits: toml::Table,
    /// The settings of webhooks, which belong to the notification service.
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
        check_dev_is_local(self.dev, self.listen.ip())?;
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

/// Checks that the fixed keys of development, which are public, are used on this machine only.
///
/// # Errors
/// When other machines could reach the process.
pub fn check_dev_is_local(dev: bool, listen: IpAddr) -> Result<(), Error> {
    if dev && !listen.is_loopback() {
        return Err(Error::Invalid(format!(
            "--dev has published keys and serves loopback only; listen is {listen}: use 127.0.0.1, or \
             leave --dev away"
        )));
    }
    Ok(())
}

impl Settings {
    /// The runtime's settings of a process that is called by these.
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

    /// A service's own settings.
    ///
    /// # Errors
    /// Names the invalid setting.
    pub fn section<T: DeserializeOwned>(name: &str, table: &toml::Table) -> Result<T, Error> {
        let read = table.clone().try_into();
        read.map_err(|error: toml::de::Error| wrong(name, &error.message()))
    }

    /// The number of partitions.
    pub fn topology(&self) -> Topology {
        Topology {
            account_partitions: self.account_partitions,
            matching_partitions: self.matching_partitions,
        }
    }

    /// The event log that processes share.
    ///
    /// # Errors
    /// When it is not set.
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
    /// When it is not set.
    pub fn shared_key(&self) -> Result<ClusterKey, Error> {
        self.cluster_key.clone().ok_or_else(|| {
            let words = "it is not set: all services of a platform share one of 32 characters or more, \
                         such as `openssl rand -base64 32` prints (PREPX_CLUSTER_KEY)";
            wrong("cluster_key", &words)
        })
    }

    /// The archives of the stages' journals, if there are any.
    ///
    /// # Errors
    /// A URL that does not name an object storage.
    pub fn archive_location(&self) -> Result<Option<Objects>, Error> {
        match &*self.archive_url {
            "" => Ok(None),
            url => Objects::parse(url)
                .map(Some)
                .map_err(|problem| wrong("archive_url", &problem)),
        }
    }

    /// The limits of the copies that a process keeps.
    pub fn standbys(&self) -> Standbys {
        Standbys {
            partitions: self.standby_partitions,
            bytes: self.standby_bytes,
        }
    }

    /// The snapshots of the stages.
    ///
    /// # Errors
    /// A URL that does not name an object storage.
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
        refused("data_dir = ''", &["data_dir is empty"]);
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
