//! What the account stage receives from matching.

use crate::id::{AccountId, ExecutionId, InstrumentId, OrderId, TradeId};
use crate::instrument::Instrument;
use crate::order::Side;
use crate::session::SessionPhase;

/// A message to the account stage, on `order-executions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToAccount {
    /// An instrument trades from now on (to every account partition).
    Defined(Instrument),
    /// Continuous trading was halted or resumed (to every account partition).
    Halted {
        /// Which instrument.
        instrument: InstrumentId,
        /// Whether it is halted.
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
    /// An order waits for its session; it is not on the book.
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
    /// No such order is open in matching, and everything about it was sent before this on the same lane: if the account has
    /// it open, a message about it was skipped.
    Absent {
        /// Whose order.
        account: AccountId,
        /// Which order.
        order: OrderId,
    },
    /// Part of an order has traded.
    Fill(Fill),
    /// A replacement took the old order's place. The old order ends with this: no [`Ended`] follows.
    ///
    /// [`Ended`]: ToAccount::Ended
    Replaced {
        /// Whose orders.
        account: AccountId,
        /// Ended.
        old: OrderId,
        /// Open.
        new: OrderId,
        /// What the old one has traded, in lots; the new one starts from here.
        cum_lots: i64,
    },
    /// A replacement was refused; the old order is unchanged, or has ended by itself.
    ReplaceRejected {
        /// Whose orders.
        account: AccountId,
        /// Unchanged.
        old: OrderId,
        /// Never opened.
        new: OrderId,
        /// Why.
        refusal: Refusal,
    },
    /// An order has ended; the rest of its hold is released. Follows every fill.
    Ended {
        /// Whose order.
        account: AccountId,
        /// Which order.
        order: OrderId,
        /// Its total traded quantity, in lots.
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
    /// The price, in ticks.
    pub price_ticks: i64,
    /// How much, in lots.
    pub qty_lots: i64,
    /// The money of the trade in quote minor units: the same for both sides (I3).
    pub notional_minor: i64,
    /// What this side pays of it, in quote minor units.
    pub fee_minor: i64,
    /// The order's total traded quantity, including this fill, in lots.
    pub cum_lots: i64,
    /// Whether the order was resting.
    pub maker: bool,
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It traded in full.
    Filled,
    /// Cancelled.
    Canceled(CancelReason),
    /// It expired.
    Expired,
    /// Refused by the market on arrival.
    Rejected(Refusal),
}

/// Why an order was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// Its owner or an operator asked for it.
    Requested,
    /// The rest of an immediate-or-cancel or market order found nothing to trade with.
    Unfilled,
    /// A fill-or-kill order could not trade in full.
    NotWhole,
    /// It would have traded with another order of its own account; the newer one is cancelled.
    SelfTrade,
    /// The rest could trade only beyond its protect price.
    ProtectPrice,
}

/// Why matching refuses an acknowledged order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It is post-only and would have taken liquidity.
    PostOnlyWouldTrade,
    /// It would have traded outside the price band.
    OutsideCollar {
        /// The lowest price allowed, in ticks.
        low_ticks: i64,
        /// The highest price allowed, in ticks.
        high_ticks: i64,
    },
    /// Trading was halted meanwhile.
    Halted,
    /// It had to trade immediately, and its session ended meanwhile.
    SessionClosed,
    /// The instrument is unknown.
    UnknownInstrument,
    /// The order to replace is no longer open.
    NotLiving,
    /// The new quantity is not above what has traded.
    QuantityTraded {
        /// What has traded, in lots.
        cum_lots: i64,
    },
}
