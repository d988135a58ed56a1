//! The schema `portfolio`: postings, orders, activities and daily sums. Each batch of the log commits in one
//! transaction with its position (I2). The rows of an account partition are in one shard.

mod changes;
pub mod columns;
pub mod moment;
#[cfg(test)]
mod plans;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prepx_bus::{Topic, TopicPartition};
use prepx_domain::update::{AccountUpdate, Book};
use prepx_domain::{AccountId, Side};
use prepx_proto::journal;
use prepx_stage::follow::{Batch, Poison};
use prepx_stage::port::Line;
use prepx_store::{
    Change, Error as StoreError, Layout, Migration, Options, Reader, Result, Row, Shards, Source,
    Tx, query,
};

pub use self::view::View;
use super::compact;
use crate::metrics::Metrics;
use crate::projection::{Error, Rows, source};
use crate::versions::Versions;

/// The migrations of the schema `portfolio`.
const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "books",
    change: Change::Expand,
    sql: include_str!("../../migrations/ledger/0001_books.sql"),
}];

/// The books in SQL. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    shards: Shards,
    /// The size beyond which the oldest history of simulated accounts is compacted.
    bytes_max: Option<u64>,
    metrics: Metrics,
    versions: Arc<Versions>,
}

/// Postings of a transition that do not add up to zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbalanced {
    /// The partition of the account stage.
    pub partition: u32,
    /// The transition in its journal.
    pub seq: u64,
    /// The asset.
    pub asset: String,
    /// Their sum.
    pub sum_minor: i64,
}

fn position_of(partition: TopicPartition) -> Source<'static> {
    Source {
        consumer: "ledger",
        topic: partition.topic.name(),
        partition: partition.partition,
    }
}

impl Ledger {
    /// Opens the schema; creates it if it does not exist.
    pub async fn open(layout: &Layout) -> Result<Ledger> {
        Ledger::open_within(layout, None).await
    }

    /// The same, with a bound on its size: beyond it the history of simulated accounts is compacted.
    pub async fn open_within(layout: &Layout, bytes_max: Option<u64>) -> Result<Ledger> {
        let (options, bytes_max) = Options::projection("portfolio", bytes_max);
        let shards = Shards::open(layout, &options, MIGRATIONS).await?;
        Ok(Ledger {
            shards,
            bytes_max,
            metrics: Metrics::default(),
            versions: Arc::default(),
        })
    }

    /// Makes what was applied so far survive a loss of power.
    pub async fn sync(&self, partitions: &[u32]) -> Result<()> {
        let shards: BTreeSet<_> = partitions.iter().map(|of| self.shard_of(*of)).collect();
        for shard in shards {
            self.shards.all()[shard].sync().await?;
        }
        Ok(())
    }

    /// The number of a partition's shard, from 0.
    pub fn shard_of(&self, partition: u32) -> usize {
        self.shards.layout().shard_of(partition)
    }

    /// Waits for running calls and closes the schema.
    pub async fn close(self) {
        self.shards.close().await;
    }

    /// The offset at which to continue in each partition.
    pub async fn positions(&self, partitions: u32) -> Result<Vec<u64>> {
        let mut next = Vec::new();
        for partition in 0..partitions {
            next.push(self.position(partition).await?);
        }
        Ok(next)
    }

    /// The offset at which to continue in a partition.
    pub async fn position(&self, partition: u32) -> Result<u64> {
        let pool = self.shards.of(partition);
        pool.position(&position_of(source(partition))).await
    }

    /// The same, for a consumer that will continue from there.
    pub async fn resume(&self, partition: u32) -> Result<u64> {
        let next = self.position(partition).await?;
        self.versions.resume(partition, next);
        Ok(next)
    }

    /// The offset up to which an account was last changed, as far as this process has taken its partition, or seen it
    /// taken; none before it has begun.
    pub fn version(&self, partition: u32, account: AccountId) -> Option<u64> {
        self.versions.of(partition, account)
    }

