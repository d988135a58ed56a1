//! The files of a data directory beside its event log: which must be there once the log has told of accounts, and
//! whether they are whole.
//!
//! Owns the list of what nothing can make again: users, the names of transfers, and the keys of both. A platform that
//! started without them would make them anew, empty, and then not know its users and book transfers a second time.
//! Refuses to make or to change any of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use prepx_account as account;
use prepx_bus::file::RealDir;
use prepx_bus::{Log, Topic};
use prepx_objects::Objects;
use prepx_risk::AccountCodec;
use prepx_stage::{Codec, Seat, Snapshots, Stage, Topology};
use prepx_store::Location;
use prepx_trading::MatchingCodec;

use crate::settings::Settings;

/// A file that is missing or empty, and what would be wrong without it.
pub struct Lost {
    path: PathBuf,
    without_it: &'static str,
}

impl Lost {
    /// The refusal in words.
    pub fn words(&self) -> String {
        format!(
            "{} is missing or empty, and the event log beside it has accounts: without it {}; put it back from a copy",
            self.path.display(),
            self.without_it
        )
    }
}

/// The first file that is not there and that nothing can make again. That is as it should be where the log
/// [has told](has_told) nobody anything.
pub fn lost(settings: &Settings) -> prepx_store::Result<Option<Lost>> {
    let mut due = vec![(
        settings.data_dir.join("master.key"),
        "nothing that users have given can be read",
    )];
    if let Location::Sqlite(directory) = settings.location()? {
        due.push((directory.join("user.db"), "no user is known"));
        if settings.sql_shards.is_empty() {
            let transfers = "transfers that are repeated would be booked again";
            due.push((directory.join("transfers.db"), transfers));
        }
        // Older platforms have no webhooks.
        if directory.join("notification.db").exists() {
            let webhooks = "webhooks would be signed otherwise than their endpoints expect";
            due.push((settings.data_dir.join("webhooks.key"), webhooks));
        }
    }
    let is_lost = |path: &Path| fs::metadata(path).map_or(true, |file| file.len() == 0);
    let lost = due.into_iter().find(|(path, _)| is_lost(path));
    Ok(lost.map(|(path, without_it)| Lost { path, without_it }))
}

/// Whether accounts were ever told of on this log.
pub fn has_told(log: &dyn Log, topology: Topology) -> bool {
    let mut updates = (0..topology.account_partitions)
        .map(|partition| Topic::PortfolioUpdates.partition(partition));
    updates.any(|updates| log.end(updates) > 0)
}

/// Checks what `prepx verify` does not read otherwise. With `told`, what must be there is.
///
/// # Errors
/// The first file that is missing or damaged.
pub async fn check(settings: &Settings, told: bool) -> Result<()> {
    if told && let Some(lost) = lost(settings)? {
        bail!("{}", lost.words());
    }
    let location = settings.location()?;
    if let Location::Sqlite(directory) = &location {
        tables(directory, told).await?;
        if told {
            prepx_user::check(&settings.data_dir, &location).await?;
        }
    }
    Ok(())
}

/// Every schema must be whole, and those that follow the log must be there: `verify` compares them.
async fn tables(directory: &Path, told: bool) -> Result<()> {
    for name in ["portfolio.db", "audit.db"] {
        let path = directory.join(name);
        let is_there = fs::metadata(&path).is_ok_and(|file| file.len() > 0);
        ensure!(
            is_there || !told,
            "{} is missing or empty, and the event log beside it has what it is made of: put it back from a copy, or \
             start the platform, which makes it again as far as the log goes back",
            path.display()
        );
    }
    for path in files(directory)? {
        if path.extension().is_some_and(|extension| extension == "db") {
            prepx_store::sqlite::check(&path).await?;
        }
    }
    Ok(())
}

/// The snapshots that are not whole, or of another version. The books are right without them: a start passes them over.
///
/// # Errors
/// When they cannot be listed.
pub fn damaged_snapshots(directory: &Path, topology: Topology) -> Result<Vec<PathBuf>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let objects: Arc<dyn Objects> = RealDir::open(directory)?;
    let accounts = AccountCodec::new(account::Config::of_partitions(topology.account_partitions));
    let mut damaged = Vec::new();
    for seat in topology.seats(Stage::ACCOUNT) {
        damaged.extend(damaged_of(&objects, &accounts, seat)?);
    }
    for seat in topology.seats(Stage::MATCHING) {
        damaged.extend(damaged_of(&objects, &MatchingCodec::default(), seat)?);
    }
    Ok(damaged.iter().map(|name| directory.join(name)).collect())
}

fn damaged_of<C: Codec>(objects: &Arc<dyn Objects>, codec: &C, seat: Seat) -> Result<Vec<String>> {
    let names = objects.list(&format!("{}-{}-", seat.stage.journal, seat.partition));
    let mut damaged = Vec::new();
    for name in names.context("the snapshots")? {
        let last = name.rsplit('-').next();
        let Some(generation) = last.and_then(|last| last.parse::<u64>().ok()) else {
            continue;
        };
        let alone = Alone {
            objects: Arc::clone(objects),
            name: name.clone(),
        };
        let read = Snapshots::new(Arc::new(alone)).load(codec, seat)?;
        if read.generation != generation {
            damaged.push(name);
        }
    }
    Ok(damaged)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let listed = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    };
    match listed() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| directory.display().to_string()),
        Ok(mut files) => {
            files.sort_unstable();
            Ok(files)
        }
    }
}

/// One object, as if there were no other: whoever reads a snapshot falls back to another otherwise.
struct Alone {
    objects: Arc<dyn Objects>,
    name: String,
}

impl Objects for Alone {
    fn put(&self, _name: &str, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        self.objects.get(name)
    }

    fn list(&self, _prefix: &str) -> io::Result<Vec<String>> {
        Ok(vec![self.name.clone()])
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn settle(&self) -> io::Result<()> {
        Ok(())
    }
}
