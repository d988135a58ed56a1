//! Reads of the books: activities and past orders. A read is never older than what its caller has seen
//! before, whichever process takes the account's partition and whichever server of the store answers; it may
//! come from the cache if nothing has changed the account since. What the busiest accounts read most is
//! prefetched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prepx_cache::{Loaded, Warmer};
use prepx_domain::AccountId;
use prepx_domain::update::OrderView;
use prepx_stage::consume::Runner;
use prepx_stage::port::{Answer, AuditPort, HistoryPort, PastOrders, ReadError};
use prepx_stage::{Following, Progress};
use prepx_store::Error as StoreError;

use crate::audit::{self, Audit, Compared, Counts, Totals};
use crate::domain::activity::{Activity, Query};
use crate::domain::points::Points;
use crate::domain::worth::Changes;
use crate::projection::{Projection, source};
use crate::read_cache::{self, Ask, Question, ReadCache};
use crate::store::ledger::{Ledger, View};

/// How long a read waits for the books to have what was durable when it began.
const WAIT: Duration = Duration::from_secs(2);
/// When a reader who waited in vain should try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The reading side of the ledger. Cheap to clone.
#[derive(Clone)]
pub struct Books {
    compared: Compared,
    ledger: Ledger,
    following: Following,
    /// The progress of the projection of each partition.
    progress: Arc<[Progress]>,
    cache: ReadCache,
    warmer: Arc<Warmer<AccountId, Question>>,
}

/// How far the books are for a reader.
#[derive(Clone, Copy)]
struct Reached {
    partition: u32,
    /// The position that the books report, at least the account's version: what is cached under a version has seen it.
    stored: u64,
    /// The account's version at that time.
    version: Option<u64>,
}

impl Books {
    /// Books over the ledger and the projections that fill it. Reads are cached in `cache` and reported to `warmer`.
    pub fn new(
        compared: Compared,
        following: Following,
        takers: &[Runner<Projection>],
        cache: ReadCache,
        warmer: Arc<Warmer<AccountId, Question>>,
    ) -> Books {
        let taken = |taker: &Runner<Projection>| {
            let partitions = taker.consumer().partitions().to_vec();
            partitions
                .into_iter()
                .map(|of| (of, taker.progress()))
                .collect::<Vec<_>>()
        };
        let progress: BTreeMap<u32, Progress> = takers.iter().flat_map(taken).collect();
        Books {
            ledger: compared.ledger.clone(),
            compared,
            following,
            progress: progress.into_values().collect(),
            cache,
            warmer,
        }
    }

    /// Activities of an account, including everything that was durable when the call began.
    pub async fn activities(&self, query: &Query) -> Result<Vec<Activity>, ReadError> {
        self.answer(query.account, query).await
    }

    /// What an account had over time, including everything that was durable when the call began; `None` if
    /// it changed too often for points this narrow.
    pub async fn changes(
        &self,
        account: AccountId,
        points: &Points,
    ) -> Result<Option<Changes>, ReadError> {
        // Extended to whole days, so that the answer is the same, and cached, all day.
        self.answer(account, &points.of_whole_days()).await
    }

    /// Prefetches what the busiest accounts read most, for ever.
    pub async fn keep_warm(&self) {
        self.warmer
            .run(|account, asked| self.warm(account, asked))
            .await;
    }

    /// The same once, if it is due.
    pub async fn warm_if_due(&self) {
        self.warmer
            .step(|account, asked| self.warm(account, asked))
            .await;
    }

    /// Reads the answer for an account unless it is cached; returns whether it did.
    async fn warm(&self, account: AccountId, asked: Question) -> Result<bool, ReadError> {
        match asked {
            Question::Activities(query) => self.prepare(account, query).await,
            Question::Orders(query) => self.prepare(account, query).await,
            Question::Changes(points) => self.prepare(account, points).await,
        }
    }

    async fn prepare<A: Ask>(&self, account: AccountId, ask: A) -> Result<bool, ReadError> {
        let reached = self.reached_for(account).await?;
        let Some(version) = reached.version else {
            return Ok(false);
        };
        let key = ask.key(account, version);
        let load = Box::pin(self.load(account, &ask, reached));
        let warmed = A::space(&self.cache).warm(key.as_bytes(), load).await;
        warmed.map_err(Arc::unwrap_or_clone)
    }

