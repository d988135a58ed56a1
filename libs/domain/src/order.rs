//! Orders: sides, kinds, how long they live, and how they end.

/// Which way an order trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Pays quote, receives base.
    Buy,
    /// Pays base, receives quote.
    Sell,
}

impl Side {
    /// The other side.
    pub const fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }

    /// Whether an order of this side with the limit `limit_ticks` trades at `price_ticks`.
    pub const fn accepts(self, limit_ticks: i64, price_ticks: i64) -> bool {
        match self {
            Side::Buy => price_ticks <= limit_ticks,
            Side::Sell => price_ticks >= limit_ticks,
        }
    }

    /// Whether the last price `price_ticks` sets off a stop of this side at `stop_ticks`.
    pub const fn triggers(self, stop_ticks: i64, price_ticks: i64) -> bool {
        match self {
            Side::Buy => price_ticks >= stop_ticks,
            Side::Sell => price_ticks <= stop_ticks,
        }
    }
}

/// What kind of order, with prices in `P`: ticks on the book, minor units before the instrument's
/// steps are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OrderKind<P = i64> {
    /// Trades at once at the best prices.
    Market,
    /// Trades at `limit` or better.
    Limit {
        /// The worst price.
        limit: P,
    },
    /// Becomes a market order when the market trades at `stop` or beyond.
    Stop {
        /// The trigger price.
        stop: P,
    },
    /// Becomes a limit order when the market trades at `stop` or beyond.
    StopLimit {
        /// The trigger price.
        stop: P,
        /// The worst price once triggered.
        limit: P,
    },
}

impl<P: Copy> OrderKind<P> {
    /// The limit price, if it has one.
    pub const fn limit(self) -> Option<P> {
        match self {
            OrderKind::Limit { limit } | OrderKind::StopLimit { limit, .. } => Some(limit),
            OrderKind::Market | OrderKind::Stop { .. } => None,
        }
    }

    /// The trigger price, if it has one.
    pub const fn stop(self) -> Option<P> {
        match self {
            OrderKind::Stop { stop } | OrderKind::StopLimit { stop, .. } => Some(stop),
            OrderKind::Market | OrderKind::Limit { .. } => None,
        }
    }
}

/// How long an order lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimeInForce {
    /// Until the end of the session.
    Day,
    /// Until it is cancelled.
    GoodTilCanceled,
    /// What does not trade at once is cancelled.
    ImmediateOrCancel,
    /// All of it at once or nothing.
    FillOrKill,
}

impl TimeInForce {
    /// Whether what is left may rest on the book.
    pub const fn rests(self) -> bool {
        matches!(self, TimeInForce::Day | TimeInForce::GoodTilCanceled)
    }
}

/// Where an order stands, as its account sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OrderStatus {
    /// Accepted, and waiting for its session: it reaches the book when that begins.
    Accepted,
    /// Accepted; on the book, or a stop that waits.
    New,
    /// Some of it has traded; the rest lives.
    PartiallyFilled,
    /// All of it has traded.
    Filled,
    /// Ended by its owner, an operator, or what its kind says.
    Canceled,
    /// Ended by its time in force.
    Expired,
    /// Ended by a replacement, which lives on as another order.
    Replaced,
    /// A cancel was sent to the market and is not answered yet.
    PendingCancel,
    /// A replacement was sent to the market and is not answered yet.
    PendingReplace,
    /// The replacement itself, not yet confirmed by the market.
    PendingNew,
    /// Refused by the market after it was acknowledged.
    Rejected,
}

impl OrderStatus {
    /// Whether nothing more happens to the order.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            OrderStatus::Filled
                | OrderStatus::Canceled
                | OrderStatus::Expired
                | OrderStatus::Replaced
                | OrderStatus::Rejected
        )
    }
}
