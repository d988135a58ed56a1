//! The SQLite side: one file a schema, one writer connection, a bounded pool of readers.
//!
//! The file is in WAL mode, so readers never wait for the writer. Every write is a transaction that
//! takes the lock at its start (`BEGIN IMMEDIATE`), so it never fails half-way for want of it.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Arguments, AssertSqlSafe, Connection as _, Sqlite, SqliteConnection, SqlitePool};

use crate::migrate::{Applied, OWN_TABLES, pending};
use crate::position::repeats;
use crate::{Durability, Error, Migration, Options, Result, Source};

/// Virtual-machine steps between two looks at the clock: about a quarter of a millisecond.
const STEPS_BETWEEN_CHECKS: i32 = 20_000;
/// SQLite's own size of a page.
const PAGE_BYTES: u64 = 4_096;
/// Page cache of the writer, in KiB: with SQLite's own 2 MiB, indexes are read again and again.
const WRITER_CACHE_KIB: &str = "-16384";
/// SQLite's own limit on values bound to one statement.
const BINDS_MAX: usize = 32_766;
/// Rows a statement in a bulk insert, largest first. Few sizes, so that each is prepared once.
const ROWS_A_STATEMENT: [usize; 3] = [128, 16, 1];

/// An open schema in its file.
#[derive(Clone, Debug)]
pub struct Pool {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Pool {
    pub(crate) async fn open(
        directory: &Path,
        options: &Options,
        migrations: &[Migration],
    ) -> Result<Pool> {
        let failed = |source| Error::Open {
            path: directory.to_owned(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let connect = connect_options(directory, options);
        let writer = open_writer(&connect, options).await?;
        migrate(&writer, migrations).await?;
        let readers = pool_options(options)
            .max_connections(options.readers_max)
            .connect_lazy_with(connect.pragma("query_only", "ON"));
        Ok(Pool { writer, readers })
    }

    /// A connection that only reads, with a consistent view from its first statement in a
    /// transaction on. [`Error::Busy`] when none becomes free in time.
    pub async fn read(&self) -> Result<PoolConnection<Sqlite>> {
        Ok(self.readers.acquire().await?)
    }

    /// Begins a write: waits, bounded, for its turn, then holds the schema's only write lock.
    /// Dropping it without [`Tx::commit`] undoes it.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(Tx(self.writer.begin_with("BEGIN IMMEDIATE").await?))
    }

    /// Makes what is committed survive the loss of power, whatever the schema's [`Durability`]: a
    /// projection calls it before it lets go of the log behind its position.
    pub async fn sync(&self) -> Result<()> {
        // A checkpoint syncs the write-ahead file before it touches the main one.
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// The last sequence that a consumer has applied and committed; 0 before the first.
    pub async fn position(&self, source: &Source<'_>) -> Result<u64> {
        position(&mut *self.read().await?, source).await
    }

    /// How many bytes of the file are in use; the rest of it is written anew before it grows.
    pub async fn used_bytes(&self) -> Result<u64> {
        let used: i64 = sqlx::query_scalar(
            "SELECT (page_count - freelist_count) * page_size
             FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        )
        .fetch_one(&self.writer)
        .await?;
        Ok(used.unsigned_abs())
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A write transaction; dereferences to the connection that statements run on.
#[derive(Debug)]
pub struct Tx(sqlx::Transaction<'static, Sqlite>);

impl Tx {
    /// Makes all of it visible and, by the schema's [`Durability`], permanent.
    pub async fn commit(self) -> Result<()> {
        Ok(self.0.commit().await?)
    }

    /// Undoes all of it and waits for that.
    pub async fn rollback(self) -> Result<()> {
        Ok(self.0.rollback().await?)
    }

    /// Moves a consumer over the records `first..=last` and answers how many at their head it has
    /// applied before and must skip; the rest takes effect with this transaction (I2).
    /// [`Error::Gap`] when records are missing before `first`: the consumer must stop.
    pub async fn advance(&mut self, source: &Source<'_>, first: u64, last: u64) -> Result<usize> {
        let before = position(&mut *self, source).await?;
        let skip = repeats(before, first, last).map_err(|gap| {
            tracing::error!(?source, %gap, "alarm: a consumer was given a gap and stops");
            Error::Gap {
                consumer: source.consumer.to_owned(),
                topic: source.topic.to_owned(),
                partition: source.partition,
                gap,
            }
        })?;
        if last > before {
            sqlx::query(
                "INSERT INTO positions (consumer, topic, source_partition, sequence)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (consumer, topic, source_partition)
                 DO UPDATE SET sequence = excluded.sequence",
            )
            .bind(source.consumer)
            .bind(source.topic)
            .bind(i64::from(source.partition))
            .bind(i64::try_from(last).expect("63 bits of records do not fit on any disk"))
            .execute(&mut **self)
            .await?;
        }
        Ok(skip)
    }

    /// Inserts many rows with few statements. `into` is the statement's head up to the column list,
    /// such as `INSERT INTO fills (id, qty_lots)`; `tail` is what follows the values, such as an
    /// `ON CONFLICT` clause; `bind` gives each row's values, `columns` of them, in order.
    pub async fn insert_rows<T>(
        &mut self,
        into: &'static str,
        columns: usize,
        tail: &'static str,
        mut rows: &[T],
        bind: impl Fn(&T, &mut Row),
    ) -> Result<()> {
        assert!(
            (1..=BINDS_MAX).contains(&columns),
            "{columns} columns cannot be bound"
        );
        for size in ROWS_A_STATEMENT.map(|size| size.min(BINDS_MAX / columns).max(1)) {
            if rows.len() < size {
                continue;
            }
            let sql = insert_sql(into, columns, size, tail);
            while let Some((chunk, rest)) = rows.split_at_checked(size) {
                let mut row = Row(SqliteArguments::default());
                row.0.reserve(size * columns, 0);
                for (index, item) in chunk.iter().enumerate() {
                    bind(item, &mut row);
                    assert_eq!(
                        row.0.len(),
                        (index + 1) * columns,
                        "a row binds every column"
                    );
                }
                let query = sqlx::query_with(AssertSqlSafe(sql.clone()), row.0);
                query.execute(&mut **self).await?;
                rows = rest;
            }
        }
        Ok(())
    }
}

impl Deref for Tx {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}

/// The values of rows that [`Tx::insert_rows`] binds.
#[derive(Debug)]
pub struct Row(SqliteArguments);

impl Row {
    /// The value of the next column.
    pub fn push<'t, V>(&mut self, value: V) -> &mut Row
    where
        V: sqlx::Encode<'t, Sqlite> + sqlx::Type<Sqlite>,
    {
        self.0
            .add(value)
            .expect("SQLite encodes numbers, text and bytes without failing");
        self
    }
}

fn insert_sql(into: &str, columns: usize, rows: usize, tail: &str) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!(
        "{into} VALUES {} {tail}",
        vec![row.as_str(); rows].join(",")
    )
}

async fn position(connection: &mut SqliteConnection, source: &Source<'_>) -> Result<u64> {
    let sequence: Option<i64> = sqlx::query_scalar(
        "SELECT sequence FROM positions
         WHERE consumer = $1 AND topic = $2 AND source_partition = $3",
    )
    .bind(source.consumer)
    .bind(source.topic)
    .bind(i64::from(source.partition))
    .fetch_optional(connection)
    .await?;
    Ok(sequence.map_or(0, |sequence| {
        sequence.try_into().expect("written from a u64")
    }))
}

fn connect_options(directory: &Path, options: &Options) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(directory.join(format!("{}.db", options.schema)))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match options.durability {
            Durability::Projection => SqliteSynchronous::Normal,
            Durability::Source => SqliteSynchronous::Full,
        })
        // What is deleted from a source is gone from its file: erasure depends on it.
        .pragma(
            "secure_delete",
            if options.durability == Durability::Source {
                "ON"
            } else {
                "OFF"
            },
        )
        .busy_timeout(Duration::from_millis(options.wait_ms_max))
        .foreign_keys(true)
        .pragma(
            "wal_autocheckpoint",
            (options.wal_bytes_max / PAGE_BYTES).to_string(),
        )
        .pragma("journal_size_limit", options.wal_bytes_max.to_string())
        .pragma("temp_store", "MEMORY")
        .optimize_on_close(true, None)
}

fn pool_options(options: &Options) -> SqlitePoolOptions {
    let limit = Duration::from_millis(options.statement_ms_max);
    SqlitePoolOptions::new()
        .acquire_timeout(Duration::from_millis(options.wait_ms_max))
        .max_lifetime(None)
        .idle_timeout(None)
        .test_before_acquire(false)
        .after_connect(move |connection, _| Box::pin(limit_time(connection, limit)))
        .before_acquire(move |connection, _| {
            Box::pin(async move { limit_time(connection, limit).await.map(|()| true) })
        })
        .after_release(|connection, _| Box::pin(is_out_of_transactions(connection)))
}

/// Whether the connection can begin anew. On a full disk SQLite ends a transaction by itself; sqlx then
/// fails to undo it, counts on, and would never begin another: such a connection is closed.
async fn is_out_of_transactions(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // Behind what undoes a dropped transaction.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

async fn open_writer(connect: &SqliteConnectOptions, options: &Options) -> Result<SqlitePool> {
    let connect = connect.clone().pragma("cache_size", WRITER_CACHE_KIB);
    let writer = pool_options(options).max_connections(1);
    match options.durability {
        Durability::Source => Ok(writer.connect_with(connect).await?),
        Durability::Projection => Ok(behind_others(writer.connect_with(connect)).await??),
    }
}

/// Connects on a thread that lets others go first. A connection works on a thread of its own, which
/// stands among others as the one that it was made on: what a projection writes never keeps an
/// order waiting for a core.
async fn behind_others<T: Send + 'static>(
    connecting: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let runtime = tokio::runtime::Handle::current();
    let (connected, connection) = tokio::sync::oneshot::channel();
    let connect = move || {
        prepx_env::yield_to_others();
        // Whoever waited may have given up.
        let _ = connected.send(runtime.block_on(connecting));
    };
    std::thread::Builder::new()
        .name("connect".into())
        .spawn(connect)
        .map_err(sqlx::Error::from)?;
    Ok(connection.await.map_err(|_| sqlx::Error::WorkerCrashed)?)
}

/// Stops whatever the connection computes `limit` after it was handed out. SQLite has no statement
/// timeout of its own; dropping the future alone would leave it running on its thread.
async fn limit_time(connection: &mut SqliteConnection, limit: Duration) -> sqlx::Result<()> {
    // Not prepx_env: this bounds real work on a real thread and nothing that is recorded.
    let deadline = tokio::time::Instant::now() + limit;
    let keep_on = move || tokio::time::Instant::now() < deadline;
    connection
        .lock_handle()
        .await?
        .set_progress_handler(STEPS_BETWEEN_CHECKS, keep_on);
    Ok(())
}

async fn migrate(writer: &SqlitePool, migrations: &[Migration]) -> Result<()> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(OWN_TABLES).execute(&mut *tx).await?;
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM migrations ORDER BY version")
            .fetch_all(&mut *tx)
            .await?;
    let applied: Vec<Applied> = rows
        .into_iter()
        .map(|(version, checksum)| Applied {
            version: version as u32,
            checksum,
        })
        .collect();
    for migration in pending(migrations, &applied)? {
        let Migration { version, name, sql } = *migration;
        let failed = |source| Error::Migration {
            version,
            name,
            source,
        };
        sqlx::raw_sql(sql).execute(&mut *tx).await.map_err(failed)?;
        sqlx::query("INSERT INTO migrations (version, name, checksum) VALUES ($1, $2, $3)")
            .bind(i64::from(version))
            .bind(name)
            .bind(migration.checksum().as_slice())
            .execute(&mut *tx)
            .await?;
        tracing::info!(version, name, "migration applied");
    }
    Ok(tx.commit().await?)
}
