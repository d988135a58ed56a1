//! Compaction of the history of simulated accounts, oldest first, when the schema exceeds its bound. Only a
//! SQLite file has one: the bound is for this machine's disk, and a database server is elsewhere.
//!
//! Whole messages are removed, so that the remaining postings still balance, and their sums are added to
//! opening balances in the same transaction. Refuses to touch a row of a real account, an open order, and
//! the newest messages.

use prepx_store::{Pool, Result, Tx, query};

/// The newest messages of a partition stay, whatever the bound.
const MESSAGES_KEPT: i64 = 1_000;
/// The least number of messages in one step.
const STEP_MESSAGES: i64 = 2_000;

/// When `pool` is larger than `bytes_max`, makes one step in a partition: over twice as many messages as
/// were just added, so that in the long run more are removed than come.
pub async fn step(pool: &Pool, bytes_max: u64, partition: u32, taken: usize) -> Result<()> {
    match pool {
        Pool::Sqlite(file) if file.used_bytes().await? > bytes_max => {}
        Pool::Sqlite(_) | Pool::Pg(_) => return Ok(()),
    }
    let wanted = STEP_MESSAGES.max(2 * i64::try_from(taken).unwrap_or(0));
    let mut tx = pool.begin().await?;
    let newest: i64 = newest(&mut tx, partition).await?;
    let after = through(&mut tx, "postings", partition).await?;
    let until = (after + wanted).min(newest - MESSAGES_KEPT);
    if until <= after {
        return tx.rollback().await;
    }
    postings(&mut tx, partition, after, until).await?;
    let share = Share {
        of: until - after,
        all: newest - after,
    };
    rows(&mut tx, "orders", ORDERS, share).await?;
    rows(&mut tx, "activities", ACTIVITIES, share).await?;
    tx.commit().await
}

/// The messages of one step.
#[derive(Clone, Copy)]
struct Share {
    of: i64,
    all: i64,
}

/// The newest row, and the deletion of old rows, of a table whose rows are in the order of the log.
type Sql = (&'static str, &'static str);

const ORDERS: Sql = (
    "SELECT COALESCE(MAX(rowid), 0) FROM orders",
    "DELETE FROM orders WHERE rowid > $1 AND rowid <= $2 AND final = 1
     AND account_id IN (SELECT account_id FROM simulated)",
);
const ACTIVITIES: Sql = (
    "SELECT COALESCE(MAX(rowid), 0) FROM activities",
    "DELETE FROM activities WHERE rowid > $1 AND rowid <= $2
     AND account_id IN (SELECT account_id FROM simulated)",
);

/// Messages of simulated accounts between two numbers, with all their legs.
macro_rules! old_postings {
    () => {
        "FROM postings WHERE source_partition = $1 AND number > $2 AND number <= $3
         AND number IN (SELECT number FROM postings
            WHERE source_partition = $1 AND number > $2 AND number <= $3
            AND account_id IN (SELECT account_id FROM simulated))"
    };
}

async fn postings(tx: &mut Tx, partition: u32, after: i64, until: i64) -> Result<()> {
    for sql in [
        concat!(
            "INSERT INTO openings (source_partition, book, account_id, asset, amount_minor, seq)
             SELECT source_partition, book, account_id, asset, SUM(amount_minor), MAX(seq) ",
            old_postings!(),
            " GROUP BY source_partition, book, account_id, asset
             ON CONFLICT (source_partition, book, account_id, asset) DO UPDATE
             SET amount_minor = amount_minor + excluded.amount_minor,
                 seq = MAX(seq, excluded.seq)"
        ),
        concat!("DELETE ", old_postings!()),
    ] {
        let step = query(sql).bind(partition).bind(after).bind(until);
        step.execute(&mut *tx).await?;
    }
    moved(tx, "postings", partition, until).await
}

async fn rows(tx: &mut Tx, part: &'static str, (last, delete): Sql, share: Share) -> Result<()> {
    let after = through(tx, part, 0).await?;
    let last: i64 = query(last).scalar(&mut *tx).await?.unwrap_or(0);
    let there = i128::from((last - after).max(0));
    let step = there * i128::from(share.of) / i128::from(share.all.max(1));
    let until = after + i64::try_from(step).unwrap_or(0);
    let step = query(delete).bind(after).bind(until);
    step.execute(&mut *tx).await?;
    moved(tx, part, 0, until).await
}

async fn newest(tx: &mut Tx, partition: u32) -> Result<i64> {
    let newest = query("SELECT COALESCE(MAX(number), 0) FROM postings WHERE source_partition = $1");
    Ok(newest.bind(partition).scalar(tx).await?.unwrap_or(0))
}

async fn through(tx: &mut Tx, part: &str, partition: u32) -> Result<i64> {
    let through = query("SELECT through FROM compacted WHERE part = $1 AND source_partition = $2");
    let through = through.bind(part).bind(partition).scalar(tx).await?;
    Ok(through.unwrap_or(0))
}

async fn moved(tx: &mut Tx, part: &str, partition: u32, through: i64) -> Result<()> {
    query(
        "INSERT INTO compacted (part, source_partition, through) VALUES ($1, $2, $3)
         ON CONFLICT (part, source_partition) DO UPDATE SET through = excluded.through",
    )
    .bind(part)
    .bind(partition)
    .bind(through)
    .execute(tx)
    .await?;
    Ok(())
}
