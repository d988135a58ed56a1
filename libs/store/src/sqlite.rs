//! The SQLite side: one file per schema, one writer connection, a bounded pool of readers.
//!
//! The file is in WAL mode, so readers never wait for the writer. Every write transaction takes the lock at
//! its start (`BEGIN IMMEDIATE`), so none fails half-way because it cannot get it.

use std::fs::File;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::meter::{Meter, Used};
use crate::{Durability, Error, Options, Result};

/// Virtual-machine steps between two checks of the clock: about a quarter of a millisecond.
const STEPS_BETWEEN_CHECKS: i32 = 20_000;
/// SQLite's own page size.
const PAGE_BYTES: u64 = 4_096;
/// Page cache of the writer, in KiB. With SQLite's own 2 MiB, indexes are read again and again.
const WRITER_CACHE_KIB: &str = "-16384";

/// Prepared statements per connection: an insert has one for each number of rows that it inserts at a time.
const STATEMENTS_KEPT: usize = 256;

/// The pause between attempts while another process sets up a new file.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(10);

/// An open schema in its file.
#[derive(Clone, Debug)]
pub struct Pool {
    file: Arc<Path>,
    writer: SqlitePool,
    writing: Meter,
    readers: SqlitePool,
    reading: Meter,
}

impl Pool {
    pub(crate) async fn open(directory: &Path, options: &Options) -> Result<Pool> {
        let failed = |source| Error::Open {
            path: directory.to_owned(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let connect = connect_options(directory, options);
        let writer = open_writer(&connect, options).await?;
        let readers = pool_options(options)
            .max_connections(options.readers_max)
            .connect_lazy_with(connect.pragma("query_only", "ON"));
        Ok(Pool {
            file: file_of(directory, options).into(),
            writer,
            writing: Meter::new(&options.schema, "writers", 1),
            readers,
            reading: Meter::new(&options.schema, "readers", options.readers_max),
        })
    }

    pub(crate) async fn read(&self) -> Result<Used<PoolConnection<Sqlite>>> {
        let used = self.reading.begin();
        let coming = async { Ok(self.readers.acquire().await?) };
        let waited = self.reading.waited(iter::once(&self.readers), coming);
        Ok(used.of(waited.await?))
    }

    /// Begins a transaction that only reads.
    pub(crate) async fn read_one_moment(
        &self,
        compute_ms_max: u64,
    ) -> Result<Used<Transaction<'static, Sqlite>>> {
        let used = self.reading.begin();
        let coming = async {
            let mut tx = self.readers.begin().await?;
            limit_time(&mut tx, Duration::from_millis(compute_ms_max)).await?;
            Ok(tx)
        };
        let waited = self.reading.waited(iter::once(&self.readers), coming);
        Ok(used.of(waited.await?))
    }

    /// Waits, bounded, for its turn, then holds the schema's only write lock.
    pub(crate) async fn begin(&self) -> Result<Used<Transaction<'static, Sqlite>>> {
        let used = self.writing.begin();
        let coming = async { Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?) };
        let waited = self.writing.waited(iter::once(&self.writer), coming);
        Ok(used.of(waited.await?))
    }

    /// Syncs what is committed, whatever the schema's [`Durability`].
    pub(crate) async fn sync(&self) -> Result<()> {
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
            .execute(&self.writer)
            .await?;
        // What a checkpoint has moved is synced. But if a reader is in its way, it leaves the rest, and
        // skips the sync of the write-ahead file too.
        let file = Arc::clone(&self.file);
        let synced = tokio::task::spawn_blocking(move || sync_write_ahead(&file));
        let synced = synced.await.map_err(|_| sqlx::Error::WorkerCrashed)?;
        Ok(synced.map_err(sqlx::Error::Io)?)
    }

    /// How many bytes of the file are in use; the rest is reused before the file grows.
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

