//! Reads of the state. The caller makes sure that nobody reads what is not durable (I8) or belongs to
//! another account (I9).

use prepx_domain::update::OrderView;
use prepx_domain::view::{AccountView, Balance};
use prepx_domain::{AccountId, Asset, Instrument, InstrumentId, OrderId, Symbol};
use uuid::Uuid;

use crate::config::Config;
use crate::state::{Account, Books, Market, Name, Stage};

/// An account's holding of an instrument's base asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionView {
    /// The instrument.
    pub instrument: InstrumentId,
    /// Its symbol.
    pub symbol: Symbol,
    /// Its base asset.
    pub asset: Asset,
    /// Decimal places of the quantities.
    pub scale: u32,
    /// The whole quantity, in base minor units.
    pub qty_minor: i64,
    /// What no open sell holds.
    pub available_minor: i64,
    /// What open sells hold.
    pub held_minor: i64,
    /// The cost of the remaining quantity, without fees, in quote minor units.
    pub cost_minor: i64,
}

impl Stage {
    /// The configured limits.
    pub fn config(&self) -> Config {
        self.config
    }

    /// An account.
    pub fn account(&self, id: AccountId) -> Option<AccountView> {
        let account = self.accounts.get(&id)?;
        let balances = account.balances.iter().map(|balance| Balance {
            asset: balance.asset,
            scale: self.scale(balance.asset),
            available_minor: balance.available_minor,
            held_minor: balance.held_minor,
            cost_minor: balance.cost_minor,
        });
        Some(AccountView {
            account: id,
            user: account.user,
            opened_at: account.created_at,
            simulated: account.simulated,
            blocked: account.blocked,
            suspended: account.suspended,
            limits: account.limits,
            balances: balances.collect(),
            open_orders: u32::try_from(account.open.len()).unwrap_or(u32::MAX),
        })
    }

    /// The account of a user.
    pub fn account_of_user(&self, user: Uuid) -> Option<AccountId> {
        self.users.get(&user).copied()
    }

    /// The ids of all accounts, in order.
    pub fn accounts(&self) -> Vec<AccountId> {
        sorted(self.accounts.keys().copied())
    }

    /// What an account has of the base assets of instruments, by symbol.
    pub fn positions(&self, id: AccountId) -> Vec<PositionView> {
        let Some(account) = self.accounts.get(&id) else {
            return Vec::new();
        };
        let mut positions: Vec<PositionView> = self
            .markets
            .values()
            .filter_map(|market| position(account, &market.instrument))
            .collect();
        positions.sort_unstable_by_key(|position| position.symbol);
        positions
    }

    /// An order, open or ended not long ago.
    pub fn order(&self, id: OrderId) -> Option<OrderView> {
        let order = self.orders.get(&id)?;
        Some(order.view(&self.market(order.book.instrument).instrument))
    }

    /// An order by its client order id.
    pub fn order_by_client_id(&self, id: AccountId, client_order_id: &str) -> Option<OrderView> {
        let names = &self.accounts.get(&id)?.names;
        self.order(*names.get(&Name::of(client_order_id))?)
    }

    /// The open orders of an account, oldest first.
    pub fn open_orders(&self, id: AccountId) -> Vec<OrderView> {
        let account = self.accounts.get(&id);
        self.views(account.into_iter().flat_map(|account| account.open.iter()))
    }

    /// The orders of an account that have ended and are still kept, oldest first.
    pub fn recent_orders(&self, id: AccountId) -> Vec<OrderView> {
        let account = self.accounts.get(&id);
        self.views(
            account
                .into_iter()
                .flat_map(|account| account.recent.iter()),
        )
    }

    fn views<'a>(&self, orders: impl Iterator<Item = &'a OrderId>) -> Vec<OrderView> {
        let orders = sorted(orders.copied());
        orders.into_iter().filter_map(|id| self.order(id)).collect()
    }

    /// The instruments that trade here, by symbol.
    pub fn markets(&self) -> Vec<&Market> {
        let mut markets: Vec<&Market> = self.markets.values().collect();
        markets.sort_unstable_by_key(|market| market.instrument.symbol);
        markets
    }

    /// An instrument by its symbol.
    pub fn market_of_symbol(&self, symbol: Symbol) -> Option<&Market> {
        self.named_market(symbol).ok()
    }

    /// The partition's own books, by asset.
    pub fn books(&self) -> impl Iterator<Item = (Asset, Books)> {
        self.books.iter().map(|(asset, books)| (*asset, *books))
    }
}

fn position(account: &Account, instrument: &Instrument) -> Option<PositionView> {
    let balance = account.balance(instrument.base);
    (balance.total_minor() != 0).then_some(PositionView {
        instrument: instrument.id,
        symbol: instrument.symbol,
        asset: instrument.base,
        scale: instrument.base_scale,
        qty_minor: balance.total_minor(),
        available_minor: balance.available_minor,
        held_minor: balance.held_minor,
        cost_minor: balance.cost_minor,
    })
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items
}
