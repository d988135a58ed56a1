//! What the stages send each other, and what clients send to the account stage.
//!
//! Commands go to the account stage by slot; accepted orders go by lane to matching, by instrument; what matching decides
//! goes by lane back to the account partitions. Every number is final: a receiver never recomputes what the sender has
//! computed.

use uuid::Uuid;

use crate::ascii::{Asset, Symbol};
use crate::id::{AccountId, ExecutionId, InstrumentId, OrderId, Slot, TradeId};
use crate::instrument::Instrument;
use crate::order::{OrderKind, Side, TimeInForce};
use crate::session::SessionPhase;
use crate::time::Micros;

/// A command of a client or an operator to the account stage (`trading-commands`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Drawn once by whoever sends it; a repeat carries the same and gets the first decision.
    pub id: Uuid,
    /// When it was first stamped. One that is older than the stage's memory is refused as stale.
    pub stamped_at: Micros,
    /// The slot that it goes to: that of the account, or of the user when it opens one.
    pub slot: Slot,
    /// What is asked.
    pub action: Action,
}

/// What a command asks of the account stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open an account for a user.
    OpenAccount {
        /// The user's random id; the command's slot is its hash.
        user: Uuid,
        /// Marks an account of the simulated population.
        simulated: bool,
    },
    /// Add to a balance from the outside world.
    Deposit {
        /// Whose balance.
        account: AccountId,
        /// Which asset.
        asset: Asset,
        /// How much, in minor units of the asset; positive.
        amount_minor: i64,
    },
    /// Take from a balance to the outside world.
    Withdraw {
        /// Whose balance.
        account: AccountId,
        /// Which asset.
        asset: Asset,
        /// How much, in minor units of the asset; positive.
        amount_minor: i64,
    },
    /// Place an order.
    Place(PlaceOrder),
    /// Replace an order by a new one.
    Replace(ReplaceOrder),
    /// Ask the market to end an order.
    Cancel {
        /// Whose order.
        account: AccountId,
        /// Either id of a replaced pair.
        order: OrderId,
    },
    /// End an order of any account as an operator: also one that the market does not know, because a
    /// message about it was skipped.
    EndOrder {
        /// Either id of a replaced pair; its slot is the command's.
        order: OrderId,
        /// Why, in the operator's words.
        reason: String,
    },
    /// Ask the market to end every open order of an account.
    CancelAll {
        /// Whose orders.
        account: AccountId,
    },
    /// Stop an account, or let it trade again.
    SetAccountBlocked {
        /// Which account.
        account: AccountId,
        /// Whether it is stopped: a stopped account can only cancel.
        blocked: bool,
    },
    /// Stop trading by the account's owner, or go on. Independent of what operators set.
    SetTradeSuspended {
        /// Which account.
        account: AccountId,
        /// Whether new orders are refused; cancels and money in and out are not touched.
        suspended: bool,
    },
    /// Change what an account may do.
    SetLimits {
        /// Which account.
        account: AccountId,
        /// The new limits.
        limits: Limits,
    },
}

/// What an account may do at most. Every limit is inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest order, in minor units of the base asset.
    pub order_qty_minor: i64,
    /// Largest money of one order, in minor units of the quote asset.
    pub order_notional_minor: i64,
    /// Most orders that may be open at once.
    pub open_orders: u32,
    /// Largest position in one asset if all open buys trade, in minor units.
    pub position_minor: i64,
}

/// The order that a client asks for, before the instrument's steps are applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceOrder {
    /// Whose order.
    pub account: AccountId,
    /// What to trade.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// Kind, with prices in quote minor units.
    pub kind: OrderKind,
    /// How long it lives.
    pub time_in_force: TimeInForce,
    /// How much, in base minor units.
    pub qty_minor: i64,
    /// Refuse it if it would trade on arrival.
    pub post_only: bool,
    /// Whether it trades in extended hours too.
    pub extended_hours: bool,
    /// When it ends by itself; `None` for never.
    pub expires_at: Option<Micros>,
    /// The client's own name for it, at most 128 characters; drawn by the server when absent.
    pub client_order_id: String,
}

