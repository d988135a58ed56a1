//! The projection: turns the outputs of account stages into postings, orders and activities.
//!
//! Pure but for the ledger that it writes to: [`prepx_stage::consume`] runs it.

use std::collections::BTreeMap;
use std::time::Duration;

use prepx_bus::{Topic, TopicPartition};
use prepx_domain::market::interval;
use prepx_domain::update::{AccountUpdate, Book, Change, Posting};
use prepx_domain::{AccountId, Asset, Micros, OrderId};
use prepx_proto::journal;
use prepx_stage::Following;
use prepx_stage::consume::{Consumer, Runner};
use prepx_stage::follow::{self, Batch, Message, Poison};

use crate::domain::activity::{Kind, Place};
use crate::domain::points::DAY_US;
use crate::store::ledger::Ledger;

/// Why a message could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be followed.
    #[error(transparent)]
    Follow(#[from] follow::Error),
    /// The store failed, or found a gap.
    #[error(transparent)]
    Store(#[from] prepx_store::Error),
    /// A message is not understood.
    #[error(transparent)]
    Poison(#[from] Poison<journal::Error>),
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
    /// When the last of them was decided.
    pub at: Micros,
    /// Whose.
    pub accounts: Vec<AccountId>,
    /// In the order of the log.
    pub postings: Vec<PostingRow>,
    /// The last view of each order.
    pub orders: BTreeMap<OrderId, OrderRow>,
    /// In the order of the log.
    pub activities: Vec<ActivityRow>,
    /// Accounts of the simulated population that were opened.
    pub simulated: Vec<AccountId>,
    /// By account, asset and midnight (UTC).
    pub days: BTreeMap<(AccountId, Asset, Micros), Moved>,
}

/// By how much an account's total of an asset has changed.
#[derive(Clone, Copy, Debug, Default)]
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
        self.at = update.at;
        if self.accounts.last() != Some(&update.account) {
            self.accounts.push(update.account);
        }
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
        let account = update.account;
        match update.change {
            Change::Order { order, .. } => {
                let view = *order;
                self.orders.insert(view.id, OrderRow { account, view });
            }
            Change::Opened { simulated, .. } if simulated => self.simulated.push(account),
            _ => {}
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

/// The partition that a consumer of accounts follows.
pub fn source(partition: u32) -> TopicPartition {
    Topic::PortfolioUpdates.partition(partition)
}

/// Takes partitions of the log into the ledger, those that are this process's to take.
pub struct Projection {
    ledger: Ledger,
    partitions: Vec<u32>,
    name: String,
}

impl Projection {
    /// The projection of all partitions, where the ledger stands. It registers at the log what it still needs, so it
    /// is to be made before anything lets go of the log.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the log has failed.
    pub async fn open(following: Following, ledger: Ledger) -> Result<Runner<Projection>, Error> {
        let partitions = (0..following.topology.account_partitions).collect();
        let name = Self::NAME.to_owned();
        let projection = Projection {
            ledger,
            partitions,
            name,
        };
        Runner::open(following, projection).await
    }

    /// The same, one for each shard that has partitions: while one shard is away, the books of the others
    /// go on.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn of_each_shard(
        following: &Following,
        ledger: &Ledger,
    ) -> Result<Vec<Runner<Projection>>, Error> {
        let mut shards = BTreeMap::<usize, Vec<u32>>::new();
        for partition in 0..following.topology.account_partitions {
            let shard = ledger.shard_of(partition);
            shards.entry(shard).or_default().push(partition);
        }
        let is_one = shards.len() == 1;
        let mut runners = Vec::new();
        for (shard, partitions) in shards {
            let name = match is_one {
                true => Self::NAME.to_owned(),
                false => format!("{}/{shard}", Self::NAME),
            };
            let projection = Projection {
                ledger: ledger.clone(),
                partitions,
                name,
            };
            runners.push(Runner::open(following.clone(), projection).await?);
        }
        Ok(runners)
    }

    /// Which partitions it follows.
    pub fn partitions(&self) -> &[u32] {
        &self.partitions
    }
}

impl Consumer for Projection {
    type Error = Error;

    const NAME: &'static str = "portfolio";
    const PAUSE: Duration = Duration::from_millis(50);
    const BATCHES_BETWEEN_RELEASES: u32 = 16;
    /// So that reads of accounts are answered by every process, whichever takes their partitions.
    const SEES: bool = true;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn sources(&self) -> Vec<TopicPartition> {
        self.partitions.iter().copied().map(source).collect()
    }

    async fn resume(&mut self, partition: TopicPartition) -> Result<u64, Error> {
        Ok(self.ledger.resume(partition.partition).await?)
    }

    async fn take(&mut self, batch: Batch) -> Result<(), Error> {
        self.ledger.take(&batch).await
    }

    fn see(&mut self, batch: &Batch) -> Result<(), Error> {
        Ok(self.ledger.see(batch)?)
    }

    async fn sync(&mut self) -> Result<(), Error> {
        Ok(self.ledger.sync(&self.partitions).await?)
    }
}
