//! What the stage decides: flat, plain data with final numbers, so that folding computes nothing.

use std::sync::Arc;

use prepx_domain::message::{BookOrder, BookReplace, End, Fill, Limits, Refusal};
use prepx_domain::{
    AccountId, Asset, Instrument, InstrumentId, Micros, OrderId, Reject, SessionPhase,
};
use uuid::Uuid;

/// The command behind an event. Its decision is remembered under its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The command's id.
    pub command: Uuid,
    /// When its sender stamped it.
    pub stamped_at: Micros,
    /// When it was decided.
    pub at: Micros,
}

/// One decision. Amounts are minor units of the asset named, or of the order's own: quote for a
/// buy's money, base for quantities and a sell's hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An account was opened.
    Opened {
        /// Why.
        cause: Cause,
        /// Its id, in the user's slot.
        account: AccountId,
        /// Whose it is.
        user: Uuid,
        /// Whether it belongs to the simulated population.
        simulated: bool,
        /// What it may do.
        limits: Limits,
    },
    /// Something came from outside.
    Deposited {
        /// Why.
        cause: Cause,
        /// To whom.
        account: AccountId,
        /// What.
        asset: Asset,
        /// How much.
        amount_minor: i64,
    },
    /// Something went outside.
    Withdrawn {
        /// Why.
        cause: Cause,
        /// From whom.
        account: AccountId,
        /// What.
        asset: Asset,
        /// How much.
        amount_minor: i64,
        /// How much of the asset's cost goes with it.
        cost_minor: i64,
    },
    /// An account was stopped or may trade again.
    BlockSet {
        /// Why.
        cause: Cause,
        /// Which.
        account: AccountId,
        /// Whether it is stopped.
        blocked: bool,
    },
    /// An account's owner stopped trading, or goes on.
    SuspensionSet {
        /// Why.
        cause: Cause,
        /// Which.
        account: AccountId,
        /// Whether new orders are refused.
        suspended: bool,
    },
    /// An account's limits changed.
    LimitsSet {
        /// Why.
        cause: Cause,
        /// Whose.
        account: AccountId,
        /// The new ones.
        limits: Limits,
    },
    /// An order was accepted and goes to the market.
    Placed {
        /// Why.
        cause: Cause,
        /// The order as the book takes it.
        order: BookOrder,
        /// The client's name for it.
        client_order_id: Arc<str>,
        /// What it holds: of the quote asset for a buy, of the base asset for a sell.
        hold_minor: i64,
        /// How much base it may buy; zero for a sell.
        buying_minor: i64,
        /// When it is said to have come: no two orders of a slot share a moment.
        created_at: Micros,
    },
    /// A replacement was accepted and goes to the market.
    ReplaceSent {
        /// Why.
        cause: Cause,
        /// The old order's id and the new order as the book takes it.
        replace: BookReplace,
        /// The client's name for the new order.
        client_order_id: Arc<str>,
        /// What the new order holds beyond what the old one holds already.
        hold_minor: i64,
        /// How much more base may be bought than by the old order alone; zero for a sell.
        buying_minor: i64,
        /// When it is said to have come: no two orders of a slot share a moment.
        created_at: Micros,
    },
    /// Cancels go to the market.
    CancelSent {
        /// Why.
        cause: Cause,
        /// Whose.
        account: AccountId,
        /// The living orders; a replacement under way is cancelled with the order it replaces.
        orders: Vec<OrderId>,
        /// Why, when an operator ends them: the market then answers if they do not live there.
        reason: Option<Box<str>>,
    },
    /// A command was refused, and a repeat of it will be.
    Rejected {
        /// Why it was looked at.
        cause: Cause,
        /// Why it was refused.
        reject: Box<Reject>,
    },
    /// A command whose stamp the memory does not reach was refused; it is not remembered.
    Refused {
        /// The command.
        command: Uuid,
        /// Why.
        reject: Box<Reject>,
    },
    /// A command came again; its first decision is told again.
    Repeated {
        /// The command.
        command: Uuid,
    },
    /// An instrument trades from now on.
    Defined(Box<Instrument>),
    /// An instrument was halted or goes on.
    Halted {
        /// Which.
        instrument: InstrumentId,
        /// Whether it is halted.
        halted: bool,
    },
    /// An instrument's reference price moved.
    ReferenceMoved {
        /// Which.
        instrument: InstrumentId,
        /// To where, in ticks.
        price_ticks: i64,
    },
    /// An instrument's session began, ended or became an extended one.
    SessionChanged {
        /// Which.
        instrument: InstrumentId,
        /// Which orders trade from now on.
        phase: SessionPhase,
    },
    /// An order waits for its session, or has reached the book for which it had waited.
    Parked {
        /// When.
        at: Micros,
        /// Which order.
        order: OrderId,
        /// Whether it waits.
        parked: bool,
    },
    /// A stop was set off.
    Triggered {
        /// When.
        at: Micros,
        /// Which order.
        order: OrderId,
    },
    /// An order traded.
    Filled {
        /// When.
        at: Micros,
        /// This side of the trade; its fee is what was charged.
        fill: Fill,
        /// How much base it moves.
        qty_minor: i64,
        /// What it takes of the order's hold.
        held_minor: i64,
        /// What it takes of the available quote beyond the hold: rounding dust.
        available_minor: i64,
        /// By how much the cost of the position changes: what a buy paid, less what a sell's part
        /// had cost.
        cost_minor: i64,
    },
    /// A replacement took the old order's place, and its hold.
    Replaced {
        /// When.
        at: Micros,
        /// The order that ended.
        old: OrderId,
        /// The order that lives.
        new: OrderId,
        /// What the new order holds from now on.
        held_minor: i64,
        /// How much base the new order may still buy; zero for a sell.
        buying_minor: i64,
        /// What the pair held beyond that, now available again.
        released_minor: i64,
    },
    /// The market refused a replacement.
    ReplaceRejected {
        /// When.
        at: Micros,
        /// The order that should have been replaced.
        old: OrderId,
        /// The order that never lived.
        new: OrderId,
        /// Why.
        refusal: Refusal,
        /// What the new order held, now available again.
        released_minor: i64,
    },
    /// An order ended.
    Ended {
        /// When.
        at: Micros,
        /// Which order.
        order: OrderId,
        /// How.
        end: End,
        /// What was left of its hold, now available again.
        released_minor: i64,
    },
    /// Time has passed: what is remembered for a while is forgotten when it is due.
    TimePassed {
        /// Until when.
        at: Micros,
    },
}

impl Event {
    /// The command that this event decides for the first time.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Event::Opened { cause, .. }
            | Event::Deposited { cause, .. }
            | Event::Withdrawn { cause, .. }
            | Event::BlockSet { cause, .. }
            | Event::SuspensionSet { cause, .. }
            | Event::LimitsSet { cause, .. }
            | Event::Placed { cause, .. }
            | Event::ReplaceSent { cause, .. }
            | Event::CancelSent { cause, .. }
            | Event::Rejected { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// When the event was decided, where it says so.
    pub fn at(&self) -> Option<Micros> {
        match self {
            Event::Parked { at, .. }
            | Event::Triggered { at, .. }
            | Event::Filled { at, .. }
            | Event::Replaced { at, .. }
            | Event::ReplaceRejected { at, .. }
            | Event::Ended { at, .. }
            | Event::TimePassed { at } => Some(*at),
            _ => self.cause().map(|cause| cause.at),
        }
    }
}
