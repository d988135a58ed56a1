//! The SQL store: pools, migrations, transactions and consumer positions, on SQLite or PostgreSQL.
//!
//! A URL says where the schemas of all services are; a service opens its own schema and gets a [`Pool`]. A statement has
//! one text for both engines ([`query`]). Where they must differ (bulk writes, partitions, what only a file has), the types
//! here have variants.
//!
//! It owns how a schema is opened, migrated, written by one writer and read by many, and how rows and a consumer's position
//! commit together (I2). It refuses to know any table of a service, to hide SQL behind objects, and to retry: whether a
//! retry can help is part of each [`Error`].

mod bulk;
mod error;
mod expand;
mod meter;
mod migrate;
mod months;
pub mod pg;
#[cfg(feature = "suite")]
pub mod plans;
mod pool;
mod position;
mod query;
pub mod secret;
mod shards;
pub mod sqlite;
#[cfg(feature = "suite")]
pub mod suite;
mod tx;

use std::path::PathBuf;

pub use bulk::Values;
pub use error::{Error, Gap, Result};
pub use migrate::{Change, Migration};
pub use months::Monthly;
pub use pool::Pool;
pub use position::{Seen, Source};
pub use query::{Column, Connection, OwnedColumn, Query, Row, Value, query};
pub use shards::{Layout, Shards};
pub use tx::{Reader, Tx};

/// What a schema may lose in a crash of the machine. In a crash of the process it loses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// For rows that the event log can replay: the newest transactions may be lost with the power, but
    /// always as a whole and together with the consumer's position.
    Projection,
    /// For rows whose source is this store (users, keys, idempotency): a commit is synced to the disk, and
    /// deleted data is overwritten.
    Source,
}

/// The engine and place of all schemas, from one URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `sqlite:DIRECTORY`: a file `<schema>.db` for each schema in this directory.
    Sqlite(PathBuf),
    /// `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE`: a schema in this database for each. Of several
    /// servers one is the primary and the others are its replicas. `?sslmode=verify-full` requires TLS, with the
    /// servers verified by their names, and by the CA in `sslrootcert=FILE` or those that browsers trust;
    /// `sslcert=FILE&sslkey=FILE` are the client's certificate. The files are read with each connection.
    Pg(pg::Database),
}

impl Location {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Location> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return pg::Database::parse(url).map(Location::Pg);
        }
        let directory = url
            .strip_prefix("sqlite:")
            .map(|rest| rest.trim_start_matches("//"));
        match directory {
            Some(directory) if !directory.is_empty() => {
                Ok(Location::Sqlite(PathBuf::from(directory)))
            }
            _ => Err(Error::Url(url.to_owned())),
        }
    }
}

/// How a schema is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The schema's name, by convention that of its service: lower-case letters, digits and `_`.
    pub schema: String,
    /// What the schema may lose in a crash of the machine.
    pub durability: Durability,
    /// How many connections read at the same time.
    pub readers_max: u32,
    /// How many connections write at the same time. SQLite always has one.
    pub writers_max: u32,
    /// How long a caller waits for a connection or for another process's lock, in milliseconds.
    pub wait_ms_max: u64,
    /// How long one read, or one whole write transaction, may run, in milliseconds.
    pub statement_ms_max: u64,
    /// The size at which the write-ahead file is checkpointed into the main file, and to which it is
    /// truncated, in bytes. Checkpointing pages of random keys is the largest cost of bulk inserts: at
    /// SQLite's own 4 MiB they run at half the speed. But a checkpoint writes all of it at once, and the
    /// event log's syncs wait for that: at 64 MiB orders were delayed by 40 ms, at 16 MiB by 12 ms.
    pub wal_bytes_max: u64,
}

impl Options {
    /// The defaults: 4 readers and 4 writers, 5 s of waiting, 30 s of running, 8 MiB of write-ahead file.
    pub fn new(schema: &str, durability: Durability) -> Options {
        Options {
            schema: schema.to_owned(),
            durability,
            readers_max: 4,
            writers_max: 4,
            wait_ms_max: 5_000,
            statement_ms_max: 30_000,
            wal_bytes_max: 8 << 20,
        }
    }

    /// The options of a projection of the log, and the part of a size bound, in bytes, that is left for the
    /// schema's main file: an eighth of the bound, but at most the default, is for the write-ahead file. A
    /// transaction may run as long as a mebibyte of the log takes on a busy machine.
    pub fn projection(schema: &str, bytes_max: Option<u64>) -> (Options, Option<u64>) {
        let mut options = Options {
            statement_ms_max: 60_000,
            ..Options::new(schema, Durability::Projection)
        };
        if let Some(bytes_max) = bytes_max {
            options.wal_bytes_max = options.wal_bytes_max.min(bytes_max / 8);
        }
        let own = bytes_max.map(|bytes_max| bytes_max - options.wal_bytes_max);
        (options, own)
    }

    fn validate(&self) -> Result<()> {
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if self.schema.is_empty() || !self.schema.chars().all(name) {
            return Err(Error::Schema(self.schema.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_shared_with_the_write_ahead_file() {
        let shares = |bytes_max| {
            let (options, own) = Options::projection("books", bytes_max);
            (options.wal_bytes_max, own)
        };
        let default = Options::new("books", Durability::Projection).wal_bytes_max;
        assert_eq!(shares(None), (default, None));
        assert_eq!(shares(Some(8_000)), (1_000, Some(7_000)));
        let large = 1 << 40;
        assert_eq!(shares(Some(large)), (default, Some(large - default)));
    }

    #[test]
    fn a_url_names_an_engine_and_a_place() {
        let directory = |path: &str| Some(Location::Sqlite(PathBuf::from(path)));
        assert_eq!(
            Location::parse("sqlite:/var/lib/prepx").ok(),
            directory("/var/lib/prepx")
        );
        assert_eq!(
            Location::parse("sqlite:///var/lib/prepx").ok(),
            directory("/var/lib/prepx")
        );
        assert_eq!(Location::parse("sqlite:data").ok(), directory("data"));
        for wrong in ["", "sqlite:", "mysql://db/prepx", "/var/lib/prepx"] {
            assert!(matches!(Location::parse(wrong), Err(Error::Url(url)) if url == wrong));
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = "postgres://prepx:secret@db:6432/prepx?statement-cache-capacity=0";
        let location = Location::parse(url).expect("a database");
        let shown = format!("{location:?}");
        assert_eq!(shown, "Pg(Database(postgres://prepx@db:6432/prepx))");
        for wrong in [
            "postgres://prepx:secret@db:port/prepx",
            "postgres://prepx:secret@db",
        ] {
            let refused = Location::parse(wrong).expect_err("no database").to_string();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