    /// Applies a batch of the log, all of it or nothing; what was applied before is skipped.
    pub async fn take(&self, batch: &Batch) -> std::result::Result<(), Error> {
        let partition = batch.partition.partition;
        let pool = self.shards.of(partition);
        let mut tx = pool.begin_of(&partition.to_be_bytes()).await?;
        let (mut rows, mut is_first) = (Rows::default(), true);
        for run in &batch.runs {
            let lane = position_of(run.source);
            let skip = tx.advance(&lane, run.first, run.last()).await?;
            is_first &= skip == 0;
            for (number, message) in (run.first..).zip(&run.messages).skip(skip) {
                rows.add(run.source.partition, number, message)
                    .map_err(|error| batch.poison(message, error))?;
            }
        }
        write(&mut tx, &rows).await?;
        let offsets = position_of(batch.partition);
        tx.advance(&offsets, batch.from + 1, batch.next).await?;
        tx.commit().await?;
        self.metrics.count(&rows);
        match is_first {
            true => self.versions.take(partition, batch.next, &rows.accounts),
            // Another process has applied some of it, and maybe more.
            false => self.versions.skip(partition, batch.next),
        }
        if let Some(bytes_max) = self.bytes_max {
            compact::step(pool, bytes_max, partition, batch.len()).await?;
        }
        Ok(())
    }

    /// Another process applies a batch: notes which accounts it changes.
    pub fn see(&self, batch: &Batch) -> std::result::Result<(), Poison<journal::Error>> {
        let mut accounts = Vec::new();
        for message in batch.runs.iter().flat_map(|run| &run.messages) {
            let update = journal::decode(&message.payload);
            let update: AccountUpdate = update.map_err(|error| batch.poison(message, error))?;
            if accounts.last() != Some(&update.account) {
                accounts.push(update.account);
            }
        }
        let partition = batch.partition.partition;
        self.versions.take(partition, batch.next, &accounts);
        Ok(())
    }

    /// The rows of an account as they are now.
    pub async fn view(&self, account: AccountId) -> Result<View> {
        let partition = account.slot().partition(self.shards.layout().partitions());
        Ok(View(self.shards.of(partition).read().await?))
    }

    /// The rows of the accounts of a partition, at least as new as the given offset.
    pub async fn view_past(&self, partition: u32, offset: u64) -> Result<View> {
        let seen = (position_of(source(partition)), offset);
        Ok(View(self.shards.of(partition).read_past(&[seen]).await?))
    }

    /// The balance of every book when the postings of each partition are added up to and including the
    /// given transition; compacted ones are all older. Books with a balance of zero are left out.
    pub async fn sums(&self, through: &[u64]) -> Result<BTreeMap<Line, i64>> {
        let mut sums = BTreeMap::new();
        for (partition, &seq) in (0u32..).zip(through) {
            let mut connection = self.shards.of(partition).read().await?;
            let rows = query(
                "SELECT book, account_id, asset, CAST(SUM(amount_minor) AS BIGINT) AS minor FROM (
                    SELECT book, account_id, asset, amount_minor FROM postings
                    WHERE source_partition = $1 AND seq <= $2
                    UNION ALL SELECT book, account_id, asset, amount_minor FROM openings
                    WHERE source_partition = $1) AS lines
                 GROUP BY book, account_id, asset",
            )
            .bind(partition)
            .bind(seq as i64)
            .fetch_all(&mut connection)
            .await?;
            for row in &rows {
                let (line, minor) = line_of(partition, row)?;
                if minor != 0 {
                    sums.insert(line, minor);
                }
            }
        }
        Ok(sums)
    }

    /// A transition whose postings do not add up to zero (I3), the first one of its shard, and the number
    /// of all postings.
    pub async fn balance(&self) -> Result<(Option<Unbalanced>, u64)> {
        let (mut unbalanced, mut postings) = (None, 0);
        for pool in self.shards.all() {
            let (first, count) = balance(&mut pool.read().await?).await?;
            unbalanced = unbalanced.or(first);
            postings += count;
        }
        Ok((unbalanced, postings))
    }

    /// The last message of each partition's lane that is in the books.
    pub async fn lanes(&self, partitions: u32) -> Result<Vec<u64>> {
        let mut last = Vec::new();
        for partition in 0..partitions {
            let lane = position_of(Topic::AccountJournal.partition(partition));
            last.push(self.shards.of(partition).position(&lane).await?);
        }
        Ok(last)
    }
}

