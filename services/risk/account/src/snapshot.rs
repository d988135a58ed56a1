//! The whole state as plain data, in an order that depends on nothing but the state.

use prepx_domain::message::Limits;
use prepx_domain::{AccountId, Asset, Micros, OrderId, Slot};
use uuid::Uuid;

use crate::commands::{Commands, Decision};
use crate::config::Config;
use crate::event::Cause;
use crate::order::{Order, Phase};
use crate::state::{Account, Balance, Books, LastIds, Market, Name, Stage};

/// Everything that a stage remembers. Restoring it gives an equal stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// By id.
    pub accounts: Vec<AccountRecord>,
    /// By instrument id.
    pub markets: Vec<Market>,
    /// Open and recently ended ones, by id.
    pub orders: Vec<Order>,
    /// By slot.
    pub last_ids: Vec<(Slot, LastIds)>,
    /// By asset.
    pub books: Vec<(Asset, Books)>,
    /// The remembered commands, in the order of the decisions.
    pub commands: Vec<(Cause, Decision)>,
    /// The latest stamp of a command that was forgotten for want of room.
    pub horizon: Micros,
    /// When which orders ended, oldest first.
    pub ended: Vec<(Micros, AccountId, OrderId)>,
    /// When which client order ids were freed, oldest first.
    pub freed_names: Vec<(Micros, AccountId, Name)>,
}

/// One account, without its orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// Its id.
    pub id: AccountId,
    /// Whose it is.
    pub user: Uuid,
    /// Whether it belongs to the simulated population.
    pub simulated: bool,
    /// When it was opened.
    pub created_at: Micros,
    /// Whether it is stopped.
    pub blocked: bool,
    /// Whether its owner has stopped trading.
    pub suspended: bool,
    /// What it may do.
    pub limits: Limits,
    /// By asset.
    pub balances: Vec<Balance>,
    /// The client order ids that are taken, and by which order.
    pub names: Vec<(Name, OrderId)>,
}

impl Stage {
    /// The whole state as plain data.
    pub fn export(&self) -> Snapshot {
        let (commands, horizon) = self.commands.export();
        Snapshot {
            accounts: sorted(
                self.accounts
                    .iter()
                    .map(|(id, account)| account.record(*id)),
                |record| record.id,
            ),
            markets: sorted(self.markets.values().cloned(), |market| {
                market.instrument.id
            }),
            orders: sorted(
                self.orders.values().map(|order| order.as_ref().clone()),
                |order| order.book.order,
            ),
            last_ids: sorted(
                self.last_ids.iter().map(|(slot, ids)| (*slot, *ids)),
                |ids| ids.0,
            ),
            books: self
                .books
                .iter()
                .map(|(asset, books)| (*asset, *books))
                .collect(),
            commands,
            horizon,
            ended: self.ended.iter().copied().collect(),
            freed_names: self.freed_names.iter().copied().collect(),
        }
    }

    /// The stage that a snapshot was taken from.
    pub fn restore(config: Config, snapshot: Snapshot) -> Stage {
        let mut stage = Stage {
            last_ids: snapshot.last_ids.into_iter().collect(),
            books: snapshot.books.into_iter().collect(),
            commands: Commands::restore(&config, snapshot.commands, snapshot.horizon),
            ended: snapshot.ended.into(),
            freed_names: snapshot.freed_names.into(),
            ..Stage::new(config)
        };
        for record in snapshot.accounts {
            stage.users.insert(record.user, record.id);
            stage.accounts.insert(record.id, Account::of_record(record));
        }
        for market in snapshot.markets {
            let instrument = &market.instrument;
            stage.symbols.insert(instrument.symbol, instrument.id);
            stage.markets.insert(instrument.id, market);
        }
        for order in snapshot.orders {
            stage.restore_order(order);
        }
        stage.restore_recent();
        stage
    }

    fn restore_order(&mut self, order: Order) {
        if let Some(account) = self.accounts.get_mut(&order.book.account)
            && order.is_open()
        {
            account.open.insert(order.book.order);
            let pending = usize::from(order.phase == Phase::Pending);
            account.pending = account.pending.saturating_add(pending);
        }
        self.orders.insert(order.book.order, Box::new(order));
    }

    /// The kept orders of each account, in the order of their ends.
    fn restore_recent(&mut self) {
        for (_, account, order) in &self.ended {
            if let Some(account) = self.accounts.get_mut(account)
                && self.orders.contains_key(order)
            {
                account.recent.push_back(*order);
            }
        }
    }
}

impl Account {
    fn record(&self, id: AccountId) -> AccountRecord {
        AccountRecord {
            id,
            user: self.user,
            simulated: self.simulated,
            created_at: self.created_at,
            blocked: self.blocked,
            suspended: self.suspended,
            limits: self.limits,
            balances: self.balances.clone(),
            names: sorted(self.names.iter().map(|(name, id)| (*name, *id)), |name| {
                name.0
            }),
        }
    }

    fn of_record(record: AccountRecord) -> Account {
        Account {
            user: record.user,
            simulated: record.simulated,
            created_at: record.created_at,
            blocked: record.blocked,
            suspended: record.suspended,
            limits: record.limits,
            balances: record.balances,
            open: Default::default(),
            pending: 0,
            recent: Default::default(),
            names: record.names.into_iter().collect(),
        }
    }
}

fn sorted<T, K: Ord>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable_by_key(|item| key(item));
    items
}
