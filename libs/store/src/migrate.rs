//! Forward-only migrations, embedded in the binary.
//!
//! A service lists its migrations in order, numbered from 1. Each is applied once, all that are
//! missing in one transaction that holds the write lock, so two starts at the same time apply them
//! once. What was applied is remembered with a checksum: history is never edited.

use crate::{Error, Result};

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// 1 for the first, then dense.
    pub version: u32,
    /// What it does, as in its file's name.
    pub name: &'static str,
    /// Its statements; they serve every engine.
    pub sql: &'static str,
}

/// What the store itself needs in each schema.
pub(crate) const OWN_TABLES: &str = "
CREATE TABLE IF NOT EXISTS migrations (
    version BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    checksum BYTEA NOT NULL
);
CREATE TABLE IF NOT EXISTS positions (
    consumer TEXT NOT NULL,
    topic TEXT NOT NULL,
    source_partition BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    PRIMARY KEY (consumer, topic, source_partition)
);";

/// A migration that a schema has had, as its table says.
pub(crate) struct Applied {
    pub version: u32,
    pub checksum: Vec<u8>,
}

impl Migration {
    pub(crate) fn checksum(&self) -> [u8; 32] {
        *blake3::hash(self.sql.as_bytes()).as_bytes()
    }
}

/// The migrations that are still to be applied, after checking those that were.
pub(crate) fn pending<'a>(known: &'a [Migration], applied: &[Applied]) -> Result<&'a [Migration]> {
    for (index, migration) in known.iter().enumerate() {
        assert_eq!(
            migration.version as usize,
            index + 1,
            "migrations are numbered from 1, densely"
        );
    }
    if applied.len() > known.len() {
        let newest = applied.iter().map(|row| row.version).max().unwrap_or(0);
        return Err(Error::Newer {
            found: newest,
            known: known.len() as u32,
        });
    }
    for (row, migration) in applied.iter().zip(known) {
        if row.version != migration.version || row.checksum != migration.checksum() {
            return Err(Error::MigrationChanged {
                version: migration.version,
                name: migration.name,
            });
        }
    }
    Ok(&known[applied.len()..])
}
