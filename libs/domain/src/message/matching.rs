//! What the matching stage receives from account partitions and operators.

use crate::id::{AccountId, InstrumentId, OrderId, Slot};
use crate::instrument::Instrument;
use crate::order::{OrderKind, Side, TimeInForce};
use crate::time::Micros;

/// A message to the matching stage, on `order-processing` from account partitions or on `instrument-commands` from
/// operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToMatching {
    /// Start trading an instrument. A second definition of one that exists is ignored.
    Define(Instrument),
    /// Halt continuous trading; orders on the book stay, cancels still work.
    Halt(InstrumentId),
    /// Resume continuous trading.
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
        /// Either id of a replaced pair; whichever is open is ended.
        order: OrderId,
        /// Whether it is answered by [`Absent`](super::ToAccount::Absent) if no such order is open. Not set for clients'
        /// cancels: those that come too late are ignored.
        answered: bool,
    },
}

impl ToMatching {
    /// The slot of the matching partition that it is for.
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

/// An order as matching receives it, with its money already held.
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
    /// The type, with prices in ticks.
    pub kind: OrderKind,
    /// How long it stays open.
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
    /// Whether its account was notified that its session has not begun, and must be notified when it reaches the book. Only
    /// set while an order is being placed.
    pub awaits_session: bool,
    /// When it expires.
    pub expires_at: Option<Micros>,
}

/// A replacement as matching receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookReplace {
    /// The open order.
    pub old: OrderId,
    /// The complete new order; its quantity is the total, including what the old one has traded.
    pub new: BookOrder,
}
