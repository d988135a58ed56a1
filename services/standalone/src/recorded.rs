//! The records of a platform (its event log, snapshots and archives), for commands that read a platform from outside.
//!
//! Owns the choice of their engines, and whether a partition has an owner. Refuses to create what does not exist.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Args;
use prepx_bus::file::{Dir as _, Lock, RealDir};
use prepx_bus::{EmbeddedLog, KafkaLocation, Log, Position};
use prepx_objects::Location as Objects;
use prepx_platform::{DATA_DIR, engines};
use prepx_runtime::config::{self, Sources};
use prepx_stage::port::{LoggedUpdates, UpdatesPort};
use prepx_stage::{Archived, Archives, Seat, Snapshots, Stage, Topology};
use serde::Deserialize;

use crate::core::{Options, manifest};
use crate::disk::{LOG, RecordedUpdates};

/// How long to wait for written records, and for the lease of a dead process to end.
const PATIENCE: Duration = Duration::from_secs(60);
const LEASE_LOOKS: u32 = 40;
const LEASE_LOOK: Duration = Duration::from_millis(250);

/// Where it is recorded, by the names that settings have.
#[derive(Clone, Debug, Default, Args)]
pub struct Recorded {
    /// The data directory of a platform.
    #[arg(long, value_name = "DIR", help = format!("The data directory of a platform that does not run, or a copy of one [default: {DATA_DIR}]"))]
    pub data_dir: Option<PathBuf>,
    /// The event log, where it is on Apache Kafka: `log_url` of its settings.
    #[arg(long, env = "PREPX_LOG_URL", value_name = "kafka://HOST:PORT,…/PREFIX")]
    pub log_url: Option<String>,
    /// Where its snapshots are, if not in the data directory: `snapshot_url` of its settings.
    #[arg(long, env = "PREPX_SNAPSHOT_URL", value_name = "URL")]
    pub snapshot_url: Option<String>,
    /// Where its journals are archived, if they are: `archive_url` of its settings.
    #[arg(long, env = "PREPX_ARCHIVE_URL", value_name = "URL")]
    pub archive_url: Option<String>,
    /// The file of its settings, or of one of its services, which says all of this.
    #[arg(long, env = "PREPX_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The settings in a file that matter here, whichever program they are for.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Said {
    data_dir: PathBuf,
    log_url: String,
    snapshot_url: String,
    archive_url: String,
}

impl Default for Said {
    fn default() -> Said {
        Said {
            data_dir: PathBuf::from(DATA_DIR),
            log_url: String::new(),
            snapshot_url: String::new(),
            archive_url: String::new(),
        }
    }
}

impl config::Settings for Said {
    fn validate(&self) -> Result<(), config::Error> {
        engines::named(&self.data_dir)
    }
}

/// The opened records, to read; and to write for a partition without an owner.
pub struct Opened {
    /// The log, with its archives.
    pub log: Arc<dyn Log>,
    /// The snapshots.
    pub snapshots: Snapshots,
    /// The number of partitions.
    pub topology: Topology,
    /// The name of this process, for people.
    pub who: String,
    engine: Engine,
}

enum Engine {
    /// No other process has it open.
    Embedded(Arc<EmbeddedLog>),
    /// On Kafka, and the data directory of `prepx start` if that runs the platform.
    Kafka(KafkaLocation, Option<PathBuf>),
}

impl Recorded {
    /// In this directory.
    pub fn in_directory(data_dir: &Path) -> Recorded {
        Recorded {
            data_dir: Some(data_dir.to_owned()),
            ..Recorded::default()
        }
    }

    /// The place of the log, for another program: in a variable, because its URL may contain a password, and all
    /// users of the machine can see command lines.
    pub fn environment(&self) -> Option<(&'static str, &str)> {
        Some(("PREPX_LOG_URL", self.log_url.as_deref()?))
    }

    /// The rest, for its command line.
    pub fn arguments(&self) -> impl Iterator<Item = OsString> {
        let path = |path: &Option<PathBuf>| path.clone().map(OsString::from);
        let url = |url: &Option<String>| url.clone().map(OsString::from);
        let named = [
            ("--data-dir", path(&self.data_dir)),
            ("--snapshot-url", url(&self.snapshot_url)),
            ("--archive-url", url(&self.archive_url)),
            ("--config", path(&self.config)),
        ];
        let given = named
            .into_iter()
            .filter_map(|(name, value)| Some([name.into(), value?]));
        given.flatten()
    }

