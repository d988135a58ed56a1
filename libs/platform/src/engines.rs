//! The engines behind the three seams, by their URLs.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use prepx_bus::{KafkaLocation, Leases, Location, Log, Topic};
use prepx_cache::Cache;
use prepx_env::Clock;
use prepx_owner::Logs;
use prepx_runtime::config::Error;
use prepx_stage::{Archives, Seat, Snapshots, Stage, Topology};
use prepx_store::Layout;
use serde::Deserialize;

/// The place of the event log; none if it is in the data directory.
///
/// # Errors
/// A URL that names no log, or an embedded one in another place.
pub fn log_location(log_url: &str, data_dir: &Path) -> Result<Option<KafkaLocation>> {
    if log_url.is_empty() {
        return Ok(None);
    }
    match Location::parse(log_url)? {
        Location::Kafka(location) => Ok(Some(location)),
        Location::Embedded(path) if path == data_dir.join("log") => Ok(None),
        Location::Embedded(path) => Err(anyhow!(
            "log_url names {}: an embedded log is in the data directory; leave log_url away, or set \
             data_dir",
            path.display()
        )),
    }
}

/// The place of the services' schemas: the URL's, or the data directory.
///
/// # Errors
/// When the URL names no store.
pub fn sql_location(sql_url: &str, data_dir: &Path) -> prepx_store::Result<prepx_store::Location> {
    match sql_url {
        "" => Ok(prepx_store::Location::Sqlite(data_dir.join("sql"))),
        url => prepx_store::Location::parse(url),
    }
}

/// A database with the rows of the accounts of some partitions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlShard {
    /// Its place, as operators know it.
    pub region: String,
    /// As `sql_url`.
    pub url: String,
    /// Its account partitions.
    pub partitions: Vec<u32>,
}

/// The shard of each of this many account partitions; none if there are no shards, and `sql_url` has all.
///
/// # Errors
/// When a URL names no store, or a partition is not in exactly one shard.
pub fn sql_layout(shards: &[SqlShard], partitions: u32) -> prepx_store::Result<Option<Layout>> {
    let place = |shard: &SqlShard| {
        let location = prepx_store::Location::parse(&shard.url)?;
        Ok((location, shard.partitions.clone()))
    };
    let shards: Vec<_> = shards
        .iter()
        .map(place)
        .collect::<prepx_store::Result<_>>()?;
    match shards.is_empty() {
        true => Ok(None),
        false => Layout::of(shards, partitions).map(Some),
    }
}

/// Checks that the URLs name engines.
///
/// # Errors
/// Names the setting, and what would be right.
pub fn validate(
    log_url: &str,
    sql_url: &str,
    cache_url: &str,
    data_dir: &Path,
) -> Result<(), Error> {
    named(data_dir)?;
    log_location(log_url, data_dir).map_err(|problem| wrong("log_url", &problem))?;
    sql_location(sql_url, data_dir).map_err(|problem| wrong("sql_url", &problem))?;
    let cache = prepx_cache::Location::parse(cache_url);
    cache.map_err(|problem| wrong("cache_url", &problem))?;
    Ok(())
}

/// Refuses an empty name of a data directory: it would be the directory in which the program happens to run.
///
/// # Errors
/// That it is empty, and what would be right.
pub fn named(data_dir: &Path) -> Result<(), Error> {
    match data_dir.as_os_str().is_empty() {
        true => Err(Error::Invalid(
            "data_dir is empty: give a directory, such as ./prepx-data, or leave it out".to_owned(),
        )),
        false => Ok(()),
    }
}

/// The cache, which works without its servers while they are away.
///
/// # Errors
/// A URL that names none, or a file that cannot be read.
pub async fn cache(cache_url: &str, clock: &Arc<dyn Clock>) -> Result<Cache> {
    let location = prepx_cache::Location::parse(cache_url)?;
    location.check().context("cache_url")?;
    Ok(Cache::open(location, Arc::clone(clock)).await)
}

pub(crate) fn wrong(name: &str, problem: &dyn std::fmt::Display) -> Error {
    Error::Invalid(format!("{name}: {problem}"))
}

/// The place of the stages' snapshots.
///
/// # Errors
/// When it cannot be used.
pub fn snapshots(location: &prepx_objects::Location) -> Result<Snapshots> {
    Ok(Snapshots::new(location.open().context("snapshots")?))
}

