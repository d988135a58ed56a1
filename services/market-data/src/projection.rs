//! The projection: takes what the matching stages tell into the store and into memory.
//!
//! [`prepx_stage::consume`] runs it. After a failure memory may be ahead of the store, so the markets
//! are read anew from it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use prepx_bus::{Topic, TopicPartition};
use prepx_domain::InstrumentId;
use prepx_proto::journal;
use prepx_stage::consume::{Consumer, Positions, Runner};
use prepx_stage::follow::{self, Batch, Poison};
use prepx_stage::{Following, Topology};

use crate::counted::Counted;
use crate::market::{self, Markets, Rows};
use crate::store::{Keep, Store};

/// After how many new ones the oldest are let go of.
const PRUNE_EVERY: u64 = 20_000;

/// Why a change could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be followed.
    #[error(transparent)]
    Follow(#[from] follow::Error),
    /// The store failed, or found a gap.
    #[error(transparent)]
    Store(#[from] prepx_store::Error),
    /// It does not follow the one before.
    #[error(transparent)]
    Market(#[from] market::Error),
    /// A message is not understood.
    #[error(transparent)]
    Poison(#[from] Poison<journal::Error>),
}

/// The markets in memory, as readers see them. Cheap to clone.
#[derive(Clone, Default)]
pub struct Shared(Arc<RwLock<Markets>>);

impl Shared {
    /// The markets now. Held for a look, never across a wait.
    pub fn read(&self) -> RwLockReadGuard<'_, Markets> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Markets) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes the log into store and memory.
pub struct Projection {
    store: Store,
    topology: Topology,
    markets: Shared,
    /// How many trades and quotes came since the last pruning.
    unpruned: BTreeMap<InstrumentId, u64>,
    counted: Counted,
}

/// A partition that is followed.
pub fn source(partition: u32) -> TopicPartition {
    Topic::MarketData.partition(partition)
}

impl Consumer for Projection {
    type Error = Error;

    const NAME: &'static str = "market-data";
    const PAUSE: Duration = Duration::from_millis(50);
    const BATCHES_BETWEEN_RELEASES: u32 = 16;

    async fn positions(&mut self) -> Result<Positions, Error> {
        let next = self.store.positions(self.topology.matching_partitions);
        let numbered = (0u32..).zip(next.await?);
        let stored = self.store.markets().await?;
        self.markets.change(|markets| *markets = stored);
        Ok(numbered
            .map(|(number, next)| (source(number), next))
            .collect())
    }

    async fn take(&mut self, batch: Batch) -> Result<(), Error> {
        self.commit(&batch).await
    }

    async fn sync(&mut self) -> Result<(), Error> {
        Ok(self.store.sync().await?)
    }
}

impl Projection {
    /// Where the store stands. Speaks up at the log for what is still needed, so it is to be made
    /// before anything lets go of the log.
    ///
    /// # Errors
    /// When the store cannot be read, or the log has failed.
    pub async fn open(following: Following, store: Store) -> Result<Runner<Projection>, Error> {
        let projection = Projection {
            store,
            topology: following.topology,
            markets: Shared::default(),
            unpruned: BTreeMap::new(),
            counted: Counted::default(),
        };
        Runner::open(following, projection).await
    }

    /// The markets in memory.
    pub fn markets(&self) -> Shared {
        self.markets.clone()
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), Error> {
        let taking = self.store.begin(batch).await?;
        let rows = self
            .markets
            .change(|markets| markets.apply(&taking.updates))?;
        let prune = self.due(&rows);
        self.store.finish(taking, &rows, &prune).await?;
        self.counted.count(&rows, &self.markets.read());
        Ok(())
    }

    /// The instruments whose histories have grown enough, and what is kept of them.
    fn due(&mut self, rows: &Rows) -> Vec<(InstrumentId, Keep)> {
        let trades = rows.trades.iter().map(|(id, _)| *id);
        for id in trades.chain(rows.quotes.keys().map(|(id, _)| *id)) {
            *self.unpruned.entry(id).or_default() += 1;
        }
        let keep = self.store.keep(self.markets.read().len());
        let every = PRUNE_EVERY.min(keep.rows / 8 + 1);
        let due = self.unpruned.extract_if(.., |_, count| *count >= every);
        due.map(|(id, _)| (id, keep)).collect()
    }
}
