//! The projection: applies the outputs of the matching stages to the store and to memory.
//!
//! [`prepx_stage::consume`] runs it. What another process writes to the store is only folded in memory, so that every
//! process shows the latest state of all markets. After a failure, and when this process takes over a partition,
//! memory may be ahead of the store: then the markets are read from the store again and folded, and are shown when
//! they have caught up with what was shown before.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prepx_bus::{Topic, TopicPartition};
use prepx_domain::{InstrumentId, Slot};
use prepx_proto::journal;
use prepx_stage::consume::{Consumer, Runner};
use prepx_stage::follow::{self, Batch, Poison};
use prepx_stage::{Following, Topology};

use crate::domain::market::{self, Market, Markets, Rows};
use crate::metrics::Metrics;
use crate::store::{Keep, Store};

/// The oldest rows are pruned after this many new ones.
const PRUNE_EVERY: u64 = 20_000;

/// Why a change could not be applied.
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
    /// A message cannot be decoded.
    #[error(transparent)]
    Poison(#[from] Poison<journal::Error>),
}

/// The markets in memory by partition, as readers see them. Cheap to clone.
#[derive(Clone)]
pub struct Shared(Arc<[RwLock<Markets>]>);

impl Shared {
    fn of(partitions: u32) -> Shared {
        Shared((0..partitions).map(|_| RwLock::default()).collect())
    }

    /// The partition that has a symbol, if it is listed.
    pub fn partition_of(&self, symbol: &str) -> TopicPartition {
        source(Slot::of_symbol(symbol).partition(self.0.len() as u32))
    }

    /// What `show` makes of the market of a symbol, if it exists.
    pub fn look<T>(&self, symbol: &str, show: impl FnOnce(&Market) -> T) -> Option<T> {
        let partition = self.partition_of(symbol).partition;
        self.read(partition, |markets| markets.by_symbol(symbol).map(show))
    }

    /// The number of markets.
    fn len(&self) -> usize {
        let partitions = 0..self.0.len() as u32;
        let lens = partitions.map(|partition| self.read(partition, Markets::len));
        lens.sum()
    }

    fn read<T>(&self, partition: u32, look: impl FnOnce(&Markets) -> T) -> T {
        let markets = self.0[partition as usize].read();
        look(&markets.unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, partition: u32, change: impl FnOnce(&mut Markets) -> T) -> T {
        let markets = self.0[partition as usize].write();
        change(&mut markets.unwrap_or_else(PoisonError::into_inner))
    }
}

/// Applies the log to the store and to memory.
pub struct Projection {
    store: Store,
    topology: Topology,
    markets: Shared,
    /// By partition, the offset up to which markets are shown.
    shown: Vec<u64>,
    /// By partition, the markets as read from the store and folded since; until they are shown.
    unshown: BTreeMap<u32, Markets>,
    /// The number of trades and quotes since the last pruning.
    unpruned: BTreeMap<InstrumentId, u64>,
    metrics: Metrics,
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

    const SEES: bool = true;

    fn sources(&self) -> Vec<TopicPartition> {
        (0..self.topology.matching_partitions).map(source).collect()
    }

    async fn resume(&mut self, of: TopicPartition) -> Result<u64, Error> {
        let (partition, partitions) = (of.partition, self.topology.matching_partitions);
        let next = self.store.position(of).await?;
        let is_of = |id: InstrumentId| id.slot().partition(partitions) == partition;
        let stored = self.store.markets(is_of).await?;
        self.unshown.insert(partition, stored);
        self.show(partition, next);
        Ok(next)
    }

    async fn take(&mut self, batch: Batch) -> Result<(), Error> {
        self.commit(&batch).await?;
        self.show(batch.partition.partition, batch.next);
        Ok(())
    }

    fn see(&mut self, batch: &Batch) -> Result<(), Error> {
        let updates = batch.runs.iter().flat_map(|run| &run.messages);
        let updates = updates.map(|message| {
            journal::decode(&message.payload).map_err(|error| batch.poison(message, error))
        });
        let updates: Vec<_> = updates.collect::<Result<_, _>>()?;
        let partition = batch.partition.partition;
        self.fold(partition, |markets| markets.apply(&updates))?;
        self.show(partition, batch.next);
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), Error> {
        Ok(self.store.sync().await?)
    }
}

impl Projection {
    /// From the store's positions on. Registers with the log what is still needed, so it must be created
    /// before anything releases the log.
    ///
    /// # Errors
    /// When the store cannot be read, or the log has failed.
    pub async fn open(following: Following, store: Store) -> Result<Runner<Projection>, Error> {
        let projection = Projection {
            store,
            topology: following.topology,
            markets: Shared::of(following.topology.matching_partitions),
            shown: vec![0; following.topology.matching_partitions as usize],
            unshown: BTreeMap::new(),
            unpruned: BTreeMap::new(),
            metrics: Metrics::default(),
        };
        Runner::open(following, projection).await
    }

    /// The markets in memory.
    pub fn markets(&self) -> Shared {
        self.markets.clone()
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), Error> {
        let partition = batch.partition.partition;
        let taking = self.store.begin(batch).await?;
        let rows = self.fold(partition, |markets| markets.apply(&taking.updates))?;
        let prune = self.due(&rows);
        self.store.finish(taking, &rows, &prune).await?;
        let mut metrics = std::mem::take(&mut self.metrics);
        self.fold(partition, |markets| metrics.count(&rows, markets));
        self.metrics = metrics;
        Ok(())
    }

    /// The markets of a partition that this continues to fold.
    fn fold<T>(&mut self, partition: u32, change: impl FnOnce(&mut Markets) -> T) -> T {
        match self.unshown.get_mut(&partition) {
            Some(markets) => change(markets),
            None => self.markets.change(partition, change),
        }
    }

    /// A partition has been folded up to an offset: shows its markets, unless a later state is shown
    /// already.
    fn show(&mut self, partition: u32, next: u64) {
        let shown = &mut self.shown[partition as usize];
        if next < *shown {
            return;
        }
        *shown = next;
        if let Some(markets) = self.unshown.remove(&partition) {
            self.markets.change(partition, |shown| *shown = markets);
        }
    }

    /// The instruments whose histories have grown enough, and how much of them to keep.
    fn due(&mut self, rows: &Rows) -> Vec<(InstrumentId, Keep)> {
        let trades = rows.trades.iter().map(|(id, _)| *id);
        for id in trades.chain(rows.quotes.keys().map(|(id, _)| *id)) {
            *self.unpruned.entry(id).or_default() += 1;
        }
        let keep = self.store.keep(self.markets.len());
        let every = PRUNE_EVERY.min(keep.rows / 8 + 1);
        let due = self.unpruned.extract_if(.., |_, count| *count >= every);
        due.map(|(id, _)| (id, keep)).collect()
    }
}
