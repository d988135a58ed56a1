//! Read and write transactions, on every engine.

use std::result::Result as StdResult;

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Postgres, Sqlite, Transaction};

use crate::meter::Used;
use crate::{Connection, Error, Result};

/// A connection that only reads.
#[derive(Debug)]
pub enum Reader {
    /// Each statement sees what was committed when it began.
    Sqlite(Used<PoolConnection<Sqlite>>),
    /// All statements see what was committed when the first of them began.
    Pg(Used<Transaction<'static, Postgres>>),
}

/// A write transaction. Dropped without [`Tx::commit`], nothing has happened.
#[derive(Debug)]
pub enum Tx {
    /// SQLite's.
    Sqlite(Used<Transaction<'static, Sqlite>>),
    /// PostgreSQL's.
    Pg(Used<Transaction<'static, Postgres>>),
}

impl Tx {
    /// Makes all of it visible and, depending on the schema's [`crate::Durability`], durable.
    /// [`Error::Unknown`] if the connection was lost before the engine answered.
    pub async fn commit(self) -> Result<()> {
        let done = match self {
            Tx::Sqlite(tx) => {
                let (tx, _used) = tx.into_parts();
                tx.commit().await
            }
            Tx::Pg(tx) => {
                let (tx, _used) = tx.into_parts();
                tx.commit().await
            }
        };
        done.map_err(|error| match error.into() {
            Error::Away(why) => Error::Unknown(why),
            other => other,
        })
    }

    /// Undoes all of it; returns when that is done.
    pub async fn rollback(self) -> Result<()> {
        let undone = match self {
            Tx::Sqlite(tx) => tx.into_parts().0.rollback().await,
            Tx::Pg(tx) => tx.into_parts().0.rollback().await,
        };
        Ok(undone?)
    }

    /// Runs several statements without values, written as in [`crate::Migration`].
    pub(crate) async fn run_all(&mut self, sql: &'static str) -> StdResult<(), sqlx::Error> {
        match self {
            Tx::Sqlite(tx) => sqlx::raw_sql(sql).execute(&mut ***tx).await.map(|_| ()),
            Tx::Pg(tx) => {
                let sql = AssertSqlSafe(sql.replace("--pg ", ""));
                sqlx::raw_sql(sql).execute(&mut ***tx).await.map(|_| ())
            }
        }
    }
}

impl<'c> From<&'c mut Tx> for Connection<'c> {
    fn from(tx: &'c mut Tx) -> Connection<'c> {
        match tx {
            Tx::Sqlite(tx) => Connection::Sqlite(tx),
            Tx::Pg(tx) => Connection::Pg(tx),
        }
    }
}

impl<'c> From<&'c mut Reader> for Connection<'c> {
    fn from(reader: &'c mut Reader) -> Connection<'c> {
        match reader {
            Reader::Sqlite(connection) => Connection::Sqlite(connection),
            Reader::Pg(tx) => Connection::Pg(tx),
        }
    }
}
