//! The choice of the engine, by one URL.

use std::path::PathBuf;

#[cfg(feature = "kafka")]
use prepx_location::Unreadable;
use prepx_location::{Login, Servers, Tls, shown};

/// The place of the event log, and so its engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `file:DIR`: the embedded log in this directory.
    Embedded(PathBuf),
    /// `kafka://host:port,host:port[/prefix]`: Apache Kafka, with `kafka+ssl` by TLS.
    Kafka(KafkaLocation),
}

/// A Kafka cluster, and PrepX's part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaLocation {
    /// The brokers to ask first, `host:port` with commas between.
    pub brokers: String,
    /// The prefix of topics and transactional ids, followed by a dot; empty for none. Two platforms on one
    /// cluster have different ones.
    pub prefix: String,
    /// TLS to the brokers, and the credentials.
    pub security: Option<Security>,
}

/// TLS to brokers, and the credentials of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// The brokers' CA, and the client's certificate.
    pub tls: Tls,
    /// The user name and password, if there are any.
    pub login: Option<(Login, Mechanism)>,
}

/// The mechanism of the password, in Kafka's terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mechanism {
    /// `PLAIN`: unhashed, inside TLS.
    Plain,
    /// `SCRAM-SHA-256`.
    Scram256,
    /// `SCRAM-SHA-512`.
    #[default]
    Scram512,
}

impl Mechanism {
    /// Its name in Kafka.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram256 => "SCRAM-SHA-256",
            Mechanism::Scram512 => "SCRAM-SHA-512",
        }
    }

    fn named(name: &str) -> Option<Mechanism> {
        let all = [Mechanism::Plain, Mechanism::Scram256, Mechanism::Scram512];
        all.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

/// A URL that names no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event log {0:?} is not known: use `file:DIRECTORY` or `kafka://HOST:PORT,HOST:PORT[/PREFIX]`, a \
     prefix of letters, digits, `-` and `_`; for TLS `kafka+ssl://`, with `?sslrootcert=FILE` for a CA of your own, \
     and `USER:PASSWORD@` before the first host (`&sasl=PLAIN` where it is not SCRAM-SHA-512) or \
     `&sslcert=FILE&sslkey=FILE` where clients have to say who they are"
)]
pub struct UnknownUrl(String);

impl Location {
    /// Reads a URL.
    ///
    /// # Errors
    /// An unknown scheme, or an invalid broker, prefix or parameter.
    pub fn parse(url: &str) -> Result<Location, UnknownUrl> {
        let location = match url.split_once("://") {
            Some((scheme @ ("kafka" | "kafka+ssl"), rest)) => {
                KafkaLocation::parse(scheme == "kafka+ssl", rest).map(Location::Kafka)
            }
            _ => url
                .strip_prefix("file:")
                .map(|rest| rest.strip_prefix("//").unwrap_or(rest))
                .filter(|directory| !directory.is_empty())
                .map(|directory| Location::Embedded(PathBuf::from(directory))),
        };
        location.ok_or_else(|| UnknownUrl(shown(url)))
    }
}

impl KafkaLocation {
    /// Checks that its files exist.
    ///
    /// # Errors
    /// Names the first that cannot be read.
    #[cfg(feature = "kafka")]
    pub(crate) fn check(&self) -> Result<(), Unreadable> {
        match &self.security {
            Some(security) => security.tls.check(),
            None => Ok(()),
        }
    }

    fn parse(is_tls: bool, rest: &str) -> Option<KafkaLocation> {
        let mut told = Servers::parse(rest)?;
        let prefix = told.path.clone().unwrap_or_default();
        let in_prefix = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let security = match is_tls {
            true => Some(Security::take(&mut told)?),
            // A password is not sent in plain text.
            false if told.login.is_some() => return None,
            false => None,
        };
        let known = told.is_understood() && prefix.chars().all(in_prefix);
        known.then(|| KafkaLocation {
            brokers: brokers(&told.hosts),
            prefix,
            security,
        })
    }
}

impl Security {
    fn take(told: &mut Servers) -> Option<Security> {
        let tls = Tls::take(told)?;
        let mechanism = match told.take("sasl") {
            None => None,
            Some(name) => Some(Mechanism::named(&name)?),
        };
        let login = match (told.login.take(), mechanism) {
            (Some(login), mechanism) => Some((login, mechanism.unwrap_or_default())),
            (None, None) => None,
            (None, Some(_)) => return None,
        };
        Some(Security { tls, login })
    }
}

fn brokers(hosts: &[(String, u16)]) -> String {
    let broker = |(host, port): &(String, u16)| match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    hosts.iter().map(broker).collect::<Vec<_>>().join(",")
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
                security: None,
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
            "kafka://a:9?sslrootcert=/ca",
            "kafka+ssl://a:9?sasl=PLAIN",
            "nats://a:1",
        ] {
            assert_eq!(Location::parse(wrong), Err(UnknownUrl(wrong.into())));
        }
    }

    #[test]
    fn a_url_says_how_brokers_are_known_and_who_asks() {
        let security = |url: &str| match Location::parse(url) {
            Ok(Location::Kafka(location)) => location.security.expect("TLS"),
            other => panic!("{url}: {other:?}"),
        };
        assert_eq!(security("kafka+ssl://a:9/x"), Security::default());
        let found = security("kafka+ssl://u:p%40w@a:9,b:9/x?sslrootcert=/ca");
        assert_eq!(found.tls.ca, Some("/ca".into()));
        let (login, mechanism) = found.login.expect("a password");
        assert_eq!((&*login.password, mechanism), ("p@w", Mechanism::Scram512));
        let plain = security("kafka+ssl://u:p@a:9?sasl=PLAIN").login;
        assert_eq!(plain.expect("a password").1, Mechanism::Plain);
        for wrong in [
            "kafka://u:secret@a:9",
            "kafka+ssl://u:secret@a:9?sasl=GSSAPI",
        ] {
            let refused = Location::parse(wrong).unwrap_err().to_string();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