/// A change of a living order; what is `None` stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplaceOrder {
    /// Whose order.
    pub account: AccountId,
    /// The order to replace.
    pub order: OrderId,
    /// The new total quantity, what has traded included, in base minor units.
    pub qty_minor: Option<i64>,
    /// The new limit price in quote minor units.
    pub limit_minor: Option<i64>,
    /// The new stop price in quote minor units.
    pub stop_minor: Option<i64>,
    /// The new time in force, with when it ends.
    pub time_in_force: Option<(TimeInForce, Option<Micros>)>,
    /// The client's own name for the new order; drawn by the server when absent.
    pub client_order_id: String,
}

/// What matching is told (`order-processing` from account partitions, `instrument-commands` from
/// operators).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToMatching {
    /// Start trading an instrument. A second definition of one that exists is ignored.
    Define(Instrument),
    /// Stop continuous trading; orders on the book stay, cancels still work.
    Halt(InstrumentId),
    /// Go on with continuous trading.
    Resume(InstrumentId),
    /// An accepted order.
    Place(BookOrder),
    /// An accepted replacement.
    Replace(BookReplace),
    /// A cancel.
    Cancel {
        /// Whose order.
        account: AccountId,
        /// Which instrument.
        instrument: InstrumentId,
        /// Either id of a replaced pair; whichever lives is ended.
        order: OrderId,
        /// Whether it is answered by [`ToAccount::Absent`] when no such order lives. Not for clients'
        /// cancels: those that come late are ignored.
        answered: bool,
    },
}

impl ToMatching {
    /// The slot whose matching partition it is for.
    pub const fn slot(&self) -> Slot {
        let instrument = match self {
            ToMatching::Define(instrument) => instrument.id,
            ToMatching::Halt(instrument)
            | ToMatching::Resume(instrument)
            | ToMatching::Cancel { instrument, .. } => *instrument,
            ToMatching::Place(order) => order.instrument,
            ToMatching::Replace(replace) => replace.new.instrument,
        };
        instrument.slot()
    }
}

/// An order as the book takes it, its money held already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookOrder {
    /// Allotted by the account stage.
    pub order: OrderId,
    /// Whose order; two orders of one account never trade with each other.
    pub account: AccountId,
    /// What to trade.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Kind, with prices in ticks.
    pub kind: OrderKind,
    /// How long it lives.
    pub time_in_force: TimeInForce,
    /// How much, in lots.
    pub qty_lots: i64,
    /// The worst price that the hold covers, in ticks; matching never trades beyond it. Present for
    /// market and stop orders.
    pub protect_ticks: Option<i64>,
    /// Refuse it if it would trade on arrival.
    pub post_only: bool,
    /// Whether it trades in extended hours too.
    pub extended_hours: bool,
    /// Whether its account was told that its session had not begun: it is told when the order
    /// reaches the book. Only of orders that are placed; those that live have forgotten it.
    pub awaits_session: bool,
    /// When it ends by itself.
    pub expires_at: Option<Micros>,
}

/// A replacement as the book takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookReplace {
    /// The order that lives.
    pub old: OrderId,
    /// The new order, whole; its quantity is the total, what the old one has traded included.
    pub new: BookOrder,
}

