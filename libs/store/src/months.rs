//! Tables that PostgreSQL partitions by month, so that old months can be dropped or moved as a whole.
//!
//! The service that owns the table creates the partitions of coming months ahead of time. A row of a month without a
//! partition (no process was running to create it, or a clock was wrong) goes into the default partition, and is
//! moved when the month's partition is created, so no row is ever refused. Refuses to drop anything.

use sqlx::AssertSqlSafe;

use crate::{Pool, Result, Row, Tx, query};

/// A table that is partitioned by the month (UTC) of one of its columns, in microseconds, with a partition
/// `<table>_default` for everything else. Its months are `<table>_YYYY_MM`. In SQLite it is one table.
#[derive(Clone, Copy, Debug)]
pub struct Monthly {
    /// Its name.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
}

/// A month without a partition.
struct Month {
    /// `YYYY_MM`.
    name: String,
    first_us: i64,
    /// When the next month begins.
    end_us: i64,
}

impl Pool {
    /// Creates the missing partitions for the month of `now_us` and this many following ones; returns how many it
    /// created. Holds the schema's lock.
    pub async fn make_months(&self, of: Monthly, now_us: i64, ahead: u32) -> Result<usize> {
        let mut tx = self.begin().await?;
        let months = missing(&mut tx, of, now_us, ahead).await?;
        for month in &months {
            month.make(&mut tx, of).await?;
        }
        tx.commit().await?;
        Ok(months.len())
    }
}

async fn missing(tx: &mut Tx, of: Monthly, now_us: i64, ahead: u32) -> Result<Vec<Month>> {
    if let Tx::Sqlite(_) = tx {
        return Ok(Vec::new());
    }
    let months = query(
        "SELECT to_char(first, 'YYYY_MM') AS name,
                CAST(EXTRACT(EPOCH FROM first) AS BIGINT) * 1000000 AS first_us,
                CAST(EXTRACT(EPOCH FROM first + INTERVAL '1 month') AS BIGINT) * 1000000 AS end_us
         FROM (SELECT date_trunc('month', to_timestamp($1 / 1000000) AT TIME ZONE 'UTC')
                      + INTERVAL '1 month' * number AS first
               FROM generate_series(0, $2) AS number) AS months
         WHERE to_regclass($3 || to_char(first, '_YYYY_MM')) IS NULL
         ORDER BY first",
    );
    let months = months.bind(now_us).bind(ahead).bind(of.table);
    let rows = months.fetch_all(tx).await?;
    let month = |row: &Row| {
        Ok(Month {
            name: row.get("name")?,
            first_us: row.get("first_us")?,
            end_us: row.get("end_us")?,
        })
    };
    rows.iter().map(month).collect()
}

impl Month {
    /// Creates the partition, and moves its rows there from the default partition.
    async fn make(&self, tx: &mut Tx, of: Monthly) -> Result<()> {
        let Tx::Pg(tx) = tx else { return Ok(()) };
        let (Monthly { table, column }, name) = (of, &self.name);
        let (first_us, end_us) = (self.first_us, self.end_us);
        let sql = format!(
            "CREATE TABLE {table}_{name} (LIKE {table} INCLUDING ALL);
             WITH its AS (DELETE FROM {table}_default
                 WHERE {column} >= {first_us} AND {column} < {end_us} RETURNING *)
             INSERT INTO {table}_{name} SELECT * FROM its;
             ALTER TABLE {table} ATTACH PARTITION {table}_{name}
                 FOR VALUES FROM ({first_us}) TO ({end_us})"
        );
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut ***tx)
            .await?;
        tracing::info!(table, month = name, "partition made");
        Ok(())
    }
}
