//! What clients and operators send to the account stage.

use uuid::Uuid;

use crate::ascii::{Asset, Symbol};
use crate::id::{AccountId, OrderId, Slot};
use crate::order::{OrderKind, Side, TimeInForce};
use crate::time::Micros;

/// A command of a client or an operator to the account stage (`trading-commands`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Drawn once by the sender; a repeat carries the same id and gets the first decision.
    pub id: Uuid,
    /// When the sender first stamped it. A command older than the stage's memory is refused as stale.
    pub stamped_at: Micros,
    /// The slot that it goes to: that of the account, or of the user when it opens an account.
    pub slot: Slot,
    /// The action.
    pub action: Action,
}

/// The action of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open an account for a user.
    OpenAccount {
        /// The user's random id; the command's slot is its hash.
        user: Uuid,
        /// Marks an account of the simulated population.
        simulated: bool,
    },
    /// Deposit from the outside world.
    Deposit {
        /// Whose balance.
        account: AccountId,
        /// Which asset.
        asset: Asset,
        /// How much, in minor units of the asset; positive.
        amount_minor: i64,
    },
    /// Withdraw to the outside world.
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
    /// Replace an order with a new one.
    Replace(ReplaceOrder),
    /// Cancel an order.
    Cancel {
        /// Whose order.
        account: AccountId,
        /// Either id of a replaced pair.
        order: OrderId,
    },
    /// End an order of any account, as an operator. Also one that the market does not know because a message about it was
    /// skipped.
    EndOrder {
        /// Either id of a replaced pair; its slot is the command's.
        order: OrderId,
        /// Why, in the operator's words.
        reason: String,
    },
    /// Cancel every open order of an account.
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
    /// Suspend or resume trading for the account's owner. Independent of the operators' block.
    SetTradeSuspended {
        /// Which account.
        account: AccountId,
        /// Whether new orders are refused; cancels, deposits and withdrawals are not affected.
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

/// The limits of an account. All are inclusive.
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

/// A client's order, before it is converted to ticks and lots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceOrder {
    /// Whose order.
    pub account: AccountId,
    /// What to trade.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// The type, with prices in quote minor units.
    pub kind: OrderKind,
    /// How long it stays open.
    pub time_in_force: TimeInForce,
    /// How much, in base minor units.
    pub qty_minor: i64,
    /// Refuse it if it would trade on arrival.
    pub post_only: bool,
    /// Whether it trades in extended hours too.
    pub extended_hours: bool,
    /// When it expires; `None` for never.
    pub expires_at: Option<Micros>,
    /// The client's id for it, at most 128 characters; drawn by the server if absent.
    pub client_order_id: String,
}

/// A change of an open order; `None` leaves a field unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplaceOrder {
    /// Whose order.
    pub account: AccountId,
    /// The order to replace.
    pub order: OrderId,
    /// The new total quantity, including what has traded, in base minor units.
    pub qty_minor: Option<i64>,
    /// The new limit price in quote minor units.
    pub limit_minor: Option<i64>,
    /// The new stop price in quote minor units.
    pub stop_minor: Option<i64>,
    /// The new time in force, with when it ends.
    pub time_in_force: Option<(TimeInForce, Option<Micros>)>,
    /// The client's id for the new order; drawn by the server if absent.
    pub client_order_id: String,
}
