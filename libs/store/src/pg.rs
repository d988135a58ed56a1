//! The PostgreSQL side: a schema in a database, behind PgBouncer or not.
//!
//! No setting of a connection outlives a transaction, because behind PgBouncer the next one runs on another
//! connection. The search path and the time-outs of statements and locks are set as each transaction begins, so
//! everything is a transaction, reads too. A statement is prepared once per connection, which PgBouncer supports from
//! version 1.21 on, with `max_prepared_statements`.
//!
//! A database may have several servers, a primary and its replicas. [`members`] finds out which is the
//! primary, and each transaction says as it begins whether it may write: a replica refuses one that may.

mod database;
mod members;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};
use tokio::runtime::Handle;

pub use self::database::Database;
use self::members::Members;
use crate::meter::{Meter, Used};
use crate::position::{Seen, has_seen};
use crate::{Durability, Error, Options, Result};

/// How long to wait for a replica to have what a reader must see. After that the primary is read.
const REPLICA_WAIT: Duration = Duration::from_millis(100);
/// The pause between two checks whether a replica has it.
const REPLICA_PAUSE: Duration = Duration::from_millis(10);

/// An open schema in its database.
#[derive(Clone, Debug)]
pub struct Pool {
    schema: String,
    members: Members,
    /// On the primary.
    writers: Arc<Connections>,
    /// On the primary.
    readers: Arc<Connections>,
    /// On replicas.
    followers: Arc<Connections>,
    wait_max: Duration,
    /// Where connections are made: they live as long as this runtime, which a waiting caller's may not.
    home: Handle,
}

/// The connections of one kind, with a pool for each server, so that old connections to a former primary
/// are in nobody's way.
#[derive(Debug)]
struct Connections {
    servers: Vec<PgPool>,
    begin: Arc<str>,
    meter: Meter,
}

impl Pool {
    pub(crate) fn open(database: &Database, options: &Options) -> Result<Pool> {
        database.check()?;
        let name = format!("prepx {}", options.schema);
        let named = |server: &PgConnectOptions| server.clone().application_name(&name);
        let servers = || database.servers().iter().map(named);
        let pool_options = |connections_max| {
            PgPoolOptions::new()
                .max_connections(connections_max)
                .acquire_timeout(Duration::from_millis(options.wait_ms_max))
        };
        let connections = |kind, connections_max, begin| {
            let pool = |server| pool_options(connections_max).connect_lazy_with(server);
            Arc::new(Connections {
                servers: servers().map(pool).collect(),
                begin,
                meter: Meter::new(&options.schema, kind, connections_max),
            })
        };
        Ok(Pool {
            schema: options.schema.clone(),
            members: Members::watch(&options.schema, servers()),
            writers: connections("writers", options.writers_max, begin_sql(options)),
            readers: connections("readers", options.readers_max, begin_read_sql(options)),
            followers: connections("followers", options.readers_max, begin_follow_sql(options)),
            wait_max: Duration::from_millis(options.wait_ms_max),
            home: Handle::current(),
        })
    }

    pub(crate) async fn read(&self) -> Result<Used<Transaction<'static, Postgres>>> {
        let used = self.readers.meter.begin();
        Ok(used.of(self.start(&self.readers).await?))
    }

    /// Begins a read on the primary, with its own limit for each statement.
    pub(crate) async fn read_one_moment(
        &self,
        compute_ms_max: u64,
    ) -> Result<Used<Transaction<'static, Postgres>>> {
        let mut tx = self.read().await?;
        let limit = AssertSqlSafe(format!("SET LOCAL statement_timeout TO {compute_ms_max}"));
        sqlx::raw_sql(limit).execute(&mut **tx).await?;
        Ok(tx)
    }

    /// Begins a read on a replica that has all of `seen`, or soon will; otherwise on the primary.
    pub(crate) async fn read_past(
        &self,
        seen: &[Seen],
    ) -> Result<Used<Transaction<'static, Postgres>>> {
        let mut used = self.followers.meter.begin();
        if let Some(replica) = self.members.replica() {
            let looked = Box::pin(Arc::clone(&self.followers).begin_past(replica, seen.to_vec()));
            let coming = async { Ok(self.home.spawn(looked).await.ok().flatten()) };
            let pools = self.followers.servers.iter();
            if let Some(tx) = self.followers.meter.waited(pools, coming).await? {
                return Ok(used.of(tx));
            }
        }
        used.turn_to(&self.readers.meter);
        let mut tx = self.start(&self.readers).await?;
        match has_seen(&mut *tx, seen).await? {
            true => Ok(used.of(tx)),
            false => Err(Error::Behind),
        }
    }

    /// Begins a write that takes turns with others of the schema: with all of them, or with those of the
    /// same key and those that take turns with all.
    pub(crate) async fn begin(
        &self,
        key: Option<&[u8]>,
    ) -> Result<Used<Transaction<'static, Postgres>>> {
        let used = self.writers.meter.begin();
        let mut tx = self.start(&self.writers).await?;
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
        Ok(used.of(tx))
    }

    /// Flushes the server's write-ahead log, whatever the schema's [`Durability`].
    pub(crate) async fn sync(&self) -> Result<()> {
        let mut tx = self.start(&self.writers).await?;
        // A commit that writes something and waits for the disk makes all earlier ones durable too.
        sqlx::raw_sql(
            "SET LOCAL synchronous_commit TO on;
             SELECT pg_logical_emit_message(true, 'prepx', 'sync')",
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    pub(crate) async fn close(&self) {
        self.members.end();
        for connections in [&self.readers, &self.followers, &self.writers] {
            for pool in &connections.servers {
                pool.close().await;
            }
        }
    }

    /// Begins on the primary, on the pool's own runtime: a connection made here must outlive the thread
    /// that waits for it.
    async fn start(&self, on: &Arc<Connections>) -> Result<Transaction<'static, Postgres>> {
        let (members, connections, wait_max) =
            (self.members.clone(), Arc::clone(on), self.wait_max);
        // Boxed, because connecting is a large future that would be part of every caller's.
        let begun = Box::pin(async move {
            let begun = connections.begin_on_primary(&members, wait_max).await;
            if begun.is_err() {
                members.look();
            }
            begun
        });
        let coming = async {
            let ended = |_| Error::Away("the process is ending".to_owned());
            self.home.spawn(begun).await.map_err(ended)?
        };
        on.meter.waited(on.servers.iter(), coming).await
    }
}

