//! The bounds of a handle on Kafka, and the settings of its clients.

use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;

use super::leases::Membership;
use crate::location::{KafkaLocation, Security};
use crate::{Reading, Topic, TopicPartition};

/// The bounds of a handle on Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who this handle is, such as `trading-0`: unlike every other handle that is open, the same
    /// again after a restart. A batch of several records that has no owner is a transaction under this name.
    pub id: String,
    /// What may be accepted and not yet durable; beyond it [`AppendError::Full`](crate::AppendError::Full).
    pub buffer_bytes: u64,
    /// The largest batch, with its framing; topics must take records of this size.
    pub batch_bytes_max: u64,
    /// The most that goes into one transaction, of batches that wait together.
    pub transaction_bytes_max: u64,
    /// After this long the brokers end a transaction whose owner has gone silent.
    pub transaction_timeout: Duration,
    /// How long brokers may be away before the handle gives up and fails.
    pub patience: Duration,
    /// How soon what others write is to be had.
    pub reading: Reading,
}

impl Config {
    /// The defaults for a handle of this name.
    pub fn named(id: impl Into<String>) -> Config {
        Config {
            id: id.into(),
            buffer_bytes: 32 << 20,
            batch_bytes_max: 4 << 20,
            transaction_bytes_max: 4 << 20,
            transaction_timeout: Duration::from_secs(10),
            patience: Duration::from_secs(60),
            reading: Reading::Prompt,
        }
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        if self.id.is_empty() {
            return Err("id is empty; it must name this handle, such as trading-0".into());
        }
        if self.buffer_bytes < self.batch_bytes_max {
            return Err(format!(
                "buffer_bytes is {}; it must be at least batch_bytes_max, {}",
                self.buffer_bytes, self.batch_bytes_max
            ));
        }
        match self.buffer_bytes > 1 << 30 {
            true => Err(format!(
                "buffer_bytes is {}; at most 1 GiB",
                self.buffer_bytes
            )),
            false => Ok(()),
        }
    }
}

/// What a record costs in a producer's buffer beside its payload: its framing in a record batch
/// and its headers, rounded up.
const RECORD_BYTES: u64 = 64;

/// The size that a batch counts with.
pub(super) fn batch_bytes(batch: &crate::Batch) -> u64 {
    batch.payload_bytes() as u64 + RECORD_BYTES * batch.len() as u64
}

/// How many transactional ids a journal has. Six hide what the brokers do after a commit even at a
/// thousand transitions a second. Whoever knows fewer would leave the others to a stale owner: in a
/// cluster that runs, the number never changes.
const TRANSACTIONAL_IDS: usize = 6;

/// The names of PrepX's things in a cluster.
#[derive(Clone, Debug)]
pub(super) struct Names(String);

impl Names {
    pub(super) fn of(location: &KafkaLocation) -> Names {
        Names(match location.prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}."),
        })
    }

    pub(super) fn topic(&self, topic: Topic) -> String {
        self.named(topic.name())
    }

    pub(super) fn named(&self, short: &str) -> String {
        format!("{}{short}", self.0)
    }

    /// The transactional ids of a journal: whoever takes them all fences all before.
    pub(super) fn owner(&self, journal: TopicPartition) -> impl Iterator<Item = String> {
        (0..TRANSACTIONAL_IDS)
            .map(move |n| format!("{}{}.{}.{n}", self.0, journal.topic, journal.partition))
    }

    pub(super) fn ownerless(&self, id: &str) -> String {
        format!("{}nobody.{id}", self.0)
    }

    pub(super) fn leases(&self, group: &str) -> String {
        format!("{}leases.{group}", self.0)
    }

    pub(super) fn group(&self) -> String {
        format!("{}explicit", self.0)
    }
}

