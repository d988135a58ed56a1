//! Which engine, from one URL.

use std::path::PathBuf;

/// Where the event log is, and so which engine serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `file:DIR`: the embedded log in this directory.
    Embedded(PathBuf),
    /// `kafka://host:port,host:port[/prefix]`: Apache Kafka.
    Kafka(KafkaLocation),
}

/// A Kafka cluster and what there is PrepX's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaLocation {
    /// The brokers to ask first, `host:port` with commas between.
    pub brokers: String,
    /// What the names of topics and transactional ids begin with, a dot behind it; empty for none.
    /// Two platforms on one cluster differ in it.
    pub prefix: String,
}

/// A URL that names no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event log {0:?} is not known: use `file:DIRECTORY` or \
     `kafka://HOST:PORT,HOST:PORT[/PREFIX]`, a prefix of letters, digits, `-` and `_`"
)]
pub struct UnknownUrl(String);

impl Location {
    /// Reads a URL.
    ///
    /// # Errors
    /// A scheme, a broker or a prefix that cannot be.
    pub fn parse(url: &str) -> Result<Location, UnknownUrl> {
        let location = if let Some(rest) = url.strip_prefix("kafka://") {
            KafkaLocation::parse(rest).map(Location::Kafka)
        } else {
            url.strip_prefix("file:")
                .map(|rest| rest.strip_prefix("//").unwrap_or(rest))
                .filter(|directory| !directory.is_empty())
                .map(|directory| Location::Embedded(PathBuf::from(directory)))
        };
        location.ok_or_else(|| UnknownUrl(url.to_owned()))
    }
}

impl KafkaLocation {
    fn parse(rest: &str) -> Option<KafkaLocation> {
        let (brokers, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_broker = |broker: &str| {
            broker
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        let in_prefix = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let known = brokers.split(',').all(is_broker) && prefix.chars().all(in_prefix);
        known.then(|| KafkaLocation {
            brokers: brokers.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_an_engine_and_a_place() {
        let kafka = |brokers: &str, prefix: &str| {
            Location::Kafka(KafkaLocation {
                brokers: brokers.into(),
                prefix: prefix.into(),
            })
        };
        for (url, expected) in [
            ("file:data/log", Location::Embedded("data/log".into())),
            ("file:///var/log", Location::Embedded("/var/log".into())),
            ("kafka://a:9092", kafka("a:9092", "")),
            (
                "kafka://a:9092,b:9093/test-1",
                kafka("a:9092,b:9093", "test-1"),
            ),
            ("kafka://[::1]:9092", kafka("[::1]:9092", "")),
        ] {
            assert_eq!(Location::parse(url), Ok(expected));
        }
        for wrong in [
            "",
            "file:",
            "kafka://",
            "kafka://a",
            "kafka://a:9092,",
            "kafka://a:9/x.y",
            "nats://a:1",
        ] {
            assert_eq!(Location::parse(wrong), Err(UnknownUrl(wrong.into())));
        }
    }
}
