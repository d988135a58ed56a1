//! The projection: turns the outputs of account stages into postings, orders and activities.
//!
//! Pure except for the ledger that it writes to: [`prepx_stage::consume`] runs it.

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

/// Why a message could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be followed.
    #[error(transparent)]
    Follow(#[from] follow::Error),
    /// The store failed, or found a gap.
    #[error(transparent)]
    Store(#[from] prepx_store::Error),
    /// A message cannot be decoded.
    #[error(transparent)]
    Poison(#[from] Poison<journal::Error>),
}

/// One leg, and its origin.
pub struct PostingRow {
    /// The partition of the account stage.
    pub partition: u32,
    /// The transition in its journal.
    pub seq: u64,
    /// The message on its lane.
    pub number: u64,
    /// Its place among the legs of the message.
    pub leg: usize,
    /// The leg.
    pub posting: Posting,
}

/// The latest state of an order.
pub struct OrderRow {
    /// The account.
    pub account: AccountId,
    /// The order.
    pub view: prepx_domain::update::OrderView,
}

/// An activity, with its change as the log has it.
pub struct ActivityRow {
    /// The account.
    pub account: AccountId,
    /// Its place.
    pub place: Place,
    /// The change.
    pub change: bytes::Bytes,
}

/// The rows that follow from messages, to be written in one transaction.
#[derive(Default)]
pub struct Rows {
    /// When the last message was decided.
    pub at: Micros,
    /// The accounts.
    pub accounts: Vec<AccountId>,
    /// In the order of the log.
    pub postings: Vec<PostingRow>,
    /// The latest view of each order.
    pub orders: BTreeMap<OrderId, OrderRow>,
    /// In the order of the log.
    pub activities: Vec<ActivityRow>,
    /// Accounts of the simulated population that were opened.
    pub simulated: Vec<AccountId>,
    /// By account, asset and midnight (UTC).
    pub days: BTreeMap<(AccountId, Asset, Micros), Moved>,
}

/// The change of an account's total of an asset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    /// The whole change, in minor units.
    pub change_minor: i64,
    /// The part of it that was paid in, or out if negative.
    pub paid_minor: i64,
}

impl Rows {
    /// Adds the rows that follow from one message.
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

/// Writes the partitions that are this process's duty to the ledger.
pub struct Projection {
    ledger: Ledger,
    partitions: Vec<u32>,
    name: String,
}

impl Projection {
    /// The projection of all partitions, from the ledger's positions on. It registers with the log what it still
    /// needs, so it must be created before anything releases the log.
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
    /// continue.
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

    /// The partitions that it follows.
    pub fn partitions(&self) -> &[u32] {
        &self.partitions
    }
}

impl Consumer for Projection {
    type Error = Error;

    const NAME: &'static str = "portfolio";
    const PAUSE: Duration = Duration::from_millis(50);
    const BATCHES_BETWEEN_RELEASES: u32 = 16;
    /// So every process answers reads of accounts, whichever process takes their partitions.
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
