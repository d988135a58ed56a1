//! How many rows a second a projection can write: batches of 1,000 rows of 8 columns, each batch
//! one transaction with its consumer's position. Run with `--release`; give the rows in thousands.

use std::time::Duration;

use prepx_store::{Change, Durability, Location, Migration, Options, Pool, Source};

const FILLS: Migration = Migration {
    version: 1,
    name: "fills",
    change: Change::Expand,
    sql: "CREATE TABLE fills (id BIGINT NOT NULL PRIMARY KEY, account BIGINT NOT NULL,
          instrument BIGINT NOT NULL, qty_lots BIGINT NOT NULL, price_ticks BIGINT NOT NULL,
          at_us BIGINT NOT NULL, side TEXT NOT NULL, note TEXT);
          CREATE INDEX fills_by_account ON fills (account, id)",
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let batches: i64 = std::env::args()
        .nth(1)
        .map_or(Ok(500), |given| given.parse())?;
    for durability in [Durability::Projection, Durability::Source] {
        let directory = tempfile::TempDir::new_in(".")?;
        let location = Location::Sqlite(directory.path().to_owned());
        let options = Options::new("rate", durability);
        let pool = Pool::open(&location, &options, &[FILLS]).await?;
        let started = tokio::time::Instant::now();
        for batch in 0..batches {
            write(&pool, batch * 1_000).await?;
        }
        report(durability, batches * 1_000, started.elapsed());
    }
    Ok(())
}

async fn write(pool: &Pool, first: i64) -> prepx_store::Result<()> {
    let source = Source {
        consumer: "rate",
        topic: "numbers",
        partition: 0,
    };
    let ids: Vec<i64> = (first..first + 1_000).collect();
    let mut tx = pool.begin().await?;
    tx.advance(&source, first as u64 + 1, first as u64 + 1_000)
        .await?;
    let into =
        "INSERT INTO fills (id, account, instrument, qty_lots, price_ticks, at_us, side, note)";
    tx.insert_rows(into, 8, "", &ids, |id, row| {
        row.push(*id)
            .push(id % 977)
            .push(1i64)
            .push(100i64)
            .push(12_345i64);
        row.push(1_800_000_000_000_000i64 + id)
            .push("buy")
            .push(None::<String>);
    })
    .await?;
    tx.commit().await
}

fn report(durability: Durability, rows: i64, took: Duration) {
    println!(
        "{durability:?}: {rows} rows, {:.0} rows/s",
        rows as f64 / took.as_secs_f64()
    );
}
