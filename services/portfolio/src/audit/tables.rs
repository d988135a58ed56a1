//! Compares the tables with the log: every row of orders, activities, daily sums, transfers and simulated
//! accounts.

use std::collections::BTreeSet;
use std::sync::Arc;

use prepx_stage::port::{ReadError, UpdatesPort};

use super::expected::{Counts, Expected, Outcome};
use crate::store::ledger::Ledger;
use crate::store::ledger::moment::Moment;
use crate::store::sql::Sql;

/// The most accounts that are compared row by row at a time.
const SUSPECTS_AT_ONCE: usize = 16;

/// Why the tables could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tables cannot be read.
    #[error(transparent)]
    Store(#[from] prepx_store::Error),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record of the log cannot be decoded.
    #[error("{0}")]
    Poison(String),
}

/// The tables, and the log from which they are made.
#[derive(Clone)]
pub struct Compared {
    /// The books.
    pub ledger: Ledger,
    /// The transfers.
    pub transfers: Sql,
    /// The updates of accounts.
    pub updates: Arc<dyn UpdatesPort>,
    /// The number of partitions.
    pub partitions: u32,
}

impl Compared {
    /// The number of rows that are as the log says, or the first difference in words.
    ///
    /// # Errors
    /// When the comparison is not possible.
    pub async fn compare(&self) -> Result<Result<Counts, String>, Error> {
        let (suspects, counts) = match self.look(None).await? {
            Outcome::Alike(counts) => return Ok(Ok(counts)),
            Outcome::Difference(words) => return Ok(Err(words)),
            Outcome::Suspects(suspects, counts) => (suspects, counts),
        };
        let mut suspects = suspects.into_iter();
        loop {
            let some: BTreeSet<i64> = suspects.by_ref().take(SUSPECTS_AT_ONCE).collect();
            if some.is_empty() {
                return Ok(Ok(counts));
            }
            if let Outcome::Difference(words) = self.look(Some(some)).await? {
                return Ok(Err(words));
            }
        }
    }

    /// Reads all of the log and of the tables once.
    async fn look(&self, only: Option<BTreeSet<i64>>) -> Result<Outcome, Error> {
        let opened = Moment::open(&self.ledger, &self.transfers, self.partitions).await?;
        let (mut moment, tables) = opened;
        let (updates, expected) = (
            Arc::clone(&self.updates),
            Expected::new(tables, only.clone()),
        );
        let read = tokio::task::spawn_blocking(move || read(&*updates, expected));
        let ended = |_| Error::Poison("the process is ending".to_owned());
        let mut expected = read.await.map_err(ended)??;
        expected.end_log();
        let rows = moment.each_row(only.as_ref(), |table, row, beside| {
            expected.found(table, row, beside);
        });
        rows.await?;
        if only.is_none()
            && expected.is_cut()
            && let Some(words) = moment.uneven_days().await?
        {
            return Ok(Outcome::Difference(words));
        }
        Ok(expected.end())
    }
}

fn read(updates: &dyn UpdatesPort, mut expected: Expected) -> Result<Expected, Error> {
    let mut taken = Ok(());
    updates.each_record(&mut |from, record| {
        if taken.is_ok() {
            taken = expected.take(from, record);
        }
    })?;
    taken.map(|()| expected).map_err(Error::Poison)
}
