//! PostgreSQL, by the pool that every service reads through: what a hit saves.

use anyhow::{Context as _, ensure};
use prepx_env::Clock;
use prepx_store::{Durability, Location, Change, Migration, Options, Pool, query};

use crate::{Times, VALUE};

const ROWS: u32 = 200_000;
const ROUNDS: u32 = 20_000;
/// Rows of a page, as of bars that are asked for without a limit.
const PAGE_ROWS: u32 = 1_000;

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "cost",
    change: Change::Expand,
    sql: "CREATE TABLE kept (number BIGINT PRIMARY KEY, value TEXT NOT NULL);",
}];

pub async fn measure(clock: &dyn Clock) -> anyhow::Result<()> {
    let url =
        std::env::var("PREPX_TEST_POSTGRES").context("PREPX_TEST_POSTGRES: use bench/cache/run")?;
    let options = Options::new("cost", Durability::Projection);
    let pool = Pool::open(&Location::parse(&url)?, &options, MIGRATIONS).await?;
    fill(&pool).await?;
    let [mut row, mut page] = [(); 2].map(|()| Times::new(clock));
    for number in 0..ROUNDS {
        // Over all of the table, in no order that a server could guess.
        let number = number.wrapping_mul(2_654_435_761) % ROWS;
        let value = row.time(one(&pool, number)).await?;
        ensure!(value == VALUE, "row {number} is another");
    }
    for number in 0..ROUNDS / 20 {
        let from = number.wrapping_mul(2_654_435_761) % (ROWS - PAGE_ROWS);
        let rows = page.time(some(&pool, from)).await?;
        ensure!(rows == PAGE_ROWS as usize, "{rows} rows from {from}");
    }
    row.tell("database, a row by its key");
    page.tell("database, 1,000 rows in order");
    Ok(())
}

async fn fill(pool: &Pool) -> anyhow::Result<()> {
    for first in (0..ROWS).step_by(1_000) {
        let mut tx = pool.begin().await?;
        for number in first..first + 1_000 {
            let insert = query("INSERT INTO kept (number, value) VALUES ($1, $2)");
            let insert = insert.bind(i64::from(number)).bind(VALUE);
            insert.execute(&mut tx).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

async fn one(pool: &Pool, number: u32) -> anyhow::Result<String> {
    let select = query("SELECT value FROM kept WHERE number = $1").bind(i64::from(number));
    let row = select.fetch_one(&mut pool.read().await?).await?;
    Ok(row.get::<&str>("value")?.to_owned())
}

async fn some(pool: &Pool, from: u32) -> anyhow::Result<usize> {
    let select =
        query("SELECT number, value FROM kept WHERE number >= $1 ORDER BY number LIMIT $2");
    let select = select.bind(i64::from(from)).bind(i64::from(PAGE_ROWS));
    Ok(select.fetch_all(&mut pool.read().await?).await?.len())
}
