//! What was decided when a data directory was made and can never change in place: how many
//! partitions each stage has.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use prepx_bus::{Log, Topic, TopicPartition};
use prepx_stage::{Stage, Topology};
use serde::{Deserialize, Serialize};

const NAME: &str = "manifest.json";
const FORMAT: u32 = 1;

/// Partitions of a new data directory. One process runs them all on one thread, so more of them
/// make nothing faster here; but counts never change in place, and these let a small installation
/// spread over four owners of each stage without a new generation of its topics. Every partition
/// costs a journal, a snapshot and its share of a group, so there are not more.
pub const DEFAULT: Topology = Topology {
    account_partitions: 4,
    matching_partitions: 4,
};

/// Why the manifest could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system said no.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Positions in it are those of another event log.
    #[error(
        "the data in {path} belong to {theirs}, but {wanted} was asked for: use another data \
         directory, or the log that it was made with"
    )]
    OtherLog {
        /// The file.
        path: PathBuf,
        /// Which log it was made with.
        theirs: String,
        /// Which log is wanted.
        wanted: String,
    },
    /// It is not what this program wrote.
    #[error("{path} is no manifest of this program: {why}; restore it from a copy")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A newer version of the program has written it.
    #[error(
        "{path} has format {format}, of a newer version of this program: this one understands format {FORMAT}; \
         start the newer one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u64,
    },
    /// It says another number of partitions than the log has.
    #[error(
        "{path} says {field} {said}, and the event log beside it has the journals of {has}: {has} is right, if \
         nobody has changed the log; nothing was started"
    )]
    Counts {
        /// The file.
        path: PathBuf,
        /// Which count.
        field: &'static str,
        /// What it says.
        said: u32,
        /// What the log has.
        has: u32,
    },
}

enum Unread {
    Damaged(String),
    Newer(u64),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    /// The prefix of the platform's topics; none where the log is in the directory itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kafka_prefix: Option<String>,
    account_partitions: u32,
    matching_partitions: u32,
}

/// The topology of a data directory, which is made with [`DEFAULT`] if it has none: on the log in
/// the directory itself, or on Kafka under a prefix.
pub fn open(directory: &Path, kafka_prefix: Option<&str>) -> Result<Topology, Error> {
    match read_for(directory, kafka_prefix) {
        Err(Error::Io { path, source }) if source.kind() == io::ErrorKind::NotFound => {
            create(directory, &path, kafka_prefix).map_err(|source| Error::Io { path, source })?;
            Ok(DEFAULT)
        }
        found => found,
    }
}

/// The topology of a data directory whose log is on Kafka under this prefix; [`DEFAULT`] if nothing says yet whose it
/// is. That is left to [`open`], for when the brokers have answered.
pub fn expected(directory: &Path, kafka_prefix: &str) -> Result<Topology, Error> {
    match read_for(directory, Some(kafka_prefix)) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(DEFAULT),
        found => found,
    }
}

/// Whether a directory is the data directory of a platform.
pub fn is_there(directory: &Path) -> bool {
    directory.join(NAME).is_file()
}

/// The topology of a data directory that exists, with its log in it.
pub fn read(directory: &Path) -> Result<Topology, Error> {
    read_for(directory, None)
}

fn read_for(directory: &Path, kafka_prefix: Option<&str>) -> Result<Topology, Error> {
    let path = directory.join(NAME);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(Error::Io { path, source }),
    };
    let (topology, theirs) = match parse(&text) {
        Ok(found) => found,
        Err(Unread::Damaged(why)) => return Err(Error::Damaged { path, why }),
        Err(Unread::Newer(format)) => return Err(Error::Newer { path, format }),
    };
    if theirs.as_deref() != kafka_prefix {
        let log = |prefix: Option<&str>| match prefix {
            None => "the embedded event log".to_owned(),
            Some(prefix) => format!("topics on Kafka with the prefix {prefix:?}"),
        };
        return Err(Error::OtherLog {
            path,
            theirs: log(theirs.as_deref()),
            wanted: log(kafka_prefix),
        });
    }
    Ok(topology)
}

