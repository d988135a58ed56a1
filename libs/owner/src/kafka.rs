//! Apache Kafka under the stations: its topics, and handles on it.

use std::num::NonZeroU32;
use std::sync::Arc;

use prepx_bus::kafka::{Config, OpenError, topics};
use prepx_bus::{KafkaLocation, KafkaLog, Log, Topic};
use prepx_stage::Topology;

use crate::{BoxError, Logs};

/// The topics of a platform of this shape; of those that it neither writes nor reads itself with so many partitions
/// each, or as many as the file gives them.
pub fn declared(
    topology: Topology,
    replication: u16,
    others: Option<NonZeroU32>,
) -> topics::Topics {
    let mut declared = topics::Topics::shipped();
    declared.replicate(replication, replication.div_ceil(2).max(1));
    for &topic in Topic::ALL {
        if topic != Topic::StageOwners {
            declared.set_partitions(topic.name(), topology.partitions(topic));
        }
    }
    if let Some(partitions) = others {
        declared.set_partitions_of_others(partitions.get());
    }
    declared
}

/// Makes the topics that are not there yet, as [`declared`] has them, and says how a process opens handles.
/// `process` differs from those of all other processes of the platform.
///
/// # Errors
/// Brokers that do not answer, or topics of another shape.
pub fn logs(
    location: KafkaLocation,
    topology: Topology,
    replication: u16,
    others: Option<NonZeroU32>,
    process: &str,
) -> Result<Logs, BoxError> {
    let made = topics::apply(&location, &declared(topology, replication, others))?;
    for change in made {
        tracing::info!(%change, "topics of the event log");
    }
    let process = process.to_owned();
    Ok(Arc::new(move |name, reading| {
        let config = Config {
            reading,
            ..Config::named(format!("{process}.{name}"))
        };
        let log = KafkaLog::open(location.clone(), config)?;
        Ok(log as Arc<dyn Log>)
    }))
}

/// A handle on a platform that is there, and its shape: nothing is made.
///
/// # Errors
/// Brokers that do not answer, or topics that are missing.
pub fn open(location: KafkaLocation, process: &str) -> Result<(Arc<dyn Log>, Topology), OpenError> {
    let log = KafkaLog::open(location, Config::named(process))?;
    let topology = Topology {
        account_partitions: log.count(Topic::AccountJournal),
        matching_partitions: log.count(Topic::MatchingJournal),
    };
    Ok((log, topology))
}