/// The ledger of one shard.
async fn balance(connection: &mut Reader) -> Result<(Option<Unbalanced>, u64)> {
    let first = query(
        "SELECT source_partition, MAX(seq) AS seq, asset,
                CAST(SUM(amount_minor) AS BIGINT) AS minor
         FROM openings GROUP BY source_partition, asset HAVING SUM(amount_minor) <> 0
         UNION ALL
         SELECT source_partition, seq, asset, CAST(SUM(amount_minor) AS BIGINT) AS minor
         FROM postings GROUP BY source_partition, seq, asset HAVING SUM(amount_minor) <> 0
         ORDER BY source_partition, seq LIMIT 1",
    )
    .fetch_optional(&mut *connection)
    .await?;
    let count = query("SELECT COUNT(*) FROM postings");
    let count: Option<i64> = count.scalar(&mut *connection).await?;
    let unbalanced = first.map(|row| -> Result<Unbalanced> {
        Ok(Unbalanced {
            partition: row.number("source_partition")?,
            seq: row.number("seq")?,
            asset: row.get("asset")?,
            sum_minor: row.get("minor")?,
        })
    });
    Ok((unbalanced.transpose()?, count.map_or(0, i64::unsigned_abs)))
}

async fn write(tx: &mut Tx, rows: &Rows) -> Result<()> {
    let into = "INSERT INTO simulated (account_id)";
    let again = "ON CONFLICT DO NOTHING";
    tx.insert_rows(into, 1, again, &rows.simulated, |account, values| {
        values.push(account.raw());
    })
    .await?;
    let into = "INSERT INTO postings
        (source_partition, seq, number, leg, book, account_id, asset, amount_minor)";
    tx.insert_rows(into, 8, "", &rows.postings, |row, values| {
        let (book, account) = book_parts(row.posting.book);
        values
            .push(i64::from(row.partition))
            .push(row.seq as i64)
            .push(row.number as i64)
            .push(row.leg as i64)
            .push(book)
            .push(account)
            .push(row.posting.asset.as_str().to_owned())
            .push(row.posting.amount_minor);
    })
    .await?;
    let orders: Vec<_> = rows.orders.values().collect();
    let into = "INSERT INTO orders
        (account_id, order_id, client_order_id, symbol, side, final, created_at_us, view)";
    let newer = "ON CONFLICT (account_id, order_id)
        DO UPDATE SET final = excluded.final, view = excluded.view";
    tx.insert_rows(into, 8, newer, &orders, |row, values| {
        columns::order(row, values);
    })
    .await?;
    let into = "INSERT INTO activities
        (account_id, at_us, source_partition, number, type, change)";
    tx.insert_rows(into, 6, "", &rows.activities, columns::activity_row)
        .await?;
    changes::write(tx, rows).await
}

const fn side_code(side: Side) -> i64 {
    match side {
        Side::Buy => 1,
        Side::Sell => 2,
    }
}

const AVAILABLE: i64 = 1;
const HELD: i64 = 2;
const CLEARING: i64 = 3;
const FEES: i64 = 4;
const OUTSIDE: i64 = 5;

const fn book_parts(book: Book) -> (i64, i64) {
    match book {
        Book::Available(account) => (AVAILABLE, account.raw()),
        Book::Held(account) => (HELD, account.raw()),
        Book::Clearing => (CLEARING, 0),
        Book::Fees => (FEES, 0),
        Book::Outside => (OUTSIDE, 0),
    }
}

fn line_of(partition: u32, row: &Row) -> Result<(Line, i64)> {
    let account = || -> Result<AccountId> {
        AccountId::new(row.get("account_id")?).ok_or(StoreError::Damaged("account_id"))
    };
    let book = match row.get("book")? {
        AVAILABLE => Book::Available(account()?),
        HELD => Book::Held(account()?),
        CLEARING => Book::Clearing,
        FEES => Book::Fees,
        OUTSIDE => Book::Outside,
        _ => return Err(StoreError::Damaged("book")),
    };
    let asset: String = row.get("asset")?;
    let asset = asset.parse().map_err(|_| StoreError::Damaged("asset"))?;
    Ok(((partition, book, asset), row.get("minor")?))
}
