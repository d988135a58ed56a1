//! The projection: takes what the matching stages tell into the store and into memory.
//!
//! Runs on a thread of its own, so that what it does with rows never stands in the way of an order.
//! It goes on past nothing: what it cannot take, it says loudly, reads the markets anew from the
//! store, and tries again from where that stands.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use prepx_bus::{Topic, TopicPartition};
use prepx_domain::InstrumentId;
use prepx_proto::journal;
use prepx_runtime::{Drain, TaskError};
use prepx_stage::follow::{self, Batch, Follower, Tail};
use prepx_stage::{Retention, Topology};
use tokio::sync::{oneshot, watch};

use crate::market::{self, Markets, Rows};
use crate::store::Store;

/// The log is let go of after so many batches, of at most about 1 MiB each: it costs a sync.
const BATCHES_BETWEEN_RELEASES: u32 = 128;
/// The name under which the projection holds on to what it needs of the log.
const CONSUMER: &str = "market-data";
/// A batch below this size is followed by a pause: many small commits cost more than few large.
const FULL_BATCH: usize = 256;
/// That pause: how much later than the log the markets may be for it.
const PAUSE: Duration = Duration::from_millis(10);
/// How long after a failure it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How many trades, and how many quotes, of an instrument are kept: about 50 MB of each.
const KEEP: u64 = 500_000;
/// After how many new ones the oldest are let go of.
const PRUNE_EVERY: usize = 20_000;

/// What the projection follows.
#[derive(Clone)]
pub struct Following {
    /// The end of the log.
    pub tail: Tail,
    /// Where it says how far it has come.
    pub retention: Arc<Retention>,
    /// How many partitions there are.
    pub topology: Topology,
}

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
    /// It is not understood: it was written by a newer version, or is damaged.
    #[error("{partition} at offset {offset}: {source}")]
    Poison {
        /// Where.
        partition: TopicPartition,
        /// Which record.
        offset: u64,
        /// Why.
        source: journal::Error,
    },
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

/// How far the projection has come: of each partition, the offset of the first record that it has
/// not taken.
pub type Progress = watch::Receiver<Vec<u64>>;

/// Takes the log into store and memory.
pub struct Projection {
    following: Following,
    store: Store,
    markets: Shared,
    progress: watch::Sender<Vec<u64>>,
    /// How many trades and quotes came since the last pruning.
    unpruned: BTreeMap<InstrumentId, usize>,
    /// Batches since the log was last let go of.
    unreleased: u32,
}

/// A partition that is followed.
pub fn source(partition: u32) -> TopicPartition {
    Topic::MarketData.partition(partition)
}

impl Projection {
    /// Where the store stands. Speaks up at the log for what is still needed, so it is to be made
    /// before anything lets go of the log.
    pub async fn open(following: Following, store: Store) -> Result<Projection, Error> {
        let next = store
            .positions(following.topology.matching_partitions)
            .await?;
        let markets = Shared::default();
        let loaded = store.markets().await?;
        markets.change(|markets| *markets = loaded);
        let mut projection = Projection {
            following,
            store,
            markets,
            progress: watch::channel(next).0,
            unpruned: BTreeMap::new(),
            unreleased: 0,
        };
        projection.release().await?;
        Ok(projection)
    }

    /// The markets in memory.
    pub fn markets(&self) -> Shared {
        self.markets.clone()
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.progress.subscribe()
    }

    /// Runs until the process ends, on a thread of its own.
    pub async fn run(self, drain: Drain) -> Result<(), TaskError> {
        let (ended, end) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let work = move || {
            let outcome = runtime.block_on(self.follow(&drain));
            // Nobody to tell means that the process is at its end.
            let _ = ended.send(outcome);
        };
        std::thread::Builder::new()
            .name("market-data".into())
            .spawn(work)?;
        end.await?.map_err(TaskError::from)
    }

    async fn follow(mut self, drain: &Drain) -> Result<(), follow::Error> {
        loop {
            let mut follower = self.follower();
            let error = tokio::select! {
                () = drain.stopping() => return Ok(()),
                error = self.take_all(&mut follower) => error,
            };
            tracing::error!(%error, "alarm: market data cannot go on; it is tried again");
            if let Error::Follow(dead @ follow::Error::Poisoned(_)) = error {
                return Err(dead);
            }
            tokio::select! {
                () = drain.stopping() => return Ok(()),
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
    }

    fn follower(&self) -> Follower {
        let next = self.progress.borrow().clone();
        let from = (0u32..).zip(next);
        let from = from.map(|(partition, offset)| (source(partition), offset));
        self.following.tail.follow(from)
    }

    /// Takes what comes until something fails.
    async fn take_all(&mut self, follower: &mut Follower) -> Error {
        loop {
            let taken = match follower.next().await {
                Ok(batch) => self.take(&batch).await.map(|()| batch.len()),
                Err(error) => Err(error.into()),
            };
            match taken {
                Ok(count) if count < FULL_BATCH => tokio::time::sleep(PAUSE).await,
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    /// Takes everything that is durable now; says after each batch how many changes it had.
    pub async fn catch_up(&mut self, mut taken: impl FnMut(usize)) -> Result<(), Error> {
        let mut follower = self.follower();
        while let Some(batch) = follower.look()? {
            self.take(&batch).await?;
            taken(batch.len());
        }
        Ok(())
    }

    async fn take(&mut self, batch: &Batch) -> Result<(), Error> {
        let outcome = self.commit(batch).await;
        if outcome.is_err() {
            // Memory may be ahead of the store by a part of the batch.
            let stored = self.store.markets().await?;
            self.markets.change(|markets| *markets = stored);
            return outcome;
        }
        let partition = batch.partition;
        self.progress
            .send_modify(|next| next[partition.partition as usize] = batch.next);
        self.unreleased += 1;
        if self.unreleased < BATCHES_BETWEEN_RELEASES {
            return Ok(());
        }
        self.release().await
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), Error> {
        let taking = self.store.begin(batch).await?;
        let rows = self
            .markets
            .change(|markets| markets.apply(&taking.updates))?;
        let prune = self.due(&rows);
        Ok(self.store.finish(taking, &rows, &prune).await?)
    }

    /// The instruments whose histories have grown enough.
    fn due(&mut self, rows: &Rows) -> Vec<(InstrumentId, u64)> {
        let trades = rows.trades.iter().map(|(id, _)| *id);
        for id in trades.chain(rows.quotes.keys().map(|(id, _)| *id)) {
            *self.unpruned.entry(id).or_default() += 1;
        }
        let due = self
            .unpruned
            .extract_if(.., |_, count| *count >= PRUNE_EVERY);
        due.map(|(id, _)| (id, KEEP)).collect()
    }

    /// Lets go of the log behind what the store has taken, once that survives the loss of power:
    /// otherwise the store could fall back behind where the log now begins.
    async fn release(&mut self) -> Result<(), Error> {
        self.store.sync().await?;
        self.unreleased = 0;
        let next = self.progress.borrow().clone();
        for (partition, offset) in (0u32..).zip(next) {
            let retention = &self.following.retention;
            let released = retention.release(CONSUMER, source(partition), offset);
            released.map_err(follow::Error::from)?;
        }
        Ok(())
    }
}