fn parse(text: &str) -> Result<(Topology, Option<String>), Unread> {
    let damaged = |error: serde_json::Error| Unread::Damaged(error.to_string());
    let json: serde_json::Value = serde_json::from_str(text).map_err(damaged)?;
    match json.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format > FORMAT.into() => return Err(Unread::Newer(format)),
        _ => {}
    }
    let manifest: Manifest = serde_json::from_value(json).map_err(damaged)?;
    let counts = [manifest.account_partitions, manifest.matching_partitions];
    if manifest.format != FORMAT || counts.iter().any(|count| !(1..=4_096).contains(count)) {
        return Err(Unread::Damaged(format!(
            "format {FORMAT} and 1 to 4096 partitions are due, {text} was found"
        )));
    }
    let topology = Topology {
        account_partitions: manifest.account_partitions,
        matching_partitions: manifest.matching_partitions,
    };
    Ok((topology, manifest.kafka_prefix))
}

/// Compares the counts with the journals that the log in the directory has. With other counts orders and accounts would
/// be sought in partitions that never had them.
pub fn check(directory: &Path, topology: Topology, log: &dyn Log) -> Result<(), Error> {
    let counts = [
        (
            "account_partitions",
            topology.account_partitions,
            Stage::ACCOUNT,
        ),
        (
            "matching_partitions",
            topology.matching_partitions,
            Stage::MATCHING,
        ),
    ];
    for (field, said, stage) in counts {
        let has = partitions(log, stage.journal);
        // The first start makes one after the other. One that was ended meanwhile has told nobody anything.
        let is_unfinished = has < said && TOLD.iter().all(|&topic| partitions(log, topic) == 0);
        if has != said && !is_unfinished {
            let path = directory.join(NAME);
            return Err(Error::Counts {
                path,
                field,
                said,
                has,
            });
        }
    }
    Ok(())
}

/// Where stages tell what they have decided.
const TOLD: [Topic; 4] = [
    Topic::OrderProcessing,
    Topic::OrderExecutions,
    Topic::PortfolioUpdates,
    Topic::MarketData,
];

/// How many partitions of a topic have, or have had, records.
fn partitions(log: &dyn Log, topic: Topic) -> u32 {
    let mut numbers = (0..TopicPartition::COUNT_MAX).rev();
    let last = numbers.find(|&number| log.end(topic.partition(number)) > 0);
    last.map_or(0, |last| last + 1)
}

/// Written beside and renamed, so that there is a whole one or none.
fn create(directory: &Path, path: &Path, kafka_prefix: Option<&str>) -> io::Result<()> {
    let manifest = Manifest {
        format: FORMAT,
        kafka_prefix: kafka_prefix.map(str::to_owned),
        account_partitions: DEFAULT.account_partitions,
        matching_partitions: DEFAULT.matching_partitions,
    };
    let temporary = path.with_extension("part");
    let mut file = File::create(&temporary)?;
    file.write_all(serde_json::to_string_pretty(&manifest)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stay_as_they_were_made() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(open(directory.path(), None).unwrap(), DEFAULT);
        let path = directory.path().join(NAME);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(
            &path,
            text.replace("\"account_partitions\": 4", "\"account_partitions\": 9"),
        )
        .unwrap();
        assert_eq!(open(directory.path(), None).unwrap().account_partitions, 9);
        let error = open(directory.path(), Some("prod")).unwrap_err();
        assert!(matches!(error, Error::OtherLog { .. }), "{error}");
        fs::write(&path, "{}").unwrap();
        let error = open(directory.path(), None).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }

    #[test]
    fn nothing_is_said_of_a_log_before_it_has_answered() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(expected(directory.path(), "prod").unwrap(), DEFAULT);
        assert!(!is_there(directory.path()));
        open(directory.path(), None).unwrap();
        let error = expected(directory.path(), "prod").unwrap_err();
        assert!(matches!(error, Error::OtherLog { .. }), "{error}");
    }

    #[test]
    fn a_newer_one_is_called_so() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(
            directory.path().join(NAME),
            r#"{"format": 2, "stages": {"account": 4}}"#,
        )
        .unwrap();
        let error = open(directory.path(), None).unwrap_err().to_string();
        let said =
            "has format 2, of a newer version of this program: this one understands format 1";
        assert!(error.contains(said), "{error}");
    }
}