    /// The answer for an account, from the cache or the store.
    async fn answer<A: Ask>(&self, account: AccountId, ask: &A) -> Result<A::Found, ReadError> {
        self.warmer.note(account, &ask.clone().into());
        let reached = self.reached_for(account).await?;
        let load = Box::pin(self.load(account, ask, reached));
        let Some(version) = reached.version else {
            return load.await.map(|loaded| Arc::unwrap_or_clone(loaded.value));
        };
        let key = ask.key(account, version);
        let space = A::space(&self.cache);
        match space.get_or_load(key.as_bytes(), load).await {
            Ok(found) => Ok(Arc::unwrap_or_clone(found)),
            Err(error) => Err(Arc::unwrap_or_clone(error)),
        }
    }

    async fn load<A: Ask>(
        &self,
        account: AccountId,
        ask: &A,
        reached: Reached,
    ) -> Result<Loaded<Arc<A::Found>>, ReadError> {
        let mut view = self.view(reached.partition, reached.stored).await?;
        let found = ask.read(&mut view, account).await.map_err(refused)?;
        Ok(Loaded {
            value: Arc::new(found),
            ttl: read_cache::TTL,
        })
    }

    /// The ledger at the same moment as the stages, for comparison.
    pub async fn audit(&self, stages: &dyn AuditPort) -> Result<Audit, ReadError> {
        let stages = stages.books().await?;
        for partition in 0..self.following.topology.account_partitions {
            let stored = self.reached(partition).await?;
            drop(self.view(partition, stored).await?);
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

    /// Compares every row of the tables with the log.
    pub async fn compare_tables(&self) -> Result<Result<Counts, String>, ReadError> {
        self.compared.compare().await.map_err(|error| match error {
            audit::Error::Store(error) => refused(error),
            audit::Error::Read(error) => error,
            audit::Error::Poison(words) => {
                tracing::error!(error = words, "the tables cannot be compared");
                ReadError::Unavailable("the log is not understood".into())
            }
        })
    }

    /// Waits until the books have everything that is now on the log of the account's partition.
    async fn reached_for(&self, account: AccountId) -> Result<Reached, ReadError> {
        let partitions = self.following.topology.account_partitions;
        let partition = account.slot().partition(partitions);
        let reached = self.reached(partition).await?;
        // The version may have changed since, and a replica may not have that change yet.
        let version = self.ledger.version(partition, account);
        Ok(Reached {
            partition,
            stored: version.map_or(reached, |version| version.max(reached)),
            version,
        })
    }

    /// The books of a partition at that position. If another process takes it, that one may have to store it
    /// first.
    async fn view(&self, partition: u32, stored: u64) -> Result<View, ReadError> {
        let (progress, of) = (&self.progress[partition as usize], [source(partition)]);
        let read = || self.ledger.view_past(partition, stored);
        let is_behind = |error: &StoreError| matches!(error, StoreError::Behind);
        let view = progress.stored(&of, WAIT, read, is_behind);
        view.await.ok_or_else(behind)?.map_err(refused)
    }

    /// Waits until the books have everything that was acknowledged in a partition so far; returns the positions
    /// that they report.
    async fn reached(&self, partition: u32) -> Result<u64, ReadError> {
        let progress = &self.progress[partition as usize];
        let there = progress.caught_up(&self.following.tail, [source(partition)]);
        let reached = tokio::time::timeout(WAIT, there).await.ok().flatten();
        let stored = reached.and_then(|reached| Some(reached.first()?.1));
        // None if they are behind, or the projection has ended with the process.
        stored.ok_or_else(behind)
    }
}

fn behind() -> ReadError {
    ReadError::Unavailable("the books are behind".into())
}

fn refused(error: StoreError) -> ReadError {
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
            if let PastOrders::Query(query) = &which {
                return books.answer(account, query).await;
            }
            let reached = books.reached_for(account).await?;
            let mut view = books.view(reached.partition, reached.stored).await?;
            view.orders(account, &which).await.map_err(refused)
        })
    }
}