    /// The settings of the file and the flags; the flags win.
    fn said(&self) -> Result<Said> {
        let mut flags = toml::Table::new();
        let data_dir = self.data_dir.as_ref();
        let data_dir = data_dir.map(|path| path.to_string_lossy().into_owned());
        let named = [
            ("data_dir", &data_dir),
            ("log_url", &self.log_url),
            ("snapshot_url", &self.snapshot_url),
            ("archive_url", &self.archive_url),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                flags.insert(name.to_owned(), value.clone().into());
            }
        }
        let sources = Sources {
            file: self.config.clone(),
            variables: Vec::new(),
            flags,
        };
        Ok(sources.load()?)
    }

    /// Opens the records if a platform may be running meanwhile, that is on Kafka. None if no log there is
    /// set.
    ///
    /// # Errors
    /// As [`Self::open`]; and a directory without a log URL, whose platform must not be running.
    pub fn beside_a_platform(&self, command: &str) -> Result<Option<Opened>> {
        let said = self.said()?;
        match engines::log_location(&said.log_url, &said.data_dir)? {
            Some(_) => self.open(command).map(Some),
            None if self.data_dir.is_some() => bail!(
                "--url asks a platform that runs, and --data-dir reads one that does not: give one of the two; \
                 both, where --log-url says which journals are read beside it"
            ),
            None => Ok(None),
        }
    }

    /// Opens the records. `command` is the command that does, for people.
    ///
    /// # Errors
    /// What does not exist, cannot be reached, or is in use.
    pub fn open(&self, command: &str) -> Result<Opened> {
        let said = self.said()?;
        let who = format!("{command}, process {}", std::process::id());
        let (log, topology, engine) = match engines::log_location(&said.log_url, &said.data_dir)? {
            None => embedded(&said.data_dir, &who)?,
            Some(location) => on_kafka(location, &said.data_dir, command)?,
        };
        Ok(Opened {
            log: Archived::of(log, said.archives()?.as_ref()),
            snapshots: said.snapshots()?,
            topology,
            who,
            engine,
        })
    }
}

type OpenedLog = (Arc<dyn Log>, Topology, Engine);

fn embedded(data_dir: &Path, who: &str) -> Result<OpenedLog> {
    let topology = manifest::read(data_dir)
        .with_context(|| format!("{} is no data directory of prepx", data_dir.display()))?;
    let directory = data_dir.join(LOG);
    ensure!(
        directory.is_dir(),
        "{} is missing: put the event log back from a copy",
        directory.display()
    );
    let mut log = Options::new(data_dir).log;
    log.holder = who.to_owned();
    let log = EmbeddedLog::open(RealDir::open(&directory)?, log);
    let log = log.context("the event log")?;
    manifest::check(data_dir, topology, &*log)?;
    Ok((log.clone(), topology, Engine::Embedded(log)))
}

fn on_kafka(location: KafkaLocation, data_dir: &Path, command: &str) -> Result<OpenedLog> {
    let start = manifest::is_there(data_dir).then(|| data_dir.to_owned());
    if start.is_some() {
        manifest::open(data_dir, Some(&location.prefix))?;
    }
    let process = format!("{}-{}", command.replace(' ', "-"), std::process::id());
    let (log, topology) = engines::kafka_as_it_is(location.clone(), &process)?;
    Ok((log, topology, Engine::Kafka(location, start)))
}

/// The process that has a partition, and still has it after the time in which a dead one would lose it.
fn lasting_holder(location: &KafkaLocation, seat: Seat) -> Result<Option<String>> {
    let mut holder = None;
    for _ in 0..LEASE_LOOKS {
        holder = engines::lease_holder(location, seat)?;
        if holder.is_none() {
            break;
        }
        std::thread::sleep(LEASE_LOOK);
    }
    Ok(holder)
}

impl Said {
    fn snapshots(&self) -> Result<Snapshots> {
        let location = match &*self.snapshot_url {
            "" => Objects::Directory(self.data_dir.join("snapshots")),
            url => Objects::parse(url)?,
        };
        is_there("snapshot_url", &location)?;
        engines::snapshots(&location)
    }

    fn archives(&self) -> Result<Option<Archives>> {
        if self.archive_url.is_empty() {
            return Ok(None);
        }
        let location = Objects::parse(&self.archive_url)?;
        is_there("archive_url", &location)?;
        let archives = engines::archives(Some(&location))?;
        if let Some(archives) = &archives {
            // If the object storage does not answer, a journal must not look as if it had never been
            // archived.
            archives.segments(Stage::ACCOUNT.seat(0).journal())?;
        }
        Ok(archives)
    }
}