/// Whether a schema's file, which must be there, is whole as far as the engine can tell.
///
/// # Errors
/// [`Error::Corrupt`], with the file and what is wrong with it.
pub async fn check(file: &Path) -> Result<()> {
    // Not for reading only: such a connection would leave the files of its write-ahead log behind.
    let options = SqliteConnectOptions::new().filename(file);
    let ask = async {
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let asked = sqlx::query_scalar("PRAGMA quick_check(1)");
        let said: String = asked.fetch_one(&mut connection).await?;
        connection.close().await?;
        match said.as_str() {
            "ok" => Ok(()),
            _ => Err(Error::Corrupt(said)),
        }
    };
    ask.await.map_err(|error: Error| error.of(file))
}

/// The file of a schema in a directory.
pub(crate) fn file_of(directory: &Path, options: &Options) -> PathBuf {
    directory.join(format!("{}.db", options.schema))
}

/// Syncs the write-ahead file of a schema that is open, and its entry in the directory.
fn sync_write_ahead(file: &Path) -> io::Result<()> {
    File::open(file.with_extension("db-wal"))?.sync_data()?;
    file.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn connect_options(directory: &Path, options: &Options) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file_of(directory, options))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match options.durability {
            Durability::Projection => SqliteSynchronous::Normal,
            Durability::Source => SqliteSynchronous::Full,
        })
        // What is deleted from a source is overwritten in its file: erasure depends on it.
        .pragma(
            "secure_delete",
            if options.durability == Durability::Source {
                "ON"
            } else {
                "OFF"
            },
        )
        .busy_timeout(Duration::from_millis(options.wait_ms_max))
        .statement_cache_capacity(STATEMENTS_KEPT)
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

/// Whether the connection can begin another transaction. On a full disk SQLite ends a transaction by
/// itself; sqlx then fails to roll it back, keeps counting it, and would never begin another: such a
/// connection is closed.
async fn is_out_of_transactions(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // Runs after the rollback of a dropped transaction.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

async fn open_writer(connect: &SqliteConnectOptions, options: &Options) -> Result<SqlitePool> {
    let connect = connect.clone().pragma("cache_size", WRITER_CACHE_KIB);
    let connecting = in_turn(pool_options(options).max_connections(1), connect);
    match options.durability {
        Durability::Source => connecting.await,
        Durability::Projection => behind_others(connecting).await?,
    }
}

/// Connects, even if another process is creating the same file just now. Switching a new file to WAL mode
/// needs exclusive access, and SQLite refuses it at once, however long a connection may wait for other
/// locks; so this waits instead.
async fn in_turn(pool: SqlitePoolOptions, connect: SqliteConnectOptions) -> Result<SqlitePool> {
    let deadline = tokio::time::Instant::now() + pool.get_acquire_timeout();
    loop {
        let connected = pool.clone().connect_with(connect.clone()).await;
        match connected.map_err(Error::from) {
            Err(Error::Busy) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(BETWEEN_CONNECTIONS).await;
            }
            connected => return connected,
        }
    }
}

/// Connects on a thread that yields to others. A connection works on a thread of its own, which inherits
/// the priority of the thread that made it, so the writes of a projection never keep an order waiting for a
/// core.
async fn behind_others<T: Send + 'static>(
    connecting: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let runtime = tokio::runtime::Handle::current();
    let (connected, connection) = tokio::sync::oneshot::channel();
    let connect = move || {
        prepx_env::yield_to_others();
        // The caller may have given up.
        let _ = connected.send(runtime.block_on(connecting));
    };
    std::thread::Builder::new()
        .name("connect".into())
        .spawn(connect)
        .map_err(sqlx::Error::from)?;
    Ok(connection.await.map_err(|_| sqlx::Error::WorkerCrashed)?)
}

/// Stops whatever the connection computes `limit` after it was handed out. SQLite has no statement timeout
/// of its own; dropping the future alone would leave it running on its thread.
async fn limit_time(connection: &mut SqliteConnection, limit: Duration) -> sqlx::Result<()> {
    // Not prepx_env: this bounds real work on a real thread, and nothing that is recorded.
    let deadline = tokio::time::Instant::now() + limit;
    let keep_on = move || tokio::time::Instant::now() < deadline;
    connection
        .lock_handle()
        .await?
        .set_progress_handler(STEPS_BETWEEN_CHECKS, keep_on);
    Ok(())
}
