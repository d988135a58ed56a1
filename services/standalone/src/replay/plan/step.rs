//! What a plan is made of: the steps, and what was counted and summed up on the way.

use prepx_domain::Side;

use crate::replay::recording::Level;

/// Index of an order of the plan.
pub type Ref = usize;

/// What the resting account does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Place a limit order that rests.
    Place {
        /// The new order.
        order: Ref,
        /// Which way.
        side: Side,
        /// Where and how much.
        at: Level,
    },
    /// Replace an order by a smaller one in its place.
    Shrink {
        /// Which.
        order: Ref,
        /// The new total, what has traded included.
        total: i64,
    },
    /// Cancel an order.
    Cancel {
        /// Which.
        order: Ref,
    },
}

/// A recorded execution of an order that the plan knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The resting order.
    pub order: Ref,
    /// Its recorded id.
    pub recorded: u64,
    /// Where and how much.
    pub at: Level,
}

/// What the aggressing account does: one immediate-or-cancel order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// Its side.
    pub side: Side,
    /// Its limit, dollars × 10,000, and its size.
    pub at: Level,
    /// What it must trade with, in this order.
    pub hits: Vec<Hit>,
}

/// What one side of the book must be after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Best {
    /// The best level; `None` when the side is empty.
    pub level: Option<Level>,
    /// Whether it follows from the row before and the message.
    pub derived: bool,
}

/// The book after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Book {
    /// Who wants to buy.
    pub bid: Best,
    /// Who wants to sell.
    pub ask: Best,
}

/// The best bid and the best ask.
pub type State = [Option<Level>; 2];

/// One message, or a run of executions that one aggressor made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The last of its messages; the first is 0.
    pub message: usize,
    /// Microseconds after midnight.
    pub at_us: i64,
    /// What the resting account does first.
    pub before: Vec<Command>,
    /// Then the aggressor.
    pub take: Option<Take>,
    /// Then the resting account again, to follow the row.
    pub after: Vec<Command>,
    /// Whether the instrument stops or goes on.
    pub halted: Option<bool>,
    /// The states that the book goes through, one for each command and aggressor.
    pub states: Vec<State>,
    /// What the recording says of the book now, unless it contradicts itself.
    pub book: Option<Book>,
}

/// How the messages were understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Limit orders added.
    pub added: u64,
    /// Partial cancels.
    pub shrunk: u64,
    /// Deletions.
    pub deleted: u64,
    /// Executions of visible orders.
    pub executed: u64,
    /// Executions of hidden orders; the book does not show them.
    pub hidden: u64,
    /// Auctions.
    pub crossed: u64,
    /// Halts and resumptions.
    pub halts: u64,
    /// Executions of orders that the recording never added: not derivable.
    pub executions_unknown: u64,
    /// Executions past an older recorded order at the same price, which hidden sizes explain: no
    /// market with price-time priority makes them.
    pub executions_against_priority: u64,
    /// Cancels and deletions of orders that the recording never added.
    pub cancels_unknown: u64,
    /// Orders whose end the recording does not show.
    pub left_unseen: u64,
    /// Rows that no market could show after what was recorded before.
    pub rows_contradicting: u64,
}

/// What the accounts need, from the plan's own sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Money of the resting account, dollars × 10,000.
    pub resting_money: i64,
    /// Its shares.
    pub resting_shares: i64,
    /// Money of the aggressing account, dollars × 10,000.
    pub taking_money: i64,
    /// Its shares.
    pub taking_shares: i64,
    /// Most orders that are open at a time.
    pub open_orders: usize,
}
