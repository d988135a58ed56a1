//! What people read of the books: activities and past orders, never older than what they were
//! answered before they asked, from whichever server of the store has that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prepx_domain::AccountId;
use prepx_domain::update::OrderView;
use prepx_stage::consume::Runner;
use prepx_stage::port::{Answer, AuditPort, HistoryPort, PastOrders, ReadError};
use prepx_stage::{Following, Progress};

use crate::activity::{Activity, Query};
use crate::audit::{self, Audit, Totals};
use crate::points::Points;
use crate::projection::{Projection, source};
use crate::store::ledger::{Ledger, View};
use crate::worth::Changes;

/// How long a read waits for the books to have what was durable when it came.
const WAIT: Duration = Duration::from_secs(2);
/// When a reader who waited for nothing should come again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The reading side of the ledger. Cheap to clone.
#[derive(Clone)]
pub struct Books {
    ledger: Ledger,
    following: Following,
    /// How far the projection of each partition has come.
    progress: Arc<[Progress]>,
}

impl Books {
    /// Over the ledger and what takes each partition into it.
    pub fn new(ledger: Ledger, following: Following, takers: &[Runner<Projection>]) -> Books {
        let taken = |taker: &Runner<Projection>| {
            let partitions = taker.consumer().partitions().to_vec();
            partitions
                .into_iter()
                .map(|of| (of, taker.progress()))
                .collect::<Vec<_>>()
        };
        let progress: BTreeMap<u32, Progress> = takers.iter().flat_map(taken).collect();
        Books {
            ledger,
            following,
            progress: progress.into_values().collect(),
        }
    }

    /// Activities of an account, up to everything that was durable when this was asked.
    pub async fn activities(&self, query: &Query) -> Result<Vec<Activity>, ReadError> {
        let mut view = self.caught_up(query.account).await?;
        view.activities(query).await.map_err(refused)
    }

    /// What an account had over time, up to everything that was durable when this was asked; `None`
    /// when it changed too often for points this narrow.
    pub async fn changes(
        &self,
        account: AccountId,
        points: &Points,
    ) -> Result<Option<Changes>, ReadError> {
        let mut view = self.caught_up(account).await?;
        view.changes(account, points).await.map_err(refused)
    }

    /// The ledger beside what the stages have.
    pub async fn audit(&self, stages: &dyn AuditPort) -> Result<Audit, ReadError> {
        let stages = stages.books().await?;
        for partition in 0..self.following.topology.account_partitions {
            self.reached(partition).await?;
        }
        let (unbalanced, postings) = self.ledger.balance().await.map_err(refused)?;
        let books = self.ledger.sums(&stages.positions).await.map_err(refused)?;
        let totals = Totals::of(&books);
        let difference = stages
            .flaw
            .or_else(|| unbalanced.as_ref().map(audit::describe))
            .or_else(|| totals.check_conserved().err())
            .or_else(|| audit::compare(&stages.books, &books).err());
        Ok(Audit {
            positions: stages.positions,
            accounts: stages.accounts,
            postings,
            totals,
            difference,
        })
    }

    /// The books with what the log has of the account's partition now, as soon as they have it.
    async fn caught_up(&self, account: AccountId) -> Result<View, ReadError> {
        let partitions = self.following.topology.account_partitions;
        let partition = account.slot().partition(partitions);
        let stored = self.reached(partition).await?;
        let view = self.ledger.view_past(partition, stored).await;
        if matches!(view, Err(prepx_store::Error::Behind)) {
            self.progress[partition as usize].doubt();
        }
        view.map_err(refused)
    }

    /// Waits until the books have what the log has of a partition now; how far they say that they are.
    async fn reached(&self, partition: u32) -> Result<u64, ReadError> {
        let wanted = self.following.tail.end(source(partition));
        let there = self.progress[partition as usize].reached(source(partition), wanted);
        let stored = tokio::time::timeout(WAIT, there).await.ok().flatten();
        // None when they are behind, or the projection has ended with the process.
        stored.ok_or_else(|| ReadError::Unavailable("the books are behind".into()))
    }
}

fn refused(error: prepx_store::Error) -> ReadError {
    if error.is_retryable() {
        return ReadError::Busy {
            retry_after: RETRY_AFTER,
        };
    }
    tracing::error!(%error, "the ledger cannot be read");
    ReadError::Unavailable("the books cannot be read".into())
}

impl HistoryPort for Books {
    fn past_orders(
        &self,
        account: AccountId,
        which: PastOrders,
    ) -> Answer<Result<Vec<OrderView>, ReadError>> {
        let books = self.clone();
        Box::pin(async move {
            let mut view = books.caught_up(account).await?;
            view.orders(account, &which).await.map_err(refused)
        })
    }
}
