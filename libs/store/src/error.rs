//! Errors of the store, and whether a retry can help.

use std::path::{Path, PathBuf};

use sqlx::postgres::PgDatabaseError;

/// A result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// Records are missing between those that a consumer has applied and those that it was given. Raises an
/// alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a record no later than {expected}, the batch begins at {found}")]
pub struct Gap {
    /// The sequence that should have come next.
    pub expected: u64,
    /// The first sequence that came.
    pub found: u64,
}

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no supported engine.
    #[error(
        "`{0}` is not a store: give `sqlite:DIRECTORY` or `postgres://USER@HOST:PORT/DATABASE`"
    )]
    Url(String),
    /// The URL names no database, or none that can be connected to. It is not shown, because it may contain a
    /// password.
    #[error("the `postgres://` URL cannot be used: {0}")]
    Database(String),
    /// The layout does not have each partition in exactly one shard.
    #[error("partition {0} {1}: each of account_partitions is in exactly one of sql_shards")]
    Layout(u32, &'static str),
    /// A shard has rows of a partition that belongs to another one by the layout.
    #[error(
        "partition {0} is in another shard than sql_shards says: put it back there; nothing moves it"
    )]
    Misplaced(u32),
    /// The name is not valid for a file and a schema.
    #[error("`{0}` is not a schema name: use lower-case letters, digits and `_`")]
    Schema(String),
    /// The directory or file cannot be opened.
    #[error("cannot open {path}: {source}")]
    Open {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// All connections are in use, or another process holds the lock. Nothing was done.
    #[error("the store is busy: no connection or lock within the wait limit; try again")]
    Busy,
    /// The database cannot be reached, or the connection was just lost. Nothing was done.
    #[error("the database cannot be reached: {0}")]
    Away(String),
    /// The connection was lost during a commit: all of it was done, or nothing.
    #[error(
        "the connection to the database was lost during a commit, which may have taken effect: {0}"
    )]
    Unknown(String),
    /// The rows are older than what the caller has seen: a replica was promoted that lacked some. They will
    /// be written again from the log.
    #[error("the store is behind what was asked for; try again")]
    Behind,
    /// A statement ran for longer than its limit and was stopped. It had no effect.
    #[error("a statement was stopped at its time limit")]
    Timeout,
    /// A row with this key exists: the unique constraint that refused, in the engine's words.
    #[error("already there: {0}")]
    Conflict(String),
    /// The disk is full. The call had no effect.
    #[error("the disk that holds the store is full")]
    Full,
    /// The file is damaged.
    #[error("the store's file is damaged: {0}; put it back from a copy")]
    Corrupt(String),
    /// A column has a value that its service never writes.
    #[error("a value of column {0} was not written by this service: the schema is damaged")]
    Damaged(&'static str),
    /// A consumer was given records that do not follow those that it has applied (I2).
    #[error("{consumer} of {topic}/{partition}: {gap}")]
    Gap {
        /// The consumer.
        consumer: String,
        /// The source.
        topic: String,
        /// The partition.
        partition: u32,
        /// What was expected and what was found.
        gap: Gap,
    },
    /// A migration that was applied differs from the one in this binary.
    #[error("migration {version} ({name}) was changed after it was applied: add a new one instead")]
    MigrationChanged {
        /// The migration's number.
        version: u32,
        /// Its name in this binary.
        name: &'static str,
    },
    /// A newer binary has migrated this schema, and removed or changed something that this one may need.
    #[error(
        "the schema is at version {found}, this binary knows {known} and cannot work with {contract}: start a newer binary"
    )]
    Newer {
        /// The newest migration that was applied.
        found: u32,
        /// The newest migration of this binary.
        known: u32,
        /// The first migration that does more than add.
        contract: u32,
    },
    /// A migration's SQL failed. The schema was not changed.
    #[error("migration {version} ({name}) failed")]
    Migration {
        /// The migration's number.
        version: u32,
        /// Its name.
        name: &'static str,
        /// The engine's error.
        source: sqlx::Error,
    },
    /// Any other error of the engine: a mistake in our SQL or a broken machine.
    #[error("the store failed: {0}")]
    Sql(sqlx::Error),
}

impl Error {
    /// The same error; of damage it names the file.
    pub(crate) fn of(self, file: &Path) -> Error {
        match self {
            Error::Corrupt(said) => Error::Corrupt(format!("{}: {said}", file.display())),
            other => other,
        }
    }

    /// Whether the same call may succeed a little later. It had no effect.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Busy | Error::Away(_) | Error::Behind)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Error {
        let database = match error {
            sqlx::Error::PoolTimedOut => return Error::Busy,
            // TLS refuses a connection before any statement is sent.
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) => {
                return Error::Away(error.to_string());
            }
            sqlx::Error::Database(ref database) => database,
            other => return Error::Sql(other),
        };
        let said = || database.message().to_owned();
        if database.is_unique_violation() {
            return Error::Conflict(said());
        }
        let code = database.code().unwrap_or_default();
        if database.try_downcast_ref::<PgDatabaseError>().is_some() {
            return pg(&code, said()).unwrap_or(Error::Sql(error));
        }
        sqlite(&code, said()).unwrap_or(Error::Sql(error))
    }
}

/// SQLite's result codes: the low byte is the class, the rest a detail.
fn sqlite(code: &str, said: String) -> Option<Error> {
    Some(match code.parse::<u32>().ok()? & 0xff {
        5 | 6 => Error::Busy,
        9 => Error::Timeout,
        11 | 26 => Error::Corrupt(said),
        13 => Error::Full,
        _ => return None,
    })
}

/// PostgreSQL's SQLSTATE, appendix A of its manual.
fn pg(code: &str, said: String) -> Option<Error> {
    Some(match code {
        // A lock timeout, a deadlock, a serialization failure, too many connections.
        "55P03" | "40P01" | "40001" | "53300" => Error::Busy,
        "57014" => Error::Timeout,
        "53100" => Error::Full,
        "XX001" | "XX002" => Error::Corrupt(said),
        // The server is stopping, crashed, starting, or has become a replica; PgBouncer's own texts for a
        // lost server.
        "57P01" | "57P02" | "57P03" | "25006" | "08P01" | "08006" => Error::Away(said),
        _ => return None,
    })
}
