//! An open schema, whichever engine is behind it.

use crate::migrate::migrate;
use crate::position::{has_seen, position};
use crate::{Error, Location, Migration, Options, Reader, Result, Seen, Source, Tx, pg, sqlite};

/// The pause between attempts to create a schema that other processes may be creating too.
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
    /// Opens a schema, creates it if it does not exist, and applies its missing migrations.
    pub async fn open(
        location: &Location,
        options: &Options,
        migrations: &[Migration],
    ) -> Result<Pool> {
        let opened = Pool::open_unnamed(location, options, migrations).await;
        opened.map_err(|error| match location {
            Location::Sqlite(directory) => error.of(&sqlite::file_of(directory, options)),
            Location::Pg(_) => error,
        })
    }

    async fn open_unnamed(
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
            // A connection that looked for the schema before another process created it may not see it in
            // the same transaction.
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

    /// A connection that only reads, and sees all earlier writes. [`crate::Error::Busy`] if none becomes
    /// free in time.
    pub async fn read(&self) -> Result<Reader> {
        Ok(match self {
            Pool::Sqlite(pool) => Reader::Sqlite(pool.read().await?),
            Pool::Pg(pool) => Reader::Pg(pool.read().await?),
        })
    }

    /// The same for rows of consumers: it sees at least what `seen` says, and may be on a replica that
    /// lacks later rows. [`crate::Error::Behind`] if even the primary does not have that.
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

    /// Begins a read of what was committed at one moment, that of its first statement, on the primary. All
    /// statements together may run for `compute_ms_max`, on PostgreSQL each of them. It cannot write, and
    /// dropping it ends it.
    pub async fn read_one_moment(&self, compute_ms_max: u64) -> Result<Tx> {
        Ok(match self {
            Pool::Sqlite(pool) => Tx::Sqlite(pool.read_one_moment(compute_ms_max).await?),
            Pool::Pg(pool) => Tx::Pg(pool.read_one_moment(compute_ms_max).await?),
        })
    }

    /// Begins a write that takes turns with all others of the schema; waits, bounded, for its turn.
    /// Dropping it without [`Tx::commit`] undoes it.
    pub async fn begin(&self) -> Result<Tx> {
        self.begin_in(None).await
    }

    /// Begins a write that takes turns with those of the same key, such as an account, and with every
    /// [`Pool::begin`]. In SQLite all writes take turns.
    pub async fn begin_of(&self, key: &[u8]) -> Result<Tx> {
        self.begin_in(Some(key)).await
    }

    async fn begin_in(&self, key: Option<&[u8]>) -> Result<Tx> {
        Ok(match self {
            Pool::Sqlite(pool) => Tx::Sqlite(pool.begin().await?),
            Pool::Pg(pool) => Tx::Pg(pool.begin(key).await?),
        })
    }

    /// Makes what is committed survive a loss of power, whatever the schema's [`crate::Durability`]. A
    /// projection calls it before it releases the log behind its position.
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

    /// Waits for running calls and closes the schema.
    pub async fn close(&self) {
        match self {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Pg(pool) => pool.close().await,
        }
    }
}
