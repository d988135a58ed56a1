//! The tables as of one moment, for comparison with the log.

use std::collections::BTreeSet;

use prepx_bus::Topic;
use prepx_domain::AccountId;
use prepx_store::{Result, Row, Tx, Value, query};

use super::columns::Table;
use super::{AVAILABLE, HELD, Ledger, OUTSIDE, position_of};
use crate::audit::bounds::{Tables, WholeFrom};
use crate::store::sql::Sql;

/// How long one comparison may read.
const COMPUTE_MS_MAX: u64 = 3_600_000;
/// Rows that are first written in one turn may differ from their order of acceptance by less than this.
const OUT_OF_TURN_US: i64 = 1_000_000;

/// The books and the transfers of all shards, each at one moment.
pub struct Moment {
    books: Vec<Tx>,
    transfers: Vec<Tx>,
}

impl Moment {
    /// The current moment. Every transfer whose decision is in the books has a row.
    pub async fn open(
        ledger: &Ledger,
        transfers: &Sql,
        partitions: u32,
    ) -> Result<(Moment, Tables)> {
        let mut moment = Moment {
            books: Vec::new(),
            transfers: Vec::new(),
        };
        for shard in ledger.shards.all() {
            moment
                .books
                .push(shard.read_one_moment(COMPUTE_MS_MAX).await?);
        }
        let mut tables = Tables {
            whole_from: vec![WholeFrom::default(); partitions as usize],
            ..Tables::default()
        };
        for partition in 0..partitions {
            let lane = position_of(Topic::AccountJournal.partition(partition));
            let books = &mut moment.books[ledger.shard_of(partition)];
            tables.through.push(books.position(&lane).await?);
        }
        for books in &mut moment.books {
            add_simulated(books, &mut tables).await?;
        }
        // Later than the books: a transfer is requested before it is decided.
        for shard in transfers.shards() {
            let mut shard = shard.read_one_moment(COMPUTE_MS_MAX).await?;
            let undecided = query("SELECT command_id FROM transfers WHERE settled = 0");
            tables
                .undecided
                .extend(undecided.scalars::<Vec<u8>>(&mut shard).await?);
            moment.transfers.push(shard);
        }
        Ok((moment, tables))
    }

    /// Passes every row, or those of these accounts, with what is compared and what decides whether it is.
    pub async fn each_row(
        &mut self,
        only: Option<&BTreeSet<i64>>,
        mut found: impl FnMut(Table, Vec<Value>, &[Value]),
    ) -> Result<()> {
        for books in &mut self.books {
            for table in Table::OF_BOOKS {
                let rows = of_accounts(table, only);
                let each = |row: Row| {
                    found(table, table.read(&row)?, &[]);
                    Ok(())
                };
                rows.for_each(&mut *books, each).await?;
            }
        }
        for transfers in &mut self.transfers {
            let table = Table::Transfers;
            let each = |row: Row| {
                let beside = [row.get::<i64>("settled")?, row.get("stamped_at_us")?];
                found(table, table.read(&row)?, &beside.map(Value::from));
                Ok(())
            };
            let rows = of_accounts(table, only);
            rows.for_each(&mut *transfers, each).await?;
        }
        Ok(())
    }

