//! An order as the stage keeps it, and the view that its account sees.

use std::sync::Arc;

use prepx_domain::message::{BookOrder, End};
use prepx_domain::update::OrderView;
use prepx_domain::{Instrument, Micros, OrderId, OrderKind, OrderStatus, Side};

/// An order, open or ended not long ago. Prices are ticks and quantities lots, as on the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// As it was sent to the market.
    pub book: BookOrder,
    /// The client's name for it.
    pub client_order_id: Arc<str>,
    /// What was held when it was accepted.
    pub hold_minor: i64,
    /// What is held now: quote for a buy, base for a sell.
    pub held_minor: i64,
    /// How much base it may still buy; zero for a sell.
    pub buying_minor: i64,
    /// What has traded, in lots. A replacement goes on from what the old order has traded.
    pub cum_lots: i64,
    /// The money of what has traded.
    pub filled_notional_minor: i64,
    /// The fees of what has traded.
    pub fee_minor: i64,
    /// When it was accepted.
    pub created_at: Micros,
    /// When it last changed.
    pub updated_at: Micros,
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether a cancel went to the market.
    pub cancel_requested: bool,
    /// Whether it waits for its session.
    pub parked: bool,
    /// Whether its stop was set off.
    pub triggered: bool,
    /// The order that it replaces.
    pub replaces: Option<OrderId>,
    /// The order that replaced it, or will if the market agrees.
    pub replaced_by: Option<OrderId>,
}

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A replacement that the market has not answered yet.
    Pending,
    /// It lives.
    Open,
    /// It ended by itself.
    Ended {
        /// When.
        at: Micros,
        /// How.
        end: End,
    },
    /// Its replacement took its place.
    Replaced {
        /// When.
        at: Micros,
    },
}

impl Order {
    /// An order that has just been accepted.
    pub(crate) fn accepted(
        book: BookOrder,
        client_order_id: Arc<str>,
        hold_minor: i64,
        buying_minor: i64,
        at: Micros,
    ) -> Order {
        Order {
            book,
            client_order_id,
            hold_minor,
            held_minor: hold_minor,
            buying_minor,
            cum_lots: 0,
            filled_notional_minor: 0,
            fee_minor: 0,
            created_at: at,
            updated_at: at,
            phase: Phase::Open,
            parked: book.awaits_session,
            cancel_requested: false,
            triggered: false,
            replaces: None,
            replaced_by: None,
        }
    }

    /// Whether something may still happen to it.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Pending | Phase::Open)
    }

    /// Whether all of it has traded. Its end follows, and nothing else can happen before.
    pub(crate) fn has_traded_whole(&self) -> bool {
        self.cum_lots == self.book.qty_lots
    }

    /// The replacement that the market has not answered yet.
    pub fn pending_replacement(&self) -> Option<OrderId> {
        match self.phase {
            Phase::Open => self.replaced_by,
            _ => None,
        }
    }

    /// Where it stands, as its account sees it.
    pub fn status(&self) -> OrderStatus {
        match self.phase {
            Phase::Pending => OrderStatus::PendingNew,
            Phase::Open if self.has_traded_whole() => OrderStatus::Filled,
            Phase::Open if self.cancel_requested => OrderStatus::PendingCancel,
            Phase::Open if self.replaced_by.is_some() => OrderStatus::PendingReplace,
            Phase::Open if self.cum_lots > 0 => OrderStatus::PartiallyFilled,
            Phase::Open if self.parked => OrderStatus::Accepted,
            Phase::Open => OrderStatus::New,
            Phase::Replaced { .. } => OrderStatus::Replaced,
            Phase::Ended { end, .. } => match end {
                End::Filled => OrderStatus::Filled,
                End::Canceled(_) => OrderStatus::Canceled,
                End::Expired => OrderStatus::Expired,
                End::Rejected(_) => OrderStatus::Rejected,
            },
        }
    }

    /// The worst price at which it may trade, in ticks.
    pub(crate) fn worst_ticks(&self) -> i64 {
        let worst = self.book.kind.limit().or(self.book.protect_ticks);
        worst.expect("an order without a limit is sent with a protect price")
    }

    /// What its account sees of it now.
    pub fn view(&self, instrument: &Instrument) -> OrderView {
        let (ended_at, end) = match self.phase {
            Phase::Ended { at, end } => (Some(self.shown(at)), Some(end)),
            Phase::Replaced { at } => (Some(self.shown(at)), None),
            Phase::Pending | Phase::Open => (None, None),
        };
        OrderView {
            id: self.book.order,
            account: self.book.account,
            client_order_id: String::from(&*self.client_order_id),
            instrument: instrument.id,
            symbol: instrument.symbol,
            side: self.book.side,
            kind: kind_minor(instrument, self.book.kind),
            time_in_force: self.book.time_in_force,
            post_only: self.book.post_only,
            extended_hours: self.book.extended_hours,
            status: self.status(),
            qty_minor: qty_minor(instrument, self.book.qty_lots),
            filled_minor: qty_minor(instrument, self.cum_lots),
            filled_notional_minor: self.filled_notional_minor,
            fee_minor: self.fee_minor,
            held_minor: self.held_minor,
            created_at: self.created_at,
            updated_at: self.shown(self.updated_at),
            expires_at: self.book.expires_at,
            ended_at,
            end,
            replaces: self.replaces,
            replaced_by: self.replaced_by,
        }
    }

    /// What happens in the turn in which it came is not shown as earlier than its coming.
    fn shown(&self, at: Micros) -> Micros {
        at.max(self.created_at)
    }

    /// What its account saw of it when it was accepted: the first decision, for a repeat.
    pub(crate) fn first_view(&self, instrument: &Instrument) -> OrderView {
        let status = match self.replaces {
            Some(_) => OrderStatus::PendingNew,
            None if self.book.awaits_session => OrderStatus::Accepted,
            None => OrderStatus::New,
        };
        OrderView {
            status,
            filled_minor: 0,
            filled_notional_minor: 0,
            fee_minor: 0,
            held_minor: self.hold_minor,
            updated_at: self.created_at,
            ended_at: None,
            end: None,
            replaced_by: None,
            ..self.view(instrument)
        }
    }
}

/// Whole lots of an accepted order as base minor units.
pub(crate) fn qty_minor(instrument: &Instrument, lots: i64) -> i64 {
    let qty_minor = instrument.qty_minor(lots);
    qty_minor.expect("an accepted order was given in minor units")
}

/// How much base an order of this side may buy with `lots`.
pub(crate) fn buying_minor(instrument: &Instrument, side: Side, lots: i64) -> i64 {
    match side {
        Side::Buy => qty_minor(instrument, lots),
        Side::Sell => 0,
    }
}

fn kind_minor(instrument: &Instrument, kind: OrderKind) -> OrderKind {
    let price = |ticks| {
        let minor = instrument.price_minor(ticks);
        minor.expect("an accepted order's prices were given in minor units")
    };
    match kind {
        OrderKind::Market => OrderKind::Market,
        OrderKind::Limit { limit } => OrderKind::Limit {
            limit: price(limit),
        },
        OrderKind::Stop { stop } => OrderKind::Stop { stop: price(stop) },
        OrderKind::StopLimit { stop, limit } => OrderKind::StopLimit {
            stop: price(stop),
            limit: price(limit),
        },
    }
}
