//! What the matching stage receives from account partitions and operators.

use crate::id::{AccountId, InstrumentId, OrderId, Slot};
use crate::instrument::Instrument;
use crate::order::{OrderKind, Side, TimeInForce};
use crate::time::Micros;

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
        /// Whether it is answered by [`ToAccount::Absent`](super::ToAccount::Absent) when no such order lives. Not for clients'
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
