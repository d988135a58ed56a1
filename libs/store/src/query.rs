//! Statements, their values, and the rows that they return, alike on every engine.
//!
//! Owns the three types of which schemas are made: 64-bit integers, text and bytes, each of them nullable. Refuses
//! every other type, so that one text of SQL means the same everywhere. Floating point is left out on purpose.

use std::borrow::Cow;
use std::convert::identity;

use futures::TryStreamExt as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{
    Arguments as _, AssertSqlSafe, Database, Encode, PgConnection, Postgres, Row as _, Sqlite,
    SqliteConnection, Type,
};

use crate::{Error, Result};

/// A value of a column: BIGINT, TEXT or BYTEA. A null has a type too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// An integer.
    Int(Option<i64>),
    /// Text.
    Text(Option<String>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
}

macro_rules! values {
    ($($kind:ident by $storable:expr, from $($from:ty),+;)+) => { $($(
        impl From<$from> for Value {
            fn from(value: $from) -> Value {
                Some(value).into()
            }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Value {
                Value::$kind(value.map(|value| $storable(value.into())))
            }
        }
    )+)+ };
}

values! {
    Int by identity, from i64, u32;
    Text by storable, from String, &String, &str;
    Bytes by identity, from Vec<u8>, &[u8];
}

/// PostgreSQL has no text with the character U+0000, and a projection must accept whatever is on the log:
/// another character replaces it, on every engine and in search values too.
fn storable(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{FFFD}"),
        false => text,
    }
}

/// Where a statement runs: in a write transaction or on a reader.
#[derive(Debug)]
pub enum Connection<'c> {
    /// SQLite's.
    Sqlite(&'c mut SqliteConnection),
    /// PostgreSQL's.
    Pg(&'c mut PgConnection),
}

impl<'c> From<&'c mut SqliteConnection> for Connection<'c> {
    fn from(connection: &'c mut SqliteConnection) -> Connection<'c> {
        Connection::Sqlite(connection)
    }
}

impl<'c> From<&'c mut PgConnection> for Connection<'c> {
    fn from(connection: &'c mut PgConnection) -> Connection<'c> {
        Connection::Pg(connection)
    }
}

/// A statement with its values. Its text is written in the program, never built from input; `$1` is the
/// first value.
#[derive(Clone, Debug)]
#[must_use = "a statement does nothing until it is run"]
pub struct Query {
    pub(crate) sql: Cow<'static, str>,
    pub(crate) values: Vec<Value>,
}

/// A statement.
pub fn query(sql: &'static str) -> Query {
    Query {
        sql: Cow::Borrowed(sql),
        values: Vec::new(),
    }
}

impl Query {
    /// Binds the next value of a text that refers to it.
    pub fn bind(mut self, value: impl Into<Value>) -> Query {
        self.values.push(value.into());
        self
    }

    /// Adds to the text.
    pub fn push(&mut self, sql: &'static str) -> &mut Query {
        self.sql.to_mut().push_str(sql);
        self
    }

    /// Adds a value to the text.
    pub fn push_bind(&mut self, value: impl Into<Value>) -> &mut Query {
        self.values.push(value.into());
        let name = format!("${}", self.values.len());
        self.sql.to_mut().push_str(&name);
        self
    }

    /// Adds values to the text, separated by commas, in parentheses.
    pub fn push_list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Query {
        let mut before = "(";
        for value in values {
            self.push(before).push_bind(value);
            before = ", ";
        }
        self.push(")")
    }

    /// All rows.
    pub async fn fetch_all<'c>(self, on: impl Into<Connection<'c>>) -> Result<Vec<Row>> {
        let on = on.into();
        #[cfg(feature = "suite")]
        let on = self.explained(on).await?;
        Ok(match on {
            Connection::Sqlite(on) => {
                let rows =
                    sqlx::query_with(AssertSqlSafe(self.sql), arguments::<Sqlite>(self.values));
                let rows = rows.fetch_all(on).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Connection::Pg(on) => {
                let rows =
                    sqlx::query_with(AssertSqlSafe(self.sql), arguments::<Postgres>(self.values));
                let rows = rows.fetch_all(on).await?;
                rows.into_iter().map(Row::Pg).collect()
            }
        })
    }

    /// Calls `each` with every row as it arrives, so that there may be any number of rows.
    pub async fn for_each<'c>(
        self,
        on: impl Into<Connection<'c>>,
        mut each: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        match on.into() {
            Connection::Sqlite(on) => {
                let rows =
                    sqlx::query_with(AssertSqlSafe(self.sql), arguments::<Sqlite>(self.values));
                let mut rows = rows.fetch(on);
                while let Some(row) = rows.try_next().await? {
                    each(Row::Sqlite(row))?;
                }
            }
            Connection::Pg(on) => {
                let rows =
                    sqlx::query_with(AssertSqlSafe(self.sql), arguments::<Postgres>(self.values));
                let mut rows = rows.fetch(on);
                while let Some(row) = rows.try_next().await? {
                    each(Row::Pg(row))?;
                }
            }
        }
        Ok(())
    }

    /// The first row, if there is one.
    pub async fn fetch_optional<'c>(self, on: impl Into<Connection<'c>>) -> Result<Option<Row>> {
        let on = on.into();
        #[cfg(feature = "suite")]
        let on = self.explained(on).await?;
        Ok(match on {
            Connection::Sqlite(on) => {
                let row =
                    sqlx::query_with(AssertSqlSafe(self.sql), arguments::<Sqlite>(self.values));
                row.fetch_optional(on).await?.map(Row::Sqlite)
            }
            Connection::Pg(on) => {
                let row =
                    sqlx::query_with(AssertSqlSafe(self.sql), arguments::<Postgres>(self.values));
                row.fetch_optional(on).await?.map(Row::Pg)
            }
        })
    }

    /// The first row, which must exist.
    pub async fn fetch_one<'c>(self, on: impl Into<Connection<'c>>) -> Result<Row> {
        let row = self.fetch_optional(on).await?;
        row.ok_or(Error::Sql(sqlx::Error::RowNotFound))
    }

    /// The first column of the first row, if there is one.
    pub async fn scalar<'c, T: OwnedColumn>(
        self,
        on: impl Into<Connection<'c>>,
    ) -> Result<Option<T>> {
        let row = self.fetch_optional(on).await?;
        row.map(|row| row.first()).transpose()
    }

    /// The first column of all rows.
    pub async fn scalars<'c, T: OwnedColumn>(
        self,
        on: impl Into<Connection<'c>>,
    ) -> Result<Vec<T>> {
        let rows = self.fetch_all(on).await?;
        rows.iter().map(Row::first).collect()
    }

    /// Runs it; returns how many rows it has changed.
    pub async fn execute<'c>(self, on: impl Into<Connection<'c>>) -> Result<u64> {
        let on = on.into();
        #[cfg(feature = "suite")]
        let on = self.explained(on).await?;
        Ok(match on {
            Connection::Sqlite(on) => {
                let change =
                    sqlx::query_with(AssertSqlSafe(self.sql), arguments::<Sqlite>(self.values));
                change.execute(on).await?.rows_affected()
            }
            Connection::Pg(on) => {
                let change =
                    sqlx::query_with(AssertSqlSafe(self.sql), arguments::<Postgres>(self.values));
                change.execute(on).await?.rows_affected()
            }
        })
    }
}

