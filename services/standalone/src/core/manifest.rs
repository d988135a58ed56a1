//! What was decided when a data directory was made and can never change in place: how many
//! partitions each stage has.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use prepx_stage::Topology;
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
        Err(why) => return Err(Error::Damaged { path, why }),
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

fn parse(text: &str) -> Result<(Topology, Option<String>), String> {
    let manifest: Manifest = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let counts = [manifest.account_partitions, manifest.matching_partitions];
    if manifest.format != FORMAT || counts.iter().any(|count| !(1..=4_096).contains(count)) {
        return Err(format!(
            "format {FORMAT} and 1 to 4096 partitions are due, {text} was found"
        ));
    }
    let topology = Topology {
        account_partitions: manifest.account_partitions,
        matching_partitions: manifest.matching_partitions,
    };
    Ok((topology, manifest.kafka_prefix))
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
}
