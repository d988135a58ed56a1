//! Many rows with few statements.
//!
//! SQLite takes a list of rows, PostgreSQL one array per column, so that the text of its statement is the same for
//! any number of rows.

use sqlx::postgres::PgArguments;
use sqlx::{Arguments, AssertSqlSafe, PgConnection, Sqlite, SqliteConnection};

use crate::query::arguments;
use crate::{Connection, Result, Tx, Value};

/// SQLite's own limit on bound values per statement.
const BINDS_MAX: usize = 32_766;
/// Rows per statement in SQLite, largest first. Few sizes, so that each is prepared once. A number of rows below
/// the largest takes at most one statement of each size, because a statement costs two thread switches.
const ROWS_A_STATEMENT: [usize; 8] = [128, 64, 32, 16, 8, 4, 2, 1];
/// Rows per statement in PostgreSQL. With more, statements do not become cheaper, only larger.
const ROWS_AN_ARRAY: usize = 4_096;

/// The values of rows that [`Tx::insert_rows`] binds.
#[derive(Debug, Default)]
pub struct Values(Vec<Value>);

impl Values {
    /// Adds the value of the next column.
    pub fn push(&mut self, value: impl Into<Value>) -> &mut Values {
        self.0.push(value.into());
        self
    }

    /// The values so far.
    pub fn all(&self) -> &[Value] {
        &self.0
    }

    fn of<T>(rows: &[T], columns: usize, bind: &impl Fn(&T, &mut Values)) -> Values {
        let mut values = Values(Vec::with_capacity(rows.len() * columns));
        for (index, row) in rows.iter().enumerate() {
            bind(row, &mut values);
            let bound = values.0.len();
            assert_eq!(bound, (index + 1) * columns, "a row binds every column");
        }
        values
    }
}

/// The text before and after the rows.
#[derive(Clone, Copy)]
struct Text {
    into: &'static str,
    columns: usize,
    tail: &'static str,
}

impl Tx {
    /// Inserts many rows with few statements. `into` is the statement up to and including the column list,
    /// such as `INSERT INTO fills (id, qty_lots)`; `tail` follows the values, such as an `ON CONFLICT`
    /// clause, for which no two rows may have the same key; `bind` gives each row's values, `columns` of
    /// them, in order.
    pub async fn insert_rows<T>(
        &mut self,
        into: &'static str,
        columns: usize,
        tail: &'static str,
        rows: &[T],
        bind: impl Fn(&T, &mut Values),
    ) -> Result<()> {
        assert!(
            (1..=BINDS_MAX).contains(&columns),
            "{columns} columns cannot be bound"
        );
        let text = Text {
            into,
            columns,
            tail,
        };
        match self.into() {
            Connection::Sqlite(on) => insert_lists(on, text, rows, &bind).await,
            Connection::Pg(on) => insert_arrays(on, text, rows, &bind).await,
        }
    }
}

async fn insert_lists<T>(
    on: &mut SqliteConnection,
    text: Text,
    mut rows: &[T],
    bind: &impl Fn(&T, &mut Values),
) -> Result<()> {
    let columns = text.columns;
    for size in ROWS_A_STATEMENT.map(|size| size.min(BINDS_MAX / columns).max(1)) {
        if rows.len() < size {
            continue;
        }
        let row = format!("({})", vec!["?"; columns].join(","));
        let list = vec![row.as_str(); size].join(",");
        let sql = format!("{} VALUES {list} {}", text.into, text.tail);
        while let Some((chunk, rest)) = rows.split_at_checked(size) {
            let values = arguments::<Sqlite>(Values::of(chunk, columns, bind).0);
            #[cfg(feature = "suite")]
            {
                let shown = format!("{} VALUES … {}", text.into, text.tail);
                crate::plans::explain_sqlite(on, &shown, &sql, &values).await?;
            }
            let query = sqlx::query_with(AssertSqlSafe(sql.clone()), values);
            query.execute(&mut *on).await?;
            rows = rest;
        }
    }
    Ok(())
}

async fn insert_arrays<T>(
    on: &mut PgConnection,
    text: Text,
    rows: &[T],
    bind: &impl Fn(&T, &mut Values),
) -> Result<()> {
    for chunk in rows.chunks(ROWS_AN_ARRAY) {
        let columns = Array::of_columns(Values::of(chunk, text.columns, bind), text.columns);
        let sql = arrays_sql(text, &columns);
        let mut arrays = PgArguments::default();
        for column in columns {
            column.add_to(&mut arrays);
        }
        #[cfg(feature = "suite")]
        crate::plans::explain_pg(on, &sql, &arrays).await?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arrays);
        query.execute(&mut *on).await?;
    }
    Ok(())
}

/// The values of one column.
enum Array {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Array {
    fn of_columns(values: Values, columns: usize) -> Vec<Array> {
        let rows = values.0.len() / columns;
        let empty = |value: &Value| match value {
            Value::Int(_) => Array::Int(Vec::with_capacity(rows)),
            Value::Text(_) => Array::Text(Vec::with_capacity(rows)),
            Value::Bytes(_) => Array::Bytes(Vec::with_capacity(rows)),
        };
        let mut arrays: Vec<Array> = values.0[..columns].iter().map(empty).collect();
        for (index, value) in values.0.into_iter().enumerate() {
            arrays[index % columns].push(value);
        }
        arrays
    }

    fn push(&mut self, value: Value) {
        match (self, value) {
            (Array::Int(array), Value::Int(value)) => array.push(value),
            (Array::Text(array), Value::Text(value)) => array.push(value),
            (Array::Bytes(array), Value::Bytes(value)) => array.push(value),
            (_, value) => panic!("a column has one kind of values, not {value:?} too"),
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Array::Int(_) => "BIGINT[]",
            Array::Text(_) => "TEXT[]",
            Array::Bytes(_) => "BYTEA[]",
        }
    }

    fn add_to(self, arguments: &mut PgArguments) {
        let added = match self {
            Array::Int(array) => arguments.add(array),
            Array::Text(array) => arguments.add(array),
            Array::Bytes(array) => arguments.add(array),
        };
        added.expect("numbers, text and bytes are encoded without failing");
    }
}

fn arrays_sql(text: Text, columns: &[Array]) -> String {
    let array = |(index, column): (usize, &Array)| format!("${}::{}", index + 1, column.kind());
    let arrays: Vec<String> = columns.iter().enumerate().map(array).collect();
    let Text { into, tail, .. } = text;
    format!("{into} SELECT * FROM UNNEST({}) {tail}", arrays.join(", "))
}
