//! What the account stage receives from matching.

use crate::id::{AccountId, ExecutionId, InstrumentId, OrderId, TradeId};
use crate::instrument::Instrument;
use crate::order::Side;
use crate::session::SessionPhase;

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
