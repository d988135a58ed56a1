//! The inputs, events and outputs of the matching stage.
//!
//! Events are journalled: flat, plain data with final numbers. They refer to orders and instruments by id only, never by
//! an index into memory, so that any version can fold them.

use prepx_domain::message::{BookOrder, End, Refusal, ToAccount, ToMatching};
use prepx_domain::update::MarketUpdate;
use prepx_domain::{
    AccountId, ExecutionId, Instrument, InstrumentId, Micros, OrderId, SessionPhase, Side, Slot,
    TradeId,
};

/// An input of the stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A message of an account partition or an operator.
    Command(ToMatching),
    /// The timer: orders expire, held-back reference prices are sent.
    Timer,
    /// The stop that [`follow_up`](prepx_domain::Machine::follow_up) named now reaches the book.
    Triggered(OrderId),
    /// The order that [`follow_up`](prepx_domain::Machine::follow_up) named now continues to trade.
    Taking(OrderId),
    /// The parked order that [`follow_up`](prepx_domain::Machine::follow_up) named now reaches the
    /// book.
    Entering(OrderId),
}

/// An event that the stage decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An instrument trades from now on.
    Defined(Instrument),
    /// Continuous trading stopped or resumed.
    Halted {
        /// Which instrument.
        instrument: InstrumentId,
        /// Whether it is stopped.
        halted: bool,
    },
    /// An instrument's session began, ended or became an extended one.
    SessionChanged {
        /// Which instrument.
        instrument: InstrumentId,
        /// Which orders trade from now on.
        phase: SessionPhase,
        /// Until when; from then on nothing trades until the next such event.
        until: Micros,
    },
    /// Extended hours begin: the orders of a level that do not take part leave it and are parked
    /// until the regular session, before all that arrive later.
    LevelParked {
        /// Which instrument.
        instrument: InstrumentId,
        /// Bids or asks.
        side: Side,
        /// Which level, in ticks.
        price_ticks: i64,
    },
    /// An order waits for its session, behind those that do already.
    Parked {
        /// The order.
        live: LiveOrder,
        /// Whether it reaches the book in extended hours, not only in the regular session.
        early: bool,
        /// Whether its account is notified.
        notify: bool,
    },
    /// Parked orders begin to reach their books, at most so many before the next timer.
    ReleaseBegan {
        /// How many.
        orders_max: u32,
    },
    /// An order reaches the book after its account was notified that it had to wait. The events that follow say what
    /// happens to it.
    Entered {
        /// Whose order.
        account: AccountId,
        /// Which order.
        order: OrderId,
        /// Whether it had been parked; otherwise the session began while it was on its way.
        parked: bool,
    },
    /// The last trade's price is sent to the account partitions as the new reference price.
    Reference {
        /// Which instrument.
        instrument: InstrumentId,
        /// The last trade, in ticks.
        price_ticks: i64,
        /// When: the next one is held back for a while.
        at: Micros,
    },
    /// What is left of an order rests on the book, last in its level.
    Rested(LiveOrder),
    /// A stop waits for its trigger price, last in its level.
    Waited(LiveOrder),
    /// A stop's trigger price was reached.
    Triggered {
        /// Which instrument.
        instrument: InstrumentId,
        /// Whose order.
        account: AccountId,
        /// Which order.
        order: OrderId,
        /// Whether it had waited, and now queues for the book; otherwise it triggered on arrival.
        waited: bool,
    },
    /// An order has traded as often as one decision allows, and continues before anything else happens.
    Paused(LiveOrder),
    /// A triggered stop leaves the queue and arrives at the book, or a paused order continues. The events that follow say
    /// what happens to it.
    Released {
        /// Which order.
        order: OrderId,
    },
    /// An operator ends an order that does not live.
    Absent {
        /// Whose order.
        account: AccountId,
        /// Which order.
        order: OrderId,
    },
    /// Two orders traded.
    Traded(Trade),
    /// An order left its place for its replacement, which arrives with the events that follow.
    Replaced {
        /// Which instrument.
        instrument: InstrumentId,
        /// Whose orders.
        account: AccountId,
        /// Ended.
        old: OrderId,
        /// Arrives.
        new: OrderId,
        /// What the old one has traded, in lots; the new one starts from here.
        cum_lots: i64,
        /// Where the old one stood.
        stood: Standing,
    },
    /// A replacement that trades with nothing took the old order's place in the state and rests, last
    /// in its level. The old order is the new one's pair.
    Moved {
        /// The new order.
        live: LiveOrder,
        /// Where the old order stood, in ticks.
        from_ticks: i64,
    },
    /// A replacement that only lowers the quantity took over the old order's place in its queue.
    Reduced {
        /// Which instrument.
        instrument: InstrumentId,
        /// Whose orders.
        account: AccountId,
        /// Ended.
        old: OrderId,
        /// Lives.
        new: OrderId,
        /// What has traded, in lots.
        cum_lots: i64,
        /// What is left of the new order, in lots.
        left_lots: i64,
        /// Where both stand.
        stood: Standing,
    },
    /// A replacement was refused.
    ReplaceRejected {
        /// Whose orders.
        account: AccountId,
        /// Lives on, if it still does.
        old: OrderId,
        /// Never lived.
        new: OrderId,
        /// Why.
        refusal: Refusal,
    },
    /// Nothing more happens to an order. Orders that traded whole end with their last trade instead.
    Ended {
        /// Which instrument.
        instrument: InstrumentId,
        /// Whose order.
        account: AccountId,
        /// Which order.
        order: OrderId,
        /// What it has traded in all, in lots.
        cum_lots: i64,
        /// How it ended.
        end: End,
        /// Where it stood.
        stood: Standing,
    },
}

/// An order that lives in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveOrder {
    /// The order as it was accepted.
    pub order: BookOrder,
    /// What has traded of it, in lots.
    pub cum_lots: i64,
    /// Whether it is a stop that was triggered.
    pub triggered: bool,
    /// The other id of its last replacement: the order it replaced, or a refused replacement of it.
    /// A cancel of that id ends this order.
    pub pair: Option<OrderId>,
}

/// Where an order stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nowhere yet: it was arriving.
    Arriving,
    /// On the book.
    Resting {
        /// Bids or asks.
        side: Side,
        /// Its level, in ticks.
        price_ticks: i64,
    },
    /// Not on the book: among the stops, waiting or triggered, or parked.
    Waiting,
}

/// A trade: the money computed once, the same for both sides (I3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// The trade.
    pub trade: TradeId,
    /// The resting order's price, in ticks.
    pub price_ticks: i64,
    /// In lots.
    pub qty_lots: i64,
    /// In quote minor units.
    pub notional_minor: i64,
    /// The side that arrived.
    pub taker_side: Side,
    /// The order that rested.
    pub maker: Party,
    /// The order that arrived.
    pub taker: Party,
}

/// One side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Unique to this side.
    pub execution: ExecutionId,
    /// Whose order.
    pub account: AccountId,
    /// Which order.
    pub order: OrderId,
    /// What this side pays, in quote minor units.
    pub fee_minor: i64,
    /// What the order has traded in all, this included, in lots.
    pub cum_lots: i64,
    /// What is left of it, in lots; an order with nothing left has ended.
    pub left_lots: i64,
}

/// An output of the stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To the account partition of a slot.
    Account {
        /// Whose partition.
        slot: Slot,
        /// The message.
        message: ToAccount,
    },
    /// To every account partition.
    Everyone(ToAccount),
    /// To the market.
    Market(MarketUpdate),
}