/// How long brokers let a fetch wait for news. A waiting one holds back a partition that joins or is sought at
/// the same broker, so it is short; but each handle asks each broker that often when nothing happens.
const FETCH_WAIT: Duration = Duration::from_millis(100);
/// What a fetch waits for where nobody waits for the records.
const FETCH_BYTES_MIN: u32 = 64 << 10;

/// What all clients have in common.
pub(super) fn client(location: &KafkaLocation, id: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &location.brokers)
        .set("client.id", id)
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "1000");
    if let Some(security) = &location.security {
        secure(&mut client, security);
    }
    client
}

fn secure(client: &mut ClientConfig, security: &Security) {
    let protocol = match security.login {
        Some(_) => "sasl_ssl",
        None => "ssl",
    };
    client.set("security.protocol", protocol);
    let mut file = |name: &str, path: &Path| {
        client.set(name, path.to_string_lossy());
    };
    // The library then looks where systems have those that browsers know. OpenSSL's own place is not there in images.
    let probe = Path::new("probe");
    file(
        "ssl.ca.location",
        security.tls.ca.as_deref().unwrap_or(probe),
    );
    if let Some((certificate, key)) = &security.tls.own {
        file("ssl.certificate.location", certificate);
        file("ssl.key.location", key);
    }
    if let Some((login, mechanism)) = &security.login {
        client
            .set("sasl.mechanism", mechanism.name())
            .set("sasl.username", &login.user)
            .set("sasl.password", &login.password);
    }
}

/// An idempotent producer: a record is written once and in order, by all replicas in sync.
pub(super) fn producer(location: &KafkaLocation, config: &Config) -> ClientConfig {
    let mut producer = client(location, &config.id);
    // The handle's own bound holds before the client's.
    let buffer_kib = 2 * config.buffer_bytes / 1_024 + 1_024;
    producer
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // A sender waits for what it has sent before it sends more, so what it hands over at once goes as one request.
        .set("linger.ms", "0.5")
        .set("retry.backoff.ms", "10")
        .set(
            "message.max.bytes",
            (config.batch_bytes_max + 65_536).to_string(),
        )
        .set("queue.buffering.max.kbytes", buffer_kib.to_string())
        .set("queue.buffering.max.messages", "1000000");
    producer
}

/// A member of a group that shares partitions out and reads none of them. A heartbeat tells it what has changed,
/// so they are frequent.
pub(super) fn member(
    location: &KafkaLocation,
    membership: &Membership,
    names: &Names,
    poll_max: Duration,
) -> ClientConfig {
    let mut member = client(location, &membership.who);
    let ms = |duration: Duration| duration.as_millis().max(1).to_string();
    member
        .set("group.id", names.leases(&membership.group))
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", ms(membership.session))
        .set("heartbeat.interval.ms", ms(membership.session / 20))
        .set("max.poll.interval.ms", ms(poll_max))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("queued.min.messages", "1")
        .set("queued.max.messages.kbytes", "1");
    member
}

/// Asks where partitions end with what is not decided yet. It reads nothing.
pub(super) fn asker(location: &KafkaLocation, config: &Config) -> ClientConfig {
    let mut asker = client(location, &config.id);
    asker.set("isolation.level", "read_uncommitted");
    asker
}

/// A consumer that is told what to read: it joins no group and commits nothing. The library wants a
/// group's name all the same.
pub(super) fn consumer(location: &KafkaLocation, config: &Config, names: &Names) -> ClientConfig {
    let mut consumer = client(location, &config.id);
    let bytes_min = match config.reading {
        Reading::Prompt => 1,
        Reading::Unhurried => FETCH_BYTES_MIN,
    };
    consumer
        .set("group.id", names.group())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", FETCH_WAIT.as_millis().to_string())
        .set("fetch.min.bytes", bytes_min.to_string())
        .set("fetch.error.backoff.ms", "20")
        .set("fetch.queue.backoff.ms", "20")
        .set("queued.min.messages", "1000")
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.message.max.bytes", "1048576");
    consumer
}
