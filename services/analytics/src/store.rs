//! The schema `audit`: heads and roots, and the messages that operators have had stages skip.
//!
//! Heads could be computed again from the log, roots could not: they contain the time of signing, and may
//! have been published. So a commit is on the disk before anything is shown or released.

#[cfg(test)]
mod plans;

use prepx_bus::{Topic, TopicPartition};
use prepx_domain::Micros;
use prepx_stage::Skip;
use prepx_store::{
    Change, Durability, Location, Migration, Monthly, Options, Pool, Row, Tx, query,
};

use crate::chain::Head;
use crate::error::{Error, Result};
use crate::root::{Root, Signed};

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "audit",
        change: Change::Expand,
        sql: include_str!("../migrations/0001_audit.sql"),
    },
    Migration {
        version: 2,
        name: "skips",
        change: Change::Expand,
        sql: include_str!("../migrations/0002_skips.sql"),
    },
];

const ROOTS: Monthly = Monthly {
    table: "roots",
    column: "created_at_us",
};
/// The months whose partitions are created ahead: as long as nobody may have looked.
const MONTHS_AHEAD: u32 = 3;

/// Heads and roots in SQL. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit(Pool);

/// Migrates the schema, and does nothing else.
///
/// # Errors
/// When it cannot be opened.
pub async fn migrate(location: &Location) -> Result<()> {
    Audit::open(location).await?.close().await;
    Ok(())
}

/// The old and the new head of a chain.
pub type Move = (u64, Head);

impl Audit {
    /// Opens the schema; creates it if it does not exist.
    pub async fn open(location: &Location) -> Result<Audit> {
        let options = Options::new("audit", Durability::Source);
        let pool = Pool::open(location, &options, MIGRATIONS).await?;
        Ok(Audit(pool))
    }

    /// Waits for running calls and closes the schema.
    pub async fn close(self) {
        self.0.close().await;
    }

    /// All heads, by topic and partition.
    pub async fn heads(&self) -> Result<Vec<Head>> {
        let rows = query(
            "SELECT topic, source_partition, next_offset, hash FROM heads
             ORDER BY topic, source_partition",
        )
        .fetch_all(&mut self.0.read().await?)
        .await?;
        rows.iter().map(head_of).collect()
    }

    /// At most `limit` roots after a number, by their numbers.
    pub async fn roots(&self, after: u64, limit: u32) -> Result<Vec<(u64, Signed)>> {
        let rows = query(
            "SELECT number, body, signature FROM roots WHERE number > $1 ORDER BY number LIMIT $2",
        )
        // Beyond 63 bits there is no root.
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(&mut self.0.read().await?)
        .await?;
        rows.iter().map(root_of).collect()
    }

    /// The root with the highest number.
    pub async fn newest_root(&self) -> Result<Option<(u64, Signed)>> {
        let row = query("SELECT number, body, signature FROM roots ORDER BY number DESC LIMIT 1")
            .fetch_optional(&mut self.0.read().await?)
            .await?;
        row.as_ref().map(root_of).transpose()
    }

    /// At most `limit` skips after a number, by their numbers.
    pub async fn skips(&self, after: u64, limit: u32) -> Result<Vec<(u64, Skip)>> {
        let rows = query(
            "SELECT number, seat, message, reason FROM skips WHERE number > $1
             ORDER BY number LIMIT $2",
        )
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(&mut self.0.read().await?)
        .await?;
        rows.iter().map(skip_of).collect()
    }

    /// Creates the partitions for the month of `now` and for those to come; returns how many it created.
    pub async fn make_months(&self, now: Micros) -> Result<usize> {
        Ok(self.0.make_months(ROOTS, now.0, MONTHS_AHEAD).await?)
    }

    /// Writes new heads, skips from the records, and a root, in one transaction.
    pub async fn commit(
        &self,
        moves: &[Move],
        skips: &[Skip],
        root: Option<(&Root, &Signed)>,
    ) -> Result<()> {
        let mut tx = self.0.begin().await?;
        for (from, head) in moves {
            let done = query(
                "INSERT INTO heads (topic, source_partition, next_offset, hash)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (topic, source_partition)
                 DO UPDATE SET next_offset = excluded.next_offset, hash = excluded.hash
                 WHERE heads.next_offset = $5",
            )
            .bind(u32::from(head.journal.topic.code()))
            .bind(head.journal.partition)
            .bind(signed(head.next_offset))
            .bind(head.hash.as_slice())
            .bind(signed(*from))
            .execute(&mut tx)
            .await?;
            if done != 1 {
                return Err(Error::Moved(head.journal));
            }
        }
        for skip in skips {
            query(
                "INSERT INTO skips (number, seat, message, reason)
                 SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3 FROM skips",
            )
            .bind(skip.seat.to_string())
            .bind(skip.message.to_string())
            .bind(&skip.reason)
            .execute(&mut tx)
            .await?;
        }
        if let Some((root, signed)) = root {
            add_root(&mut tx, root, signed).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// A key that includes the month does not enforce dense numbers: the writer does, under its lock.
async fn add_root(tx: &mut Tx, root: &Root, as_kept: &Signed) -> Result<()> {
    let newest = query("SELECT number FROM roots ORDER BY number DESC LIMIT 1");
    let newest: Option<i64> = newest.scalar(&mut *tx).await?;
    if signed(root.number) != newest.unwrap_or(0) + 1 {
        return Err(Error::NotNext(root.number));
    }
    query("INSERT INTO roots (number, created_at_us, body, signature) VALUES ($1, $2, $3, $4)")
        .bind(signed(root.number))
        .bind(root.created_at.0)
        .bind(as_kept.body.as_slice())
        .bind(as_kept.signature.as_slice())
        .execute(tx)
        .await?;
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("63 bits of records do not fit on any disk")
}

fn unsigned(row: &Row, column: &str) -> Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| Error::Damaged(format!("{column} is {number}")))
}

fn bytes<const N: usize>(row: &Row, column: &str) -> Result<[u8; N]> {
    let bytes: Vec<u8> = row.get(column)?;
    let count = bytes.len();
    bytes
        .try_into()
        .map_err(|_| Error::Damaged(format!("{column} has {count} bytes, not {N}")))
}

fn head_of(row: &Row) -> Result<Head> {
    let code = unsigned(row, "topic")?;
    let topic = u16::try_from(code).ok().and_then(Topic::from_code);
    let topic = topic.ok_or_else(|| Error::Damaged(format!("topic is {code}")))?;
    let partition = row.number("source_partition")?;
    Ok(Head {
        journal: TopicPartition { topic, partition },
        next_offset: unsigned(row, "next_offset")?,
        hash: bytes(row, "hash")?,
    })
}

fn root_of(row: &Row) -> Result<(u64, Signed)> {
    let signed = Signed {
        body: row.get("body")?,
        signature: bytes(row, "signature")?,
    };
    Ok((unsigned(row, "number")?, signed))
}

fn skip_of(row: &Row) -> Result<(u64, Skip)> {
    let skip = Skip {
        seat: row.get::<String>("seat")?.parse().map_err(Error::Damaged)?,
        message: row
            .get::<String>("message")?
            .parse()
            .map_err(Error::Damaged)?,
        reason: row.get("reason")?,
    };
    Ok((unsigned(row, "number")?, skip))
}
