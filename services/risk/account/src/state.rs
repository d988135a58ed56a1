//! The state of one account partition: accounts, their balances and orders, the partition's own
//! books, instruments, and what is remembered for a while.

use std::collections::{BTreeMap, VecDeque};

use prepx_domain::decimal::div_half_even;
use prepx_domain::message::{BookOrder, Limits};
use prepx_domain::{
    AccountId, Asset, Instrument, InstrumentId, Micros, OrderId, Reject, SessionPhase, Side, Slot,
    Symbol,
};
use rustc_hash::{FxHashMap, FxHashSet};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use crate::commands::Commands;
use crate::config::Config;
use crate::order::Order;

/// Decimal places of an asset that no instrument has named yet.
const DEFAULT_SCALE: u32 = 8;

/// The account stage of one partition.
///
/// It changes only by [`apply`](prepx_domain::Machine::apply); equal states have the same accounts,
/// orders, books and memories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    pub(crate) config: Config,
    pub(crate) accounts: FxHashMap<AccountId, Account>,
    pub(crate) users: FxHashMap<Uuid, AccountId>,
    pub(crate) markets: FxHashMap<InstrumentId, Market>,
    pub(crate) symbols: FxHashMap<Symbol, InstrumentId>,
    /// Open and recently ended ones. Boxed: growing the table must not move them.
    pub(crate) orders: FxHashMap<OrderId, Box<Order>>,
    pub(crate) last_ids: FxHashMap<Slot, LastIds>,
    pub(crate) books: BTreeMap<Asset, Books>,
    pub(crate) commands: Commands,
    /// Ended orders that are still kept, or were until their account had too many: oldest first.
    pub(crate) ended: VecDeque<(Micros, AccountId, OrderId)>,
    /// Client order ids of ended orders: oldest first.
    pub(crate) freed_names: VecDeque<(Micros, AccountId, Name)>,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: Uuid,
    pub(crate) simulated: bool,
    pub(crate) created_at: Micros,
    pub(crate) blocked: bool,
    pub(crate) suspended: bool,
    pub(crate) limits: Limits,
    /// Sorted by asset: an account has few.
    pub(crate) balances: Vec<Balance>,
    pub(crate) open: FxHashSet<OrderId>,
    /// How many of `open` are replacements that wait for the market.
    pub(crate) pending: usize,
    /// Ended orders that are kept for reads, oldest first.
    pub(crate) recent: VecDeque<OrderId>,
    pub(crate) names: FxHashMap<Name, OrderId>,
}

/// What an account has of one asset, in minor units. Its total is available + held (I4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Which asset.
    pub asset: Asset,
    /// What can be spent.
    pub available_minor: i64,
    /// What open orders hold.
    pub held_minor: i64,
    /// What open buys may still add.
    pub buying_minor: i64,
    /// What was paid for what is left, without fees, in minor units of the quote asset; zero for
    /// what was never bought.
    pub cost_minor: i64,
}

/// The partition's own books of one asset, in minor units: with all accounts they add up to zero
/// (I3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// What one side of a trade gave and the other has not received here.
    pub clearing_minor: i64,
    /// Fees earned.
    pub fees_minor: i64,
    /// Minus what came in, plus what went out.
    pub outside_minor: i64,
}

/// An instrument as the stage knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Market {
    /// Its definition.
    pub instrument: Instrument,
    /// Whether only cancels are accepted.
    pub halted: bool,
    /// Which orders trade, as the market has told.
    pub phase: SessionPhase,
    /// The last trade, or the seed before the first, in ticks.
    pub reference_ticks: Option<i64>,
}

/// The last ids allotted in a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastIds {
    /// Of accounts.
    pub account: Option<AccountId>,
    /// Of orders.
    pub order: Option<OrderId>,
}

/// A client order id, as a hash of 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(
    /// The upper half.
    pub u64,
    /// The lower half.
    pub u64,
);

impl Name {
    /// The hash of a client order id.
    pub fn of(client_order_id: &str) -> Name {
        let hash = xxh3_128(client_order_id.as_bytes());
        Name((hash >> 64) as u64, hash as u64)
    }
}

impl Stage {
    /// An empty partition.
    pub fn new(config: Config) -> Stage {
        Stage {
            config,
            accounts: FxHashMap::default(),
            users: FxHashMap::default(),
            markets: FxHashMap::default(),
            symbols: FxHashMap::default(),
            orders: FxHashMap::default(),
            last_ids: FxHashMap::default(),
            books: BTreeMap::new(),
            commands: Commands::new(&config),
            ended: VecDeque::new(),
            freed_names: VecDeque::new(),
        }
    }