/// The types as which a column can be read: `i64`, text, bytes, and `Option` of them.
pub trait Column<'r>:
    sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite> + sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>
{
}

impl<'r, T> Column<'r> for T where
    T: sqlx::Decode<'r, Sqlite>
        + sqlx::Type<Sqlite>
        + sqlx::Decode<'r, Postgres>
        + sqlx::Type<Postgres>
{
}

/// A [`Column`] that outlives its row.
pub trait OwnedColumn: for<'r> Column<'r> {}

impl<T> OwnedColumn for T where T: for<'r> Column<'r> {}

/// A row that was read.
#[derive(Debug)]
pub enum Row {
    /// SQLite's.
    Sqlite(SqliteRow),
    /// PostgreSQL's.
    Pg(PgRow),
}

impl Row {
    /// The value of a column.
    pub fn get<'r, T: Column<'r>>(&'r self, column: &str) -> Result<T> {
        Ok(match self {
            Row::Sqlite(row) => row.try_get(column)?,
            Row::Pg(row) => row.try_get(column)?,
        })
    }

    /// The value of a column whose integers have a narrower type.
    pub fn number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T> {
        let number: i64 = self.get(column)?;
        T::try_from(number).map_err(|_| Error::Damaged(column))
    }

    fn first<T: OwnedColumn>(&self) -> Result<T> {
        Ok(match self {
            Row::Sqlite(row) => row.try_get(0)?,
            Row::Pg(row) => row.try_get(0)?,
        })
    }
}

/// Values in the form of an engine.
pub(crate) fn arguments<E: Database>(values: Vec<Value>) -> E::Arguments
where
    Option<i64>: for<'q> Encode<'q, E> + Type<E>,
    Option<String>: for<'q> Encode<'q, E> + Type<E>,
    Option<Vec<u8>>: for<'q> Encode<'q, E> + Type<E>,
{
    let mut arguments = E::Arguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        let added = match value {
            Value::Int(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        };
        added.expect("numbers, text and bytes are encoded without failing");
    }
    arguments
}
