//! Forward-only migrations, embedded in the binary.
//!
//! A service lists its migrations in order, numbered from 1. All missing ones are applied in one transaction, under a
//! lock of the schema, so two processes that start at the same time apply each once. A checksum of each is stored,
//! because history is never edited. It is also stored whether a migration only adds: then a program that does not
//! know it still starts, so that a version can be rolled back after it has migrated.

use crate::expand::more_than_added;
use crate::{Error, Result, Tx, query};

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// 1 for the first, without gaps.
    pub version: u32,
    /// What it does, as its file is named.
    pub name: &'static str,
    /// Its effect on programs of the previous version.
    pub change: Change,
    /// Its statements, one text for both engines. A line that begins with `--pg ` is a statement for
    /// PostgreSQL, which has partitions, and a comment for SQLite; lines between `--pg /*` and `--pg */`
    /// are for SQLite alone.
    pub sql: &'static str,
}

/// The effect of a migration on programs of the previous version, which run while it is applied, and return when
/// the new version is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It only adds, so they continue to work: tables, indexes, columns that may be omitted. The rows that they
    /// write lack what the new version would have added, and the new version must accept that.
    Expand,
    /// It removes or changes something that they may need, so they refuse to start after it. It belongs into a later
    /// release, when the previous version no longer needs what it removes; programs that run while it is applied may
    /// get errors.
    Contract,
}

/// What the store itself needs in each schema.
const OWN_TABLES: &str = "
CREATE TABLE IF NOT EXISTS migrations (
    version BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    checksum BYTEA NOT NULL
);
CREATE TABLE IF NOT EXISTS expansions (
    version BIGINT NOT NULL PRIMARY KEY
);
CREATE TABLE IF NOT EXISTS positions (
    consumer TEXT NOT NULL,
    topic TEXT NOT NULL,
    source_partition BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    PRIMARY KEY (consumer, topic, source_partition)
);";

/// A migration that was applied to a schema, as its table says.
struct Applied {
    version: u32,
    checksum: Vec<u8>,
    /// Whether programs that do not know it continue to work.
    expands: bool,
}

impl Migration {
    fn checksum(&self) -> [u8; 32] {
        *blake3::hash(self.sql.as_bytes()).as_bytes()
    }

    /// Checks its declaration whenever a schema is opened, so every test of a store does. The first migration is
    /// exempt, as there was no version before it.
    fn check(&self, number: u32) {
        assert_eq!(
            self.version, number,
            "migrations are numbered from 1, densely"
        );
        if self.change == Change::Expand && number > 1 {
            assert_eq!(
                more_than_added(self.sql),
                None,
                "migration {number} ({}) says that it only adds, and does more; Change::Contract would be right",
                self.name
            );
        }
    }
}

/// The migrations that are still to be applied; checks those that were applied.
fn pending<'a>(known: &'a [Migration], applied: &[Applied]) -> Result<&'a [Migration]> {
    for (migration, number) in known.iter().zip(1..) {
        migration.check(number);
    }
    for (row, migration) in applied.iter().zip(known) {
        if row.version != migration.version || row.checksum != migration.checksum() {
            return Err(Error::MigrationChanged {
                version: migration.version,
                name: migration.name,
            });
        }
    }
    let unknown = applied.get(known.len()..).unwrap_or_default();
    if let Some(contract) = unknown.iter().find(|row| !row.expands) {
        return Err(Error::Newer {
            found: applied.iter().map(|row| row.version).max().unwrap_or(0),
            known: known.len() as u32,
            contract: contract.version,
        });
    }
    Ok(known.get(applied.len()..).unwrap_or_default())
}

/// Migrates a schema to the newest of `migrations`, in a transaction under the schema's lock.
pub(crate) async fn migrate(tx: &mut Tx, migrations: &[Migration]) -> Result<()> {
    tx.run_all(OWN_TABLES).await?;
    for migration in pending(migrations, &applied(tx).await?)? {
        let Migration {
            version,
            name,
            change,
            sql,
        } = *migration;
        let failed = |source| Error::Migration {
            version,
            name,
            source,
        };
        tx.run_all(sql).await.map_err(failed)?;
        query("INSERT INTO migrations (version, name, checksum) VALUES ($1, $2, $3)")
            .bind(version)
            .bind(name)
            .bind(migration.checksum().as_slice())
            .execute(&mut *tx)
            .await?;
        if change == Change::Expand {
            let expands = query("INSERT INTO expansions (version) VALUES ($1)");
            expands.bind(version).execute(&mut *tx).await?;
        }
        tracing::info!(version, name, "migration applied");
    }
    Ok(())
}

async fn applied(tx: &mut Tx) -> Result<Vec<Applied>> {
    let rows = query(
        "SELECT migrations.version, checksum, expansions.version AS expands FROM migrations
         LEFT JOIN expansions ON expansions.version = migrations.version ORDER BY migrations.version",
    );
    let rows = rows.fetch_all(tx).await?;
    let applied = rows.iter().map(|row| {
        Ok(Applied {
            version: row.number("version")?,
            checksum: row.get("checksum")?,
            expands: row.get::<Option<i64>>("expands")?.is_some(),
        })
    });
    applied.collect()
}
