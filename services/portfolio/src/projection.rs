//! The projection: turns what account stages tell into postings, orders and activities.
//!
//! Runs on a thread of its own, so that what it does with rows never stands in the way of an order.
//! It skips nothing and goes on past nothing: what it cannot take, it says loudly and tries again
//! from where it stands; reads that need what is missing are refused meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::{Topic, TopicPartition};
use prepx_domain::market::interval;
use prepx_domain::update::{AccountUpdate, Book, Change, Posting};
use prepx_domain::{AccountId, Asset, Micros, OrderId};
use prepx_proto::journal;
use prepx_runtime::{Drain, TaskError};
use prepx_stage::follow::{self, Batch, Follower, Message, Tail};
use prepx_stage::{Retention, Topology};
use tokio::sync::{oneshot, watch};

use crate::activity::{Kind, Place};
use crate::points::DAY_US;
use crate::store::ledger::Ledger;

/// The log is let go of after so many batches, of at most about 1 MiB each: it costs a sync.
const BATCHES_BETWEEN_RELEASES: u32 = 128;
/// The name under which the projection holds on to what it needs of the log.
const CONSUMER: &str = "portfolio";
/// A batch below this size is followed by a pause: many small commits cost more than few large.
const FULL_BATCH: usize = 256;
/// That pause: how much later than the log the books may be for it.
const PAUSE: Duration = Duration::from_millis(10);
/// How long after a failure it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

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

/// Why a message could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be followed.
    #[error(transparent)]
    Follow(#[from] follow::Error),
    /// The store failed, or found a gap.
    #[error(transparent)]
    Store(#[from] prepx_store::Error),
    /// A message is not understood: it was written by a newer version, or is damaged.
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

/// One leg, and where it came from.
pub struct PostingRow {
    /// The partition of the account stage.
    pub partition: u32,
    /// The transition in its journal.
    pub seq: u64,
    /// The message on its lane.
    pub number: u64,
    /// Which leg of the message.
    pub leg: usize,
    /// What moved.
    pub posting: Posting,
}

/// An order as it was seen last.
pub struct OrderRow {
    /// Whose.
    pub account: AccountId,
    /// The order.
    pub view: prepx_domain::update::OrderView,
}

/// An activity with the change behind it as it stands on the log.
pub struct ActivityRow {
    /// Whose.
    pub account: AccountId,
    /// Where it stands.
    pub place: Place,
    /// The change.
    pub change: bytes::Bytes,
}

/// What messages come to, to be written in one transaction.
#[derive(Default)]
pub struct Rows {
    /// In the order of the log.
    pub postings: Vec<PostingRow>,
    /// The last view of each order.
    pub orders: BTreeMap<OrderId, OrderRow>,
    /// In the order of the log.
    pub activities: Vec<ActivityRow>,
    /// By account, asset and midnight (UTC).
    pub days: BTreeMap<(AccountId, Asset, Micros), Moved>,
}

/// By how much an account's total of an asset has changed.
#[derive(Default)]
pub struct Moved {
    /// In all, in minor units.
    pub change_minor: i64,
    /// How much of that was paid in, or out when negative.
    pub paid_minor: i64,
}

impl Rows {
    /// Adds what one message comes to.
    pub fn add(
        &mut self,
        partition: u32,
        number: u64,
        message: &Message,
    ) -> Result<(), journal::Error> {
        let update: AccountUpdate = journal::decode(&message.payload)?;
        for kind in Kind::of(&update).into_iter().flatten() {
            self.activities.push(ActivityRow {
                account: update.account,
                place: Place {
                    at: update.at,
                    partition,
                    number,
                    kind,
                },
                change: message.payload.clone(),
            });
        }
        self.add_to_day(&update);
        let legs = update.postings.iter().enumerate();
        self.postings.extend(legs.map(|(leg, posting)| PostingRow {
            partition,
            seq: message.seq,
            number,
            leg,
            posting: *posting,
        }));
        if let Change::Order { order, .. } = update.change {
            let (account, view) = (update.account, *order);
            self.orders.insert(view.id, OrderRow { account, view });
        }
        Ok(())
    }
}

impl Rows {
    fn add_to_day(&mut self, update: &AccountUpdate) {
        let own = |leg: &&Posting| matches!(leg.book, Book::Available(_) | Book::Held(_));
        let mut totals = BTreeMap::<Asset, i64>::new();
        for leg in update.postings.iter().filter(own) {
            *totals.entry(leg.asset).or_default() += leg.amount_minor;
        }
        let day = interval(update.at, DAY_US);
        let is_paid = matches!(
            update.change,
            Change::Deposited { .. } | Change::Withdrawn { .. }
        );
        for (asset, minor) in totals.into_iter().filter(|(_, minor)| *minor != 0) {
            let moved = self.days.entry((update.account, asset, day)).or_default();
            moved.change_minor += minor;
            moved.paid_minor += if is_paid { minor } else { 0 };
        }
    }
}

/// How far the projection has come: of each partition, the offset of the first record that is not
/// in the books.
pub type Progress = watch::Receiver<Vec<u64>>;

/// Takes the log into the ledger.
pub struct Projection {
    following: Following,
    ledger: Ledger,
    progress: watch::Sender<Vec<u64>>,
    /// Batches since the log was last let go of.
    unreleased: u32,
}

/// The partition that a consumer of accounts follows.
pub fn source(partition: u32) -> TopicPartition {
    Topic::PortfolioUpdates.partition(partition)
}

impl Projection {
    /// Where the ledger stands. Speaks up at the log for what is still needed, so it is to be made
    /// before anything lets go of the log.
    pub async fn open(
        following: Following,
        ledger: Ledger,
    ) -> Result<(Projection, Progress), Error> {
        let partitions = following.topology.account_partitions;
        let next = ledger.positions(partitions).await?;
        let (progress, seen) = watch::channel(next);
        let mut projection = Projection {
            following,
            ledger,
            progress,
            unreleased: 0,
        };
        projection.release().await?;
        Ok((projection, seen))
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
            .name("ledger".into())
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
            tracing::error!(%error, "alarm: the ledger cannot go on; it is tried again");
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
        let from = (0u32..).zip(self.progress.borrow().iter().copied().collect::<Vec<_>>());
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

    /// Takes everything that is durable now; says after each batch how many records it had.
    pub async fn catch_up(&mut self, mut taken: impl FnMut(u64)) -> Result<(), Error> {
        let mut follower = self.follower();
        while let Some(batch) = follower.look()? {
            self.take(&batch).await?;
            taken(batch.next - batch.from);
        }
        Ok(())
    }

    async fn take(&mut self, batch: &Batch) -> Result<(), Error> {
        self.ledger.take(batch).await?;
        let partition = batch.partition;
        self.progress
            .send_modify(|next| next[partition.partition as usize] = batch.next);
        self.unreleased += 1;
        if self.unreleased < BATCHES_BETWEEN_RELEASES {
            return Ok(());
        }
        self.release().await
    }

    /// Lets go of the log behind what the ledger has taken, once that survives the loss of power:
    /// otherwise the ledger could fall back behind where the log now begins.
    async fn release(&mut self) -> Result<(), Error> {
        self.ledger.sync().await?;
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