    /// An account that a command names, if it is of the slot that the command is for.
    pub(crate) fn named_account(&self, id: AccountId, slot: Slot) -> Result<&Account, Reject> {
        let account = self.accounts.get(&id).filter(|_| id.slot() == slot);
        account.ok_or(Reject::UnknownAccount)
    }

    /// An account's own order, open or kept.
    pub(crate) fn own_order(&self, account: AccountId, order: OrderId) -> Result<&Order, Reject> {
        let order = self.orders.get(&order).map(Box::as_ref);
        order
            .filter(|order| order.book.account == account)
            .ok_or(Reject::UnknownOrder)
    }

    /// A market by its instrument's symbol.
    pub(crate) fn named_market(&self, symbol: Symbol) -> Result<&Market, Reject> {
        let id = self.symbols.get(&symbol);
        id.and_then(|id| self.markets.get(id))
            .ok_or(Reject::UnknownInstrument(symbol))
    }

    /// The market of an instrument that an order or the market itself names.
    pub(crate) fn market(&self, id: InstrumentId) -> &Market {
        self.markets
            .get(&id)
            .unwrap_or_else(|| panic!("instrument {id} was named before it was defined (I2)"))
    }

    /// An order that an event names.
    pub(crate) fn order_of(&self, id: OrderId) -> &Order {
        self.orders
            .get(&id)
            .unwrap_or_else(|| panic!("order {id} is named by an event and not known"))
    }

    /// The asset that an order holds.
    pub(crate) fn held_asset(&self, book: &BookOrder) -> Asset {
        let instrument = &self.market(book.instrument).instrument;
        match book.side {
            Side::Buy => instrument.quote,
            Side::Sell => instrument.base,
        }
    }

    /// The decimal places of an asset: an instrument's, or the default for one that has come in
    /// from outside; `None` for one never seen.
    pub(crate) fn known_scale(&self, asset: Asset) -> Option<u32> {
        let named = self.markets.values().find_map(|market| {
            let instrument = &market.instrument;
            if instrument.base == asset {
                Some(instrument.base_scale)
            } else {
                (instrument.quote == asset).then_some(instrument.quote_scale)
            }
        });
        named.or_else(|| self.books.contains_key(&asset).then_some(DEFAULT_SCALE))
    }

    /// The decimal places of an asset.
    pub fn scale(&self, asset: Asset) -> u32 {
        self.known_scale(asset).unwrap_or(DEFAULT_SCALE)
    }
}

impl Account {
    /// What it has of an asset.
    pub(crate) fn balance(&self, asset: Asset) -> Balance {
        match self.balances.binary_search_by_key(&asset, |b| b.asset) {
            Ok(index) => self.balances[index],
            Err(_) => Balance::empty(asset),
        }
    }

    /// What it has of an asset, to change it.
    pub(crate) fn balance_mut(&mut self, asset: Asset) -> &mut Balance {
        let index = match self.balances.binary_search_by_key(&asset, |b| b.asset) {
            Ok(index) => index,
            Err(index) => {
                self.balances.insert(index, Balance::empty(asset));
                index
            }
        };
        &mut self.balances[index]
    }
}

impl Balance {
    fn empty(asset: Asset) -> Balance {
        Balance {
            asset,
            available_minor: 0,
            held_minor: 0,
            buying_minor: 0,
            cost_minor: 0,
        }
    }

    /// The part of the cost that goes with `qty_minor` of the asset, rounded half to even; all of
    /// it goes with all of the asset.
    pub(crate) fn cost_of_minor(&self, qty_minor: i64) -> i64 {
        let cost = i128::from(self.cost_minor).saturating_mul(i128::from(qty_minor));
        div_half_even(cost, i128::from(self.total_minor())).unwrap_or(0)
    }

    /// Available and held together (I4).
    pub fn total_minor(&self) -> i64 {
        moved(self.available_minor, self.held_minor)
    }
}

/// `minor` after a move of `by_minor`. Everything of one asset together is bounded by what came in
/// from outside (`Config::supply_minor_max`), so no book can leave 64 bits.
pub(crate) fn moved(minor: i64, by_minor: i64) -> i64 {
    let sum = minor.checked_add(by_minor);
    sum.expect("all of an asset together is within 64 bits (I3)")
}
