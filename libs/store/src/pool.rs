//! An open schema, whichever engine is behind it.

use crate::migrate::migrate;
use crate::position::{has_seen, position};
use crate::{Error, Location, Migration, Options, Reader, Result, Seen, Source, Tx, pg, sqlite};

/// How often to try to create a schema that other processes may be creating too.
const MAKING_TRIES: u32 = 5;

/// An open, migrated schema on one of the engines. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Pool {
    /// One file in the data directory.
    Sqlite(sqlite::Pool),
    /// A schema in a database.
    Pg(pg::Pool),
}

impl Pool {
    /// Opens a schema, creates it when absent, and brings it to the newest of its migrations.
    pub async fn open(
        location: &Location,
        options: &Options,
        migrations: &[Migration],
    ) -> Result<Pool> {
        options.validate()?;
        let pool = match location {
            Location::Sqlite(directory) => {
                Pool::Sqlite(sqlite::Pool::open(directory, options).await?)
            }
            Location::Pg(database) => Pool::Pg(pg::Pool::open(database, options)?),
        };
        let mut made = pool.make(options, migrations).await;
        for _ in 1..MAKING_TRIES {
            // A connection may have looked for the schema before another process made it, and not know in
            // that transaction that it is there now.
            if !matches!(made, Err(Error::Conflict(_))) {
                break;
            }
            made = pool.make(options, migrations).await;
        }
        made.map(|()| pool)
    }

    async fn make(&self, options: &Options, migrations: &[Migration]) -> Result<()> {
        let mut tx = self.begin().await?;
        if let Tx::Pg(tx) = &mut tx {
            pg::create(tx, &options.schema).await?;
        }
        migrate(&mut tx, migrations).await?;
        tx.commit().await
    }

    /// A connection that only reads, and sees every write before it. [`crate::Error::Busy`] when none
    /// becomes free in time.
    pub async fn read(&self) -> Result<Reader> {
        Ok(match self {
            Pool::Sqlite(pool) => Reader::Sqlite(pool.read().await?),
            Pool::Pg(pool) => Reader::Pg(pool.read().await?),
        })
    }

    /// The same for rows of consumers: it sees at least what `seen` says, and may be on a replica that
    /// has not had later ones. [`crate::Error::Behind`] when not even the primary has that.
    pub async fn read_past(&self, seen: &[Seen]) -> Result<Reader> {
        Ok(match self {
            Pool::Sqlite(pool) => {
                let mut reader = Reader::Sqlite(pool.read().await?);
                match has_seen(&mut reader, seen).await? {
                    true => reader,
                    false => return Err(Error::Behind),
                }
            }
            Pool::Pg(pool) => Reader::Pg(pool.read_past(seen).await?),
        })
    }

    /// Begins to read what was committed at one moment, that of the first statement, on the primary. All
    /// statements together may compute for `compute_ms_max`, on PostgreSQL each of them. Nothing can be
    /// written there, and dropping it ends it.
    pub async fn read_one_moment(&self, compute_ms_max: u64) -> Result<Tx> {
        Ok(match self {
            Pool::Sqlite(pool) => Tx::Sqlite(pool.read_one_moment(compute_ms_max).await?),
            Pool::Pg(pool) => Tx::Pg(pool.read_one_moment(compute_ms_max).await?),
        })
    }

    /// Begins a write that takes turns with every other of the schema: waits, bounded, for its own.
    /// Dropping it without [`Tx::commit`] undoes it.
    pub async fn begin(&self) -> Result<Tx> {
        self.begin_in(None).await
    }

    /// Begins a write that takes turns with those of the same key, such as an account, and with
    /// every [`Pool::begin`]. In SQLite all take turns with all.
    pub async fn begin_of(&self, key: &[u8]) -> Result<Tx> {
        self.begin_in(Some(key)).await
    }

    async fn begin_in(&self, key: Option<&[u8]>) -> Result<Tx> {
        Ok(match self {
            Pool::Sqlite(pool) => Tx::Sqlite(pool.begin().await?),
            Pool::Pg(pool) => Tx::Pg(pool.begin(key).await?),
        })
    }

    /// Makes what is committed survive the loss of power, whatever the schema's
    /// [`crate::Durability`]: a projection calls it before it lets go of the log behind its position.
    pub async fn sync(&self) -> Result<()> {
        match self {
            Pool::Sqlite(pool) => pool.sync().await,
            Pool::Pg(pool) => pool.sync().await,
        }
    }

    /// The last sequence that a consumer has applied and committed; 0 before the first.
    pub async fn position(&self, source: &Source<'_>) -> Result<u64> {
        position(&mut self.read().await?, source).await
    }

    /// Waits for what is running and closes the schema.
    pub async fn close(&self) {
        match self {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Pg(pool) => pool.close().await,
        }
    }
}
