//! One configuration from four sources: defaults, then a TOML file, then `PREPX_*` variables, then
//! flags. They say the same things by the same names; the last that says something wins.
//!
//! `PREPX_LISTEN` is the key `listen`, `PREPX_LIMITS__STREAMS` the key `streams` of the table
//! `limits`. An unknown name is an error wherever it stands, because a misspelt limit is no limit.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize as _, Deserializer};
use toml::{Table, Value};

const PREFIX: &str = "PREPX_";

/// Variables that the command-line clients read, and not the configuration.
const CLIENT_VARIABLES: [&str; 5] = [
    "PREPX_CA",
    "PREPX_CONFIG",
    "PREPX_KEY_ID",
    "PREPX_SECRET_KEY",
    "PREPX_URL",
];

/// Why there is no valid configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has an unknown setting, or one of the wrong type.
    #[error("the configuration {} is invalid: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        message: String,
    },
    /// A variable is unknown or of the wrong type.
    #[error("the variable {name}={value:?} is invalid: {message}")]
    Variable {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// What was expected.
        message: String,
    },
    /// A flag is of the wrong type.
    #[error("the flags are invalid: {0}")]
    Flags(String),
    /// The values contradict each other, or one is out of its range.
    #[error("{0}")]
    Invalid(String),
}

/// A configuration: `Deserialize` with `#[serde(default, deny_unknown_fields)]`, so that its default is
/// what no source at all gives.
pub trait Settings: DeserializeOwned {
    /// Checks these values; the error says what would be right.
    fn validate(&self) -> Result<(), Error>;
}

/// Checks that a value is not below `least`.
pub fn at_least(name: &str, value: u64, least: u64) -> Result<(), Error> {
    if value >= least {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{name} is {value}: it must be at least {least}"
    )))
}

/// Where to listen: an address with a port, or a host with one, such as `localhost:8080`. Of the addresses of
/// a host it is the first of IPv4, which all clients try, or else the first.
///
/// # Errors
/// Says what would be right.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let parts = parts.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let (host, port) = parts.ok_or("expected HOST:PORT, such as 127.0.0.1:8080")?;
    let found = (host, port).to_socket_addrs();
    let found = found.map_err(|error| format!("the host {host:?} has no address: {error}"))?;
    let found: Vec<_> = found.collect();
    let first = found.iter().find(|found| found.is_ipv4()).or(found.first());
    first
        .copied()
        .ok_or_else(|| format!("the host {host:?} has no address"))
}

/// The same for a setting: `deserialize_with`.
///
/// # Errors
/// Says what would be right.
pub fn listen<'de, D: Deserializer<'de>, A: From<SocketAddr>>(from: D) -> Result<A, D::Error> {
    let text = String::deserialize(from)?;
    address(&text).map(A::from).map_err(D::Error::custom)
}

/// The sources of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file, if there is one.
    pub file: Option<PathBuf>,
    /// The `PREPX_*` variables.
    pub variables: Vec<(String, String)>,
    /// The flags of the command line, in the form of the file.
    pub flags: Table,
}

impl Sources {
    /// A file, this process's variables, and flags.
    pub fn of_process(file: Option<PathBuf>, flags: Table) -> Sources {
        let mut variables: Vec<_> = std::env::vars()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .filter(|(name, _)| !CLIENT_VARIABLES.contains(&name.as_str()))
            .collect();
        variables.sort();
        Sources {
            file,
            variables,
            flags,
        }
    }

    /// Reads all sources and checks the result.
    ///
    /// # Errors
    /// Names the invalid source, and what would be right.
    pub fn load<T: Settings>(&self) -> Result<T, Error> {
        let mut table = self.read_file::<T>()?;
        for (name, text) in &self.variables {
            table = with_variable::<T>(table, name, text)?;
        }
        merge(&mut table, self.flags.clone());
        let settings: T = table
            .try_into()
            .map_err(|error: toml::de::Error| Error::Flags(message(&error)))?;
        settings.validate()?;
        Ok(settings)
    }

    fn read_file<T: Settings>(&self) -> Result<Table, Error> {
        let Some(path) = &self.file else {
            return Ok(Table::new());
        };
        let path = path.clone();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(Error::Read { path, source }),
        };
        // As the target type first, because only then errors have their line.
        let checked = toml::from_str::<T>(&text).and_then(|_| toml::from_str::<Table>(&text));
        checked.map_err(|error| Error::File {
            path,
            message: error.to_string(),
        })
    }
}

