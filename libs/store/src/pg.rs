//! The PostgreSQL side: a schema in a database, behind PgBouncer or not.
//!
//! Nothing is set on a connection beyond its transaction, because behind PgBouncer the next one runs
//! on another: where tables are looked for, and how long statements and locks may take, are said as
//! each transaction begins. So everything is a transaction, reads too. A statement is prepared once a
//! connection, which PgBouncer follows from version 1.21 on, with `max_prepared_statements`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};
use tokio::runtime::Handle;

use crate::meter::Meter;
use crate::{Durability, Error, Options, Result};

/// A database, from its URL.
#[derive(Clone)]
pub struct Database {
    connect: Arc<PgConnectOptions>,
    /// Without a password.
    shown: String,
}

impl Database {
    pub(crate) fn parse(url: &str) -> Result<Database> {
        let refused = |why: &str| Error::Database(why.to_owned());
        let connect: PgConnectOptions = url.parse().map_err(|error| match error {
            sqlx::Error::Configuration(why) => refused(&why.to_string()),
            _ => refused("it cannot be read"),
        })?;
        let Some(database) = connect.get_database() else {
            return Err(refused("it names no database"));
        };
        let (user, host, port) = (
            connect.get_username(),
            connect.get_host(),
            connect.get_port(),
        );
        let shown = format!("postgres://{user}@{host}:{port}/{database}");
        let connect = Arc::new(connect);
        Ok(Database { connect, shown })
    }

    /// The same server's database of another name.
    #[cfg(feature = "suite")]
    pub(crate) fn named(&self, database: &str) -> Database {
        let shown = self.shown.rsplit_once('/').map_or("", |(server, _)| server);
        Database {
            connect: Arc::new((*self.connect).clone().database(database)),
            shown: format!("{shown}/{database}"),
        }
    }

    #[cfg(feature = "suite")]
    pub(crate) fn connect_options(&self) -> &PgConnectOptions {
        &self.connect
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.shown)
    }
}

impl PartialEq for Database {
    fn eq(&self, other: &Database) -> bool {
        self.shown == other.shown
    }
}

impl Eq for Database {}

/// An open schema in its database.
#[derive(Clone, Debug)]
pub struct Pool {
    schema: String,
    writers: PgPool,
    writing: Meter,
    readers: PgPool,
    reading: Meter,
    begin: Arc<str>,
    begin_read: Arc<str>,
    /// Where connections are made: they live as long as it, and who waits for them may not.
    home: Handle,
}

impl Pool {
    pub(crate) fn open(database: &Database, options: &Options) -> Pool {
        let name = format!("prepx {}", options.schema);
        let connect = (*database.connect).clone().application_name(&name);
        let pool = |connections_max| {
            PgPoolOptions::new()
                .max_connections(connections_max)
                .acquire_timeout(Duration::from_millis(options.wait_ms_max))
                .connect_lazy_with(connect.clone())
        };
        Pool {
            schema: options.schema.clone(),
            writers: pool(options.writers_max),
            writing: Meter::new(&options.schema, "writers"),
            readers: pool(options.readers_max),
            reading: Meter::new(&options.schema, "readers"),
            begin: begin_sql(options),
            begin_read: begin_read_sql(options),
            home: Handle::current(),
        }
    }

    pub(crate) async fn read(&self) -> Result<Transaction<'static, Postgres>> {
        let coming = start(&self.home, &self.readers, &self.begin_read);
        self.reading.waited(&self.readers, coming).await
    }

    /// Begins a write that takes turns with others of the schema: with all of them, or with those of
    /// one key and with whoever takes turns with all.
    pub(crate) async fn begin(&self, key: Option<&[u8]>) -> Result<Transaction<'static, Postgres>> {
        let mut tx = self.write().await?;
        let schema = lock_of(&[self.schema.as_bytes()]);
        let turn = match key {
            None => sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(schema),
            Some(key) => {
                sqlx::query("SELECT pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock($2)")
                    .bind(schema)
                    .bind(lock_of(&[self.schema.as_bytes(), b"/", key]))
            }
        };
        turn.execute(&mut *tx).await?;
        Ok(tx)
    }

    async fn write(&self) -> Result<Transaction<'static, Postgres>> {
        let coming = start(&self.home, &self.writers, &self.begin);
        self.writing.waited(&self.writers, coming).await
    }

    /// Flushes the server's write-ahead log, whatever the schema's [`Durability`].
    pub(crate) async fn sync(&self) -> Result<()> {
        let mut tx = self.write().await?;
        // A commit that has written something and waits for the disk takes all before it along.
        sqlx::raw_sql(
            "SET LOCAL synchronous_commit TO on;
             SELECT pg_logical_emit_message(true, 'prepx', 'sync')",
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// Creates the schema unless it is there. Its transaction takes turns with every other of the schema.
pub(crate) async fn create(tx: &mut Transaction<'static, Postgres>, schema: &str) -> Result<()> {
    // Its name was checked; quoted because some, such as `user`, are words of SQL.
    let sql = AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\""));
    sqlx::raw_sql(sql).execute(&mut **tx).await?;
    Ok(())
}

/// Begins at home: a connection that is made meanwhile outlives the thread that waits for it.
async fn start(
    home: &Handle,
    pool: &PgPool,
    begin: &Arc<str>,
) -> Result<Transaction<'static, Postgres>> {
    let (pool, begin) = (pool.clone(), AssertSqlSafe(Arc::clone(begin)));
    let begun = home.spawn(async move { pool.begin_with(begin).await });
    let ended = |_| Error::Away("the process is ending".to_owned());
    Ok(begun.await.map_err(ended)??)
}

fn begin_sql(options: &Options) -> Arc<str> {
    let synchronous = match options.durability {
        Durability::Projection => "off",
        Durability::Source => "on",
    };
    let settings = settings(options);
    format!("BEGIN; {settings}; SET LOCAL synchronous_commit TO {synchronous}").into()
}

fn begin_read_sql(options: &Options) -> Arc<str> {
    let settings = settings(options);
    format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {settings}").into()
}

/// What a transaction says as it begins.
fn settings(options: &Options) -> String {
    let (schema, statement_ms_max) = (&options.schema, options.statement_ms_max);
    let wait_ms_max = options.wait_ms_max;
    format!(
        "SET LOCAL search_path TO \"{schema}\"; SET LOCAL statement_timeout TO {statement_ms_max}; \
         SET LOCAL lock_timeout TO {wait_ms_max}"
    )
}

/// The advisory lock of a name.
fn lock_of(parts: &[&[u8]]) -> i64 {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(part);
    }
    let mut first = [0; 8];
    hash.finalize_xof().fill(&mut first);
    i64::from_be_bytes(first)
}