impl Connections {
    /// Waits, bounded, until there is a primary that accepts the transaction; switches to another server if
    /// that takes over meanwhile.
    async fn begin_on_primary(
        &self,
        members: &Members,
        wait_max: Duration,
    ) -> Result<Transaction<'static, Postgres>> {
        let begun = tokio::time::timeout(wait_max, async {
            loop {
                let primary = members.primary().await;
                tokio::select! {
                    begun = self.begin_on(primary) => return begun,
                    () = members.another_than(primary) => {}
                }
            }
        });
        match begun.await {
            Ok(begun) => begun,
            Err(_) if members.has_primary() => Err(Error::Busy),
            Err(_) => Err(Error::Away("none of its servers is the primary".to_owned())),
        }
    }

    /// Begins on a replica as soon as it has all of `seen`; none if that fails or takes too long.
    async fn begin_past(
        self: Arc<Self>,
        replica: usize,
        seen: Vec<Seen>,
    ) -> Option<Transaction<'static, Postgres>> {
        let looked = tokio::time::timeout(REPLICA_WAIT, async {
            loop {
                // A connection that comes too late for this one is there for the next.
                let connections = Arc::clone(&self);
                let begun = tokio::spawn(async move { connections.begin_on(replica).await });
                // Each transaction sees the moment at which it begins to read.
                let mut tx = begun.await.ok()?.ok()?;
                if has_seen(&mut *tx, &seen).await.ok()? {
                    return Some(tx);
                }
                tx.rollback().await.ok()?;
                tokio::time::sleep(REPLICA_PAUSE).await;
            }
        });
        looked.await.ok().flatten()
    }

    async fn begin_on(&self, server: usize) -> Result<Transaction<'static, Postgres>> {
        let begun = self.servers[server].begin_with(AssertSqlSafe(Arc::clone(&self.begin)));
        begun.await.map_err(not_begun)
    }
}

/// Creates the schema unless it is there, under the schema's lock.
pub(crate) async fn create(tx: &mut Transaction<'static, Postgres>, schema: &str) -> Result<()> {
    // Its name was checked; quoted because some, such as `user`, are words of SQL.
    let sql = AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\""));
    sqlx::raw_sql(sql).execute(&mut **tx).await?;
    Ok(())
}

/// The error with which a replica refuses a transaction that may write: the code for an unsupported
/// feature.
fn not_begun(error: sqlx::Error) -> Error {
    match error.as_database_error() {
        Some(said) if said.code().as_deref() == Some("0A000") => {
            Error::Away(said.message().to_owned())
        }
        _ => error.into(),
    }
}

fn begin_sql(options: &Options) -> Arc<str> {
    let synchronous = match options.durability {
        Durability::Projection => "off",
        Durability::Source => "on",
    };
    let settings = settings(options);
    format!("BEGIN READ WRITE; {settings}; SET LOCAL synchronous_commit TO {synchronous}").into()
}

/// A replica refuses what begins as READ WRITE, and so does a primary that has become one.
fn begin_read_sql(options: &Options) -> Arc<str> {
    let settings = settings(options);
    format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE; SET TRANSACTION READ ONLY; {settings}"
    )
    .into()
}

/// The same for reads, which a primary or a replica accepts.
fn begin_follow_sql(options: &Options) -> Arc<str> {
    let settings = settings(options);
    format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {settings}").into()
}

/// The settings with which a transaction begins.
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