fn is_there(setting: &str, location: &Objects) -> Result<()> {
    if let Objects::Directory(path) = location {
        ensure!(
            path.is_dir(),
            "{} is no directory: `{setting}` of the platform's settings would be right",
            path.display()
        );
    }
    Ok(())
}

impl Opened {
    /// The log, if it is in a data directory.
    pub fn embedded(&self) -> Option<&EmbeddedLog> {
        match &self.engine {
            Engine::Embedded(log) => Some(log),
            Engine::Kafka(..) => None,
        }
    }

    /// The updates of accounts, as far back as they are recorded.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    pub fn updates(&self, data_dir: &Path) -> Result<Arc<dyn UpdatesPort>> {
        Ok(match &self.engine {
            Engine::Embedded(log) => Arc::new(RecordedUpdates {
                dir: RealDir::open(&data_dir.join(LOG))?,
                data_dir: data_dir.to_owned(),
                log: Arc::clone(log),
            }),
            Engine::Kafka(..) => Arc::new(LoggedUpdates {
                log: Arc::clone(&self.log),
                topology: self.topology,
            }),
        })
    }

    /// Checks that partitions have no running owner. One may come at any time, so the log's fence has the last word:
    /// what is written beside another owner is refused.
    ///
    /// # Errors
    /// Names the owner, and what would be right.
    pub fn nobody_has(&self, seats: impl IntoIterator<Item = Seat>) -> Result<Option<Lock>> {
        let Engine::Kafka(location, start) = &self.engine else {
            // The process with the directory's lock has all partitions.
            return Ok(None);
        };
        let lock = match start {
            Some(data_dir) => Some(RealDir::open(data_dir)?.lock(&self.who)?),
            None => None,
        };
        for seat in seats {
            let Some(holder) = lasting_holder(location, seat)? else {
                continue;
            };
            let service = match seat.stage {
                Stage::ACCOUNT => "prepx-risk",
                _ => "prepx-trading",
            };
            bail!(
                "{seat} has an owner that runs, {holder}, and nothing was changed: end the {service} processes, or \
                 wait until they have ended, and keep them from starting again until this is done"
            );
        }
        Ok(lock)
    }

    /// Waits until what was appended is durable.
    ///
    /// # Errors
    /// When it is not, or that is unknown.
    pub fn make_durable(&self, position: Position) -> Result<()> {
        if let Engine::Embedded(log) = &self.engine {
            log.flush()?;
        }
        let durable = self.log.wait_durable(position, PATIENCE);
        durable.map_err(|error| {
            anyhow!("whether it is recorded is not known, look at it again: {error}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_settings_say_where_it_is_and_flags_come_before_them() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("risk.toml");
        let text = "cluster_key = 'x'\nlog_url = 'kafka://a:1/p'\narchive_url = 'file:/a'\n[peers]\nuser = 'u'\n";
        std::fs::write(&file, text).unwrap();
        let recorded = Recorded {
            archive_url: Some("file:/b".into()),
            config: Some(file.clone()),
            ..Recorded::default()
        };
        let said = recorded.said().unwrap();
        assert_eq!(
            (&*said.log_url, &*said.archive_url),
            ("kafka://a:1/p", "file:/b")
        );
        assert_eq!(said.data_dir, Path::new(DATA_DIR));
        let arguments: Vec<OsString> = recorded.arguments().collect();
        let expected = [
            "--archive-url".into(),
            "file:/b".into(),
            "--config".into(),
            file.into_os_string(),
        ];
        assert_eq!(arguments, expected);
    }

    #[test]
    fn what_is_not_there_is_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let recorded = Recorded::in_directory(&directory.path().join("data"));
        let error = recorded.open("a test").err().unwrap().to_string();
        assert!(error.contains("is no data directory of prepx"), "{error}");
        let said = Said {
            snapshot_url: format!("file:{}/none", directory.path().display()),
            ..Said::default()
        };
        let error = said.snapshots().err().unwrap().to_string();
        assert!(error.contains("snapshot_url"), "{error}");
        let said = Said {
            archive_url: format!("file:{}/none", directory.path().display()),
            ..Said::default()
        };
        let error = said.archives().err().unwrap().to_string();
        assert!(error.contains("archive_url"), "{error}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