/// The place of the stages' archived journals, if there is one.
///
/// # Errors
/// When it cannot be used.
pub fn archives(location: Option<&prepx_objects::Location>) -> Result<Option<Archives>> {
    let open = |location: &prepx_objects::Location| location.open().context("archives");
    Ok(location.map(open).transpose()?.map(Archives::new))
}

/// Handles on Kafka for this process, whose name is unique; missing topics
/// are created.
///
/// # Errors
/// Brokers that do not answer, topics of another shape, or a program that was built without Kafka.
#[cfg(feature = "kafka")]
pub fn kafka(
    location: KafkaLocation,
    topology: Topology,
    replication: u16,
    others: Option<NonZeroU32>,
    process: &str,
) -> Result<Logs> {
    let logs = prepx_owner::kafka::logs(location, topology, replication, others, process);
    logs.map_err(|error| anyhow!(error))
}

/// A member of a group that shares a topic's partitions out.
///
/// # Errors
/// When the client cannot be made, or a program that was built without Kafka.
#[cfg(feature = "kafka")]
pub fn leases(
    location: &KafkaLocation,
    (group, topic): (&str, Topic),
    process: &str,
    session: Duration,
) -> Result<Arc<dyn Leases>> {
    let membership = prepx_bus::kafka::Membership {
        session,
        ..prepx_bus::kafka::Membership::of(group, topic, process)
    };
    let joined = prepx_bus::kafka::KafkaLeases::join(location, membership)?;
    Ok(Arc::new(joined))
}

/// A member of a group that shares a topic's partitions out.
///
/// # Errors
/// Always: this program was built without Kafka.
#[cfg(not(feature = "kafka"))]
pub fn leases(
    location: &KafkaLocation,
    _: (&str, Topic),
    _: &str,
    _: Duration,
) -> Result<Arc<dyn Leases>> {
    Err(anyhow!(without_kafka(location)))
}

/// A handle on an existing platform on Kafka, and its topology. Creates nothing.
///
/// # Errors
/// Brokers that do not answer, topics that are missing, or a program that was built without Kafka.
#[cfg(feature = "kafka")]
pub fn kafka_as_it_is(location: KafkaLocation, process: &str) -> Result<(Arc<dyn Log>, Topology)> {
    Ok(prepx_owner::kafka::open(location, process)?)
}

/// Which process has the lease of a partition of a stage, or may be about to get it.
///
/// # Errors
/// Brokers that do not answer, or a program that was built without Kafka.
#[cfg(feature = "kafka")]
pub fn lease_holder(location: &KafkaLocation, seat: Seat) -> Result<Option<String>> {
    let (group, topic) = lease_group(seat.stage);
    let holder = prepx_bus::kafka::holder(location, group, topic, seat.partition);
    Ok(holder?)
}

/// A handle on an existing platform on Kafka, and its topology.
///
/// # Errors
/// Always: this program was built without Kafka.
#[cfg(not(feature = "kafka"))]
pub fn kafka_as_it_is(location: KafkaLocation, _: &str) -> Result<(Arc<dyn Log>, Topology)> {
    Err(anyhow!(without_kafka(&location)))
}

/// Which process has the lease of a partition of a stage.
///
/// # Errors
/// Always: this program was built without Kafka.
#[cfg(not(feature = "kafka"))]
pub fn lease_holder(location: &KafkaLocation, _: Seat) -> Result<Option<String>> {
    Err(anyhow!(without_kafka(location)))
}

/// The group in which processes divide the partitions of a stage, and the topic of those partitions.
pub fn lease_group(stage: Stage) -> (&'static str, Topic) {
    (stage.journal.name(), stage.journal)
}

/// Handles on Kafka for this process.
///
/// # Errors
/// Always: this program was built without Kafka.
#[cfg(not(feature = "kafka"))]
pub fn kafka(
    location: KafkaLocation,
    _: Topology,
    _: u16,
    _: Option<NonZeroU32>,
    _: &str,
) -> Result<Logs> {
    Err(anyhow!(without_kafka(&location)))
}

/// The advice for a program that was built without Kafka.
pub fn without_kafka(location: &KafkaLocation) -> String {
    format!(
        "the event log is Apache Kafka at {}, and this program was built without it: build it with \
         `cargo build --release --features kafka`",
        location.brokers
    )
}