/// Adds a variable to the table. A variable has no type: it is a literal if the configuration accepts one
/// there, or else a text.
fn with_variable<T: Settings>(table: Table, name: &str, text: &str) -> Result<Table, Error> {
    let key = name.strip_prefix(PREFIX).unwrap_or(name).to_lowercase();
    let path: Vec<&str> = key.split("__").collect();
    let literal = toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .filter(|parsed| parsed.len() == 1)
        .and_then(|mut parsed| parsed.remove("value"));
    let mut refused = String::new();
    for value in literal.into_iter().chain([Value::String(text.to_owned())]) {
        let mut candidate = table.clone();
        merge(&mut candidate, nested(&path, value));
        match candidate.clone().try_into::<T>() {
            Ok(_) => return Ok(candidate),
            Err(error) if refused.is_empty() => refused = message(&error),
            Err(_) => {}
        }
    }
    Err(Error::Variable {
        name: name.to_owned(),
        value: text.to_owned(),
        message: refused,
    })
}

fn message(error: &toml::de::Error) -> String {
    error.message().to_owned()
}

/// `{a = {b = value}}` for the path a, b.
fn nested(path: &[&str], value: Value) -> Table {
    let (last, tables) = path
        .split_last()
        .expect("splitting a text gives at least one part");
    let innermost = Table::from_iter([((*last).to_owned(), value)]);
    tables.iter().rev().fold(innermost, |inner, key| {
        Table::from_iter([((*key).to_owned(), Value::Table(inner))])
    })
}

/// Merges `over` into `under`, table by table.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        listen: String,
        label: String,
        workers: u64,
        limits: Inner,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        streams: u64,
        strict: bool,
    }

    impl Default for Sample {
        fn default() -> Sample {
            let listen = "127.0.0.1:8080".to_owned();
            Sample {
                listen,
                label: String::new(),
                workers: 2,
                limits: Inner::default(),
            }
        }
    }

    impl Settings for Sample {
        fn validate(&self) -> Result<(), Error> {
            at_least("workers", self.workers, 1)
        }
    }

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("writes");
        file
    }

    #[test]
    fn the_last_source_that_says_something_wins() {
        let file = file("workers = 3\nlabel = \"file\"\n[limits]\nstreams = 5\n");
        let sources = Sources {
            file: Some(file.path().to_owned()),
            // A text that looks like a number stays a text where a text is expected.
            variables: variables(&[("PREPX_LABEL", "8080"), ("PREPX_LIMITS__STRICT", "true")]),
            flags: toml::from_str("listen = \"0.0.0.0:1\"").expect("TOML"),
        };
        let sample: Sample = sources.load().expect("all is right");
        let limits = Inner {
            streams: 5,
            strict: true,
        };
        let listen = "0.0.0.0:1".to_owned();
        assert_eq!(
            sample,
            Sample {
                listen,
                label: "8080".to_owned(),
                workers: 3,
                limits
            }
        );
        assert_eq!(
            Sources::default().load::<Sample>().expect("defaults"),
            Sample::default()
        );
    }

    #[track_caller]
    fn refused(sources: Sources, words: &[&str]) {
        let error = sources
            .load::<Sample>()
            .expect_err("must be refused")
            .to_string();
        for word in words {
            assert!(error.contains(word), "{error:?} does not say {word:?}");
        }
    }

    #[test]
    fn one_listens_at_an_address_or_at_a_host_that_has_one() {
        for (text, address) in [
            ("0.0.0.0:1", "0.0.0.0:1"),
            ("[::1]:80", "[::1]:80"),
            ("localhost:0", "127.0.0.1:0"),
        ] {
            let expected: SocketAddr = address.parse().expect("an address");
            assert_eq!(super::address(text), Ok(expected));
        }
        for (text, words) in [
            ("nowhere", "expected HOST:PORT"),
            (":8080", "expected HOST:PORT"),
            ("localhost:70000", "expected HOST:PORT"),
            ("no such host:80", "has no address"),
        ] {
            let refused = super::address(text).expect_err("must be refused");
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }

    #[test]
    fn every_source_is_told_what_is_wrong() {
        let wrong = file("workers = 3\nlisten = 7\n");
        let path = Some(wrong.path().to_owned());
        refused(
            Sources {
                file: path,
                ..Sources::default()
            },
            &["line 2", "expected a string"],
        );
        let absent = Some("/does/not/exist.toml".into());
        refused(
            Sources {
                file: absent,
                ..Sources::default()
            },
            &["/does/not/exist.toml"],
        );
        let misspelt = variables(&[("PREPX_LISTN", "x")]);
        let words = ["PREPX_LISTN", "unknown field `listn`", "`listen`"];
        refused(
            Sources {
                variables: misspelt,
                ..Sources::default()
            },
            &words,
        );
        let untyped = variables(&[("PREPX_WORKERS", "many")]);
        refused(
            Sources {
                variables: untyped,
                ..Sources::default()
            },
            &["PREPX_WORKERS", "many"],
        );
        let flags: Table = toml::from_str("workers = 0").expect("TOML");
        refused(
            Sources {
                flags,
                ..Sources::default()
            },
            &["workers is 0", "at least 1"],
        );
    }
}
