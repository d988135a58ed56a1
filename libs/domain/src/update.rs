//! What the stages publish to the rest of the platform: changes of accounts with their postings
//! (`portfolio-updates`) and changes of the market (`market-data`).

use uuid::Uuid;

use crate::ascii::{Asset, Symbol};
use crate::id::{AccountId, InstrumentId, OrderId, TradeId};
use crate::instrument::Instrument;
use crate::message::{End, Fill, Limits, Refusal};
use crate::order::{OrderKind, OrderStatus, Side, TimeInForce};
use crate::reject::Reject;
use crate::time::Micros;

/// One change of one account. Its postings add up to zero for each asset (I3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountUpdate {
    /// Whose.
    pub account: AccountId,
    /// When it was decided.
    pub at: Micros,
    /// What happened.
    pub change: Change,
    /// What moved; empty when no money did.
    pub postings: Vec<Posting>,
}

/// What happened to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was opened.
    Opened {
        /// By whom.
        user: Uuid,
        /// Whether it belongs to the simulated population.
        simulated: bool,
    },
    /// Something came from the outside world.
    Deposited {
        /// The command that asked for it.
        command: Uuid,
        /// Which asset.
        asset: Asset,
        /// How much, in minor units.
        amount_minor: i64,
    },
    /// Something went to the outside world.
    Withdrawn {
        /// The command that asked for it.
        command: Uuid,
        /// Which asset.
        asset: Asset,
        /// How much, in minor units.
        amount_minor: i64,
    },
    /// It was stopped, or may trade again.
    Blocked(bool),
    /// Its owner stopped trading, or goes on.
    Suspended(bool),
    /// Its limits changed.
    LimitsSet(Limits),
    /// One of its orders changed.
    Order {
        /// The order as it is now.
        order: Box<OrderView>,
        /// What happened to it.
        event: OrderEvent,
    },
}

/// What happened to an order: the events of the trade-updates stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderEvent {
    /// Accepted by the account stage, or it has reached the book for which it had waited.
    New,
    /// It waits for its session.
    Accepted,
    /// A replacement was accepted and waits for the market.
    PendingNew,
    /// A cancel went to the market.
    PendingCancel,
    /// A replacement went to the market.
    PendingReplace,
    /// A stop was set off.
    Triggered,
    /// Some or all of it traded.
    Fill {
        /// This side of the trade.
        fill: Fill,
        /// The account's whole position in the base asset after it, in minor units.
        position_minor: i64,
    },
    /// A replacement took its place.
    Replaced,
    /// A replacement of it was refused; it lives on.
    ReplaceRejected(Refusal),
    /// It ended. A filled order's end says nothing to the outside that its last fill did not.
    Ended(End),
}

/// An order as its account sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// The order.
    pub id: OrderId,
    /// Whose.
    pub account: AccountId,
    /// The client's name for it.
    pub client_order_id: String,
    /// What it trades.
    pub instrument: InstrumentId,
    /// The instrument's symbol.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// Kind, with prices in quote minor units.
    pub kind: OrderKind,
    /// How long it lives.
    pub time_in_force: TimeInForce,
    /// Refused if it would trade on arrival.
    pub post_only: bool,
    /// Whether it may trade outside the regular session.
    pub extended_hours: bool,
    /// Where it stands.
    pub status: OrderStatus,
    /// Asked, in base minor units.
    pub qty_minor: i64,
    /// Traded, in base minor units.
    pub filled_minor: i64,
    /// The money of what has traded, in quote minor units. Average price = this over `filled_minor`.
    pub filled_notional_minor: i64,
    /// Fees paid, in quote minor units.
    pub fee_minor: i64,
    /// What is held for it, in minor units of the quote asset for a buy, of the base for a sell.
    pub held_minor: i64,
    /// When it was accepted.
    pub created_at: Micros,
    /// When it last changed.
    pub updated_at: Micros,
    /// When it ends by itself.
    pub expires_at: Option<Micros>,
    /// When it ended, if it has.
    pub ended_at: Option<Micros>,
    /// How it ended, if it has and was not replaced.
    pub end: Option<End>,
    /// The order that it replaces.
    pub replaces: Option<OrderId>,
    /// The order that replaces or replaced it.
    pub replaced_by: Option<OrderId>,
}

/// One leg of a double entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Which book.
    pub book: Book,
    /// Which asset.
    pub asset: Asset,
    /// How much it gains, in minor units; negative when it loses.
    pub amount_minor: i64,
}

/// A book of the ledger. Those without an account exist once a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Book {
    /// What an account can spend.
    Available(AccountId),
    /// What an account's orders hold.
    Held(AccountId),
    /// Trades between here and other partitions, by instrument: what one side gave and the other has
    /// not received. Zero over all partitions once the lanes are drained.
    Clearing,
    /// Fees earned.
    Fees,
    /// The outside world: minus what came in, plus what went out.
    Outside,
}

/// A change of the market in one instrument, numbered densely by instrument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketUpdate {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// One more than the update before; the first is 1.
    pub number: u64,
    /// When it was decided.
    pub at: Micros,
    /// What happened.
    pub change: MarketChange,
}

/// What happened in a market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarketChange {
    /// It was defined.
    Defined(Box<Instrument>),
    /// Continuous trading stopped or goes on.
    Halted(bool),
    /// Two orders traded.
    Trade {
        /// The trade.
        trade: TradeId,
        /// In ticks.
        price_ticks: i64,
        /// In lots.
        qty_lots: i64,
        /// The side that arrived.
        taker: Side,
    },
    /// A price level of the book has a new size.
    Level {
        /// Bids or asks.
        side: Side,
        /// In ticks.
        price_ticks: i64,
        /// The size now, in lots; zero when the level is gone.
        qty_lots: i64,
    },
}

/// The first decision on a command, given again to every repeat of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The command.
    pub command: Uuid,
    /// What became of it.
    pub outcome: Result<Ack, Reject>,
}

/// What a command achieved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ack {
    /// The account that was opened.
    Opened(AccountId),
    /// What the account can spend of the asset now, in minor units.
    Moved {
        /// Which asset.
        asset: Asset,
        /// Neither held nor spent.
        available_minor: i64,
    },
    /// The order that was placed, or the new order of a replacement, as it was then.
    Order(Box<OrderView>),
    /// As [`Ack::Order`], to a repeat that comes after the order has ended and left the stage's
    /// memory: the order history has it.
    PastOrder(OrderId),
    /// The orders whose cancel went to the market.
    Canceling(Vec<OrderId>),
    /// Done; there is nothing to tell.
    Done,
}