/// What the account partitions are told (`order-executions`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToAccount {
    /// An instrument trades from now on (to every account partition).
    Defined(Instrument),
    /// Continuous trading stopped or goes on (to every account partition).
    Halted {
        /// Which instrument.
        instrument: InstrumentId,
        /// Whether it is stopped.
        halted: bool,
    },
    /// The price that holds and collars are computed from (to every account partition; at most
    /// every 100 ms or per 0.1 % of movement).
    Reference {
        /// Which instrument.
        instrument: InstrumentId,
        /// The last trade, in ticks.
        price_ticks: i64,
    },
    /// An instrument's session began, ended or became an extended one (to every account partition).
    Session {
        /// Which instrument.
        instrument: InstrumentId,
        /// Which orders trade from now on.
        phase: SessionPhase,
    },
    /// An order waits for its session: it trades with nothing and is not on the book.
    Parked {
        /// Whose order.
        account: AccountId,
        /// Which order.
        order: OrderId,
    },
    /// An order that waited for its session has reached the book.
    Entered {
        /// Whose order.
        account: AccountId,
        /// Which order.
        order: OrderId,
    },
    /// A stop's trigger price was reached; it trades as a market or limit order from now on.
    Triggered {
        /// Whose order.
        account: AccountId,
        /// Which order.
        order: OrderId,
    },
    /// No such order lives, and everything about it has been told before this on the same lane: if
    /// it is open to its account, a message about it was skipped.
    Absent {
        /// Whose order.
        account: AccountId,
        /// Which order.
        order: OrderId,
    },
    /// Some of an order has traded.
    Fill(Fill),
    /// A replacement took the old order's place. The old order ends with this: no [`Ended`] follows.
    ///
    /// [`Ended`]: ToAccount::Ended
    Replaced {
        /// Whose orders.
        account: AccountId,
        /// Ended.
        old: OrderId,
        /// Lives.
        new: OrderId,
        /// What the old one has traded, in lots; the new one starts from here.
        cum_lots: i64,
    },
    /// A replacement was refused; the old order lives unchanged or has ended by itself.
    ReplaceRejected {
        /// Whose orders.
        account: AccountId,
        /// Unchanged.
        old: OrderId,
        /// Never lived.
        new: OrderId,
        /// Why.
        refusal: Refusal,
    },
    /// Nothing more happens to an order: what is left of its hold goes back. Follows every fill.
    Ended {
        /// Whose order.
        account: AccountId,
        /// Which order.
        order: OrderId,
        /// What it has traded in all, in lots.
        cum_lots: i64,
        /// How it ended.
        end: End,
    },
}

/// One side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Unique to this side.
    pub execution: ExecutionId,
    /// Shared by both sides.
    pub trade: TradeId,
    /// Whose order.
    pub account: AccountId,
    /// Which order.
    pub order: OrderId,
    /// What was traded.
    pub instrument: InstrumentId,
    /// Which way.
    pub side: Side,
    /// At which price, in ticks.
    pub price_ticks: i64,
    /// How much, in lots.
    pub qty_lots: i64,
    /// The money of the trade in quote minor units: the same for both sides (I3).
    pub notional_minor: i64,
    /// What this side pays of it, in quote minor units.
    pub fee_minor: i64,
    /// What the order has traded in all, this included, in lots.
    pub cum_lots: i64,
    /// Whether the order was resting.
    pub maker: bool,
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// All of it traded.
    Filled,
    /// Cancelled.
    Canceled(CancelReason),
    /// Its time was over.
    Expired,
    /// Refused by the market on arrival.
    Rejected(Refusal),
}

/// Why an order was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// Its owner or an operator asked.
    Requested,
    /// What was left of an immediate-or-cancel or market order found nothing to trade with.
    Unfilled,
    /// A fill-or-kill order could not trade whole.
    NotWhole,
    /// It would have traded with another order of its own account; the newer one is cancelled.
    SelfTrade,
    /// What was left could trade only beyond its protect price.
    ProtectPrice,
}

/// Why matching refuses an order that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It must not take, and would have.
    PostOnlyWouldTrade,
    /// It would have traded outside the price band.
    OutsideCollar {
        /// The lowest price allowed, in ticks.
        low_ticks: i64,
        /// The highest price allowed, in ticks.
        high_ticks: i64,
    },
    /// Trading stopped meanwhile.
    Halted,
    /// It had to trade at once, and its session was over meanwhile.
    SessionClosed,
    /// The instrument is not known here.
    UnknownInstrument,
    /// The order to replace is not living any more.
    NotLiving,
    /// The new quantity is not more than what has traded.
    QuantityTraded {
        /// What has traded, in lots.
        cum_lots: i64,
    },
}
