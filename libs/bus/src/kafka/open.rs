//! Opening: what the cluster has, and the producers of a handle.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;

use super::config::{self, Config, Names};
use super::producer::{Failure, OnDelivery, Producer, Sent};
use super::reader::Reader;
use super::sender::{Made, Nobody};
use crate::Topic;
use crate::in_flight::InFlight;
use crate::location::KafkaLocation;

/// Why Kafka could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration cannot work.
    #[error("the event log's {0}")]
    Config(String),
    /// Topics are missing.
    #[error("Kafka at {brokers} has no topic {missing}: make them as the file of topics says")]
    Topics {
        /// Who was asked.
        brokers: String,
        /// The names, with commas between.
        missing: String,
    },
    /// No broker has answered, or not well.
    #[error("cannot open the event log on Kafka at {brokers}: {why}")]
    Unavailable {
        /// Who was asked.
        brokers: String,
        /// What the client library says.
        why: String,
    },
}

/// The partitions of every topic.
pub(super) fn partitions(
    reader: &Reader,
    names: &Names,
    location: &KafkaLocation,
    config: &Config,
) -> Result<HashMap<Topic, u32>, OpenError> {
    let brokers = || location.brokers.clone();
    let mut missing = Vec::new();
    // Brokers hear of topics that were made just now one after the other.
    for _ in 0..100 {
        let metadata = reader.consumer().fetch_metadata(None, config.patience);
        let metadata = metadata.map_err(|error| OpenError::Unavailable {
            brokers: brokers(),
            why: error.to_string(),
        })?;
        let topics = metadata.topics().iter();
        let known: HashMap<&str, usize> = topics
            .map(|topic| (topic.name(), topic.partitions().len()))
            .collect();
        let count = |topic: Topic| known.get(names.topic(topic).as_str()).copied().unwrap_or(0);
        let each = Topic::ALL.iter().map(|&topic| (topic, count(topic) as u32));
        let counts: HashMap<Topic, u32> = each.collect();
        missing = Topic::ALL
            .iter()
            .filter(|topic| counts[*topic] == 0)
            .collect();
        if missing.is_empty() {
            return Ok(counts);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let missing: Vec<String> = missing
        .into_iter()
        .map(|topic| names.topic(*topic))
        .collect();
    Err(OpenError::Topics {
        brokers: brokers(),
        missing: missing.join(", "),
    })
}

/// The ways to write without an owner.
pub(super) fn nobody(
    location: &KafkaLocation,
    config: &Config,
    names: &Names,
    in_flight: &Arc<InFlight>,
) -> Nobody {
    let of = (location.clone(), config.clone(), names.clone());
    let in_flight = Arc::clone(in_flight);
    let plain = move || {
        let (location, config, names) = &of;
        let mut plain = config::producer(location, config);
        plain.set(
            "message.timeout.ms",
            config.patience.as_millis().to_string(),
        );
        let each = Some(landing(&in_flight));
        Producer::new(&plain, names.clone(), config.patience, each).map_err(Failure::Unknown)
    };
    let (location, config, names) = (location.clone(), config.clone(), names.clone());
    let transactional = move || {
        let id = names.ownerless(&config.id);
        let producer = transactional(&location, &config, &names, &id).map_err(Failure::Unknown)?;
        producer.init_transactions().map(|()| producer)
    };
    Nobody {
        plain: Made::by(plain),
        transactional: Made::by(transactional),
    }
}

/// Lands each record when it is delivered.
fn landing(in_flight: &Arc<InFlight>) -> OnDelivery {
    let in_flight = Arc::clone(in_flight);
    Box::new(move |sent: &Sent, end| match end {
        Ok(end) => in_flight.complete([sent.position], [(sent.to, end)]),
        Err(why) => {
            in_flight.fail(&format!(
                "Kafka has not confirmed a record for {}: {why}",
                sent.to
            ));
        }
    })
}

pub(super) fn transactional(
    location: &KafkaLocation,
    config: &Config,
    names: &Names,
    id: &str,
) -> Result<Producer, String> {
    let mut client = config::producer(location, config);
    client.set("transactional.id", id).set(
        "transaction.timeout.ms",
        config.transaction_timeout.as_millis().to_string(),
    );
    Producer::new(&client, names.clone(), config.patience, None)
}