    /// The first account whose days do not add up to its postings, or asset whose payments do not, in words (I6).
    /// That includes days for which the log cannot answer.
    pub async fn uneven_days(&mut self) -> Result<Option<String>> {
        for books in &mut self.books {
            let uneven = query(
                "SELECT account_id, asset, CAST(SUM(minor) AS BIGINT) AS minor FROM (
                    SELECT account_id, asset, change_minor AS minor FROM daily_changes
                    UNION ALL SELECT account_id, asset, -amount_minor FROM postings
                    WHERE book IN ($1, $2)
                    UNION ALL SELECT account_id, asset, -amount_minor FROM openings
                    WHERE book IN ($1, $2)) AS lines
                 GROUP BY account_id, asset HAVING SUM(minor) <> 0
                 ORDER BY account_id, asset LIMIT 1",
            );
            let uneven = uneven.bind(AVAILABLE).bind(HELD);
            if let Some(row) = uneven.fetch_optional(&mut *books).await? {
                let (raw, minor): (i64, i64) = (row.get("account_id")?, row.get("minor")?);
                let account = AccountId::new(raw);
                let account = account.map_or_else(|| raw.to_string(), |id| id.to_string());
                let asset: String = row.get("asset")?;
                return Ok(Some(format!(
                    "I6: table daily_changes, account {account}: all days of {asset} come to {minor} \
                     minor units more than its postings"
                )));
            }
            let unpaid = query(
                "SELECT asset, CAST(SUM(minor) AS BIGINT) AS minor FROM (
                    SELECT asset, paid_minor AS minor FROM daily_changes
                    UNION ALL SELECT asset, amount_minor FROM postings WHERE book = $1
                    UNION ALL SELECT asset, amount_minor FROM openings WHERE book = $1) AS lines
                 GROUP BY asset HAVING SUM(minor) <> 0 ORDER BY asset LIMIT 1",
            );
            if let Some(row) = unpaid.bind(OUTSIDE).fetch_optional(&mut *books).await? {
                let (asset, minor): (String, i64) = (row.get("asset")?, row.get("minor")?);
                return Ok(Some(format!(
                    "I6: table daily_changes: what was paid in of {asset} on all days is {minor} minor \
                     units more than the postings say"
                )));
            }
        }
        Ok(None)
    }
}

fn of_accounts(table: Table, only: Option<&BTreeSet<i64>>) -> prepx_store::Query {
    let mut rows = query(table.select());
    if let Some(only) = only {
        rows.push(" WHERE account_id IN ")
            .push_list(only.iter().copied());
    }
    rows
}

/// Notes which rows of a shard may be compacted, and from which point on none was.
async fn add_simulated(books: &mut Tx, tables: &mut Tables) -> Result<()> {
    let simulated = query("SELECT account_id FROM simulated");
    tables
        .simulated
        .extend(simulated.scalars::<i64>(&mut *books).await?);
    if let Tx::Pg(_) = books {
        // Only a SQLite file has a bound.
        return Ok(());
    }
    if let Some(through) = compacted(books, "activities").await? {
        let rows = query(
            "SELECT source_partition, MIN(number) AS number FROM activities WHERE rowid > $1
             GROUP BY source_partition",
        );
        let rows = rows.bind(through).fetch_all(&mut *books).await?;
        for of in &mut tables.whole_from {
            of.activities = Some(i64::MAX);
        }
        for row in &rows {
            if let Some(of) = tables
                .whole_from
                .get_mut(row.number::<usize>("source_partition")?)
            {
                of.activities = Some(row.get("number")?);
            }
        }
    }
    if let Some(through) = compacted(books, "orders").await? {
        let rows = query(
            "SELECT account_id, MIN(created_at_us) AS created_at_us FROM orders WHERE rowid > $1
             GROUP BY account_id",
        );
        let rows = rows.bind(through).fetch_all(&mut *books).await?;
        for of in &mut tables.whole_from {
            of.orders_us = Some(i64::MAX);
        }
        let partitions = tables.whole_from.len() as u32;
        for row in &rows {
            let Some(account) = AccountId::new(row.get("account_id")?) else {
                continue;
            };
            let of = &mut tables.whole_from[account.slot().partition(partitions) as usize];
            let from_us = row
                .get::<i64>("created_at_us")?
                .saturating_add(OUT_OF_TURN_US);
            of.orders_us = of.orders_us.min(Some(from_us));
        }
    }
    Ok(())
}

/// The last compacted row of a table, if any were.
async fn compacted(books: &mut Tx, part: &str) -> Result<Option<i64>> {
    let through = query("SELECT through FROM compacted WHERE part = $1 AND through > 0");
    through.bind(part).scalar(books).await
}
