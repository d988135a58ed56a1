//! An order that arrives at its book: what refuses it, what it trades with, what becomes of the rest,
//! and which stops its trades trigger.

mod park;
mod take;

use prepx_domain::message::{BookOrder, CancelReason, End, Refusal};
use prepx_domain::{Micros, OrderId, SessionPhase, Side, TimeInForce};

use crate::book::{Book, book_key, stop_key};
use crate::event::{Event, LiveOrder, Standing};
use crate::fifo::NONE;
use crate::orders::Place;
use take::{Stopped, Trades};

use crate::{Engine, REFERENCE_INTERVAL_US, REFERENCE_STEP_PER_MILLE};

/// One decision about one arriving order, with what it has decided so far.
pub(crate) struct Arrival<'a> {
    engine: &'a Engine,
    book: &'a Book,
    order: &'a BookOrder,
    cum_lots: i64,
    left_lots: i64,
    triggered: bool,
    pair: Option<OrderId>,
    worst_ticks: Option<i64>,
    /// Whether it would trade at once with the best order of the other side.
    crosses: bool,
    /// The order in the state that this one replaces.
    replaced: u32,
    /// The ids and prices of this arrival's trades.
    trades: Option<Trades>,
    now: Micros,
    events: &'a mut Vec<Event>,
}

/// The worst price at which an order trades: its limit, but never beyond what its hold covers.
pub(crate) fn worst_ticks(order: &BookOrder) -> Option<i64> {
    match (order.kind.limit(), order.protect_ticks) {
        (Some(limit), Some(protect)) => Some(match order.side {
            Side::Buy => limit.min(protect),
            Side::Sell => limit.max(protect),
        }),
        (limit, protect) => limit.or(protect),
    }
}

/// Whether an order would trade at once with the best order of the other side.
pub(crate) fn crosses(book: &Book, order: &BookOrder) -> bool {
    let other = order.side.opposite();
    let last_key = worst_key(other, worst_ticks(order));
    book.ladder(Place::Book, other).reaches(last_key)
}

/// The last key among the orders of the side `other` at which an order trades.
fn worst_key(other: Side, worst_ticks: Option<i64>) -> i64 {
    worst_ticks.map_or(i64::MAX, |ticks| book_key(other, ticks))
}

impl<'a> Arrival<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        book: &'a Book,
        order: &'a BookOrder,
        now: Micros,
        events: &'a mut Vec<Event>,
    ) -> Arrival<'a> {
        Arrival {
            engine,
            book,
            order,
            cum_lots: 0,
            left_lots: order.qty_lots,
            triggered: false,
            pair: None,
            worst_ticks: worst_ticks(order),
            crosses: crosses(book, order),
            replaced: NONE,
            trades: None,
            now,
            events,
        }
    }

    /// The order replaces the one at this place in the state.
    pub(crate) fn replacing(&mut self, at: u32) {
        let old = self.engine.orders.get(at);
        self.replaced = at;
        self.pair = Some(old.id);
        self.cum_lots = old.cum_lots;
        self.left_lots -= old.cum_lots;
        // What was triggered stays triggered: its stop price has done its work.
        self.triggered = old.triggered && self.order.kind.stop().is_some();
    }

    /// The order has lived before.
    pub(crate) fn released(&mut self, live: &LiveOrder) {
        self.pair = live.pair;
        self.cum_lots = live.cum_lots;
        self.left_lots -= live.cum_lots;
        self.triggered = live.triggered;
    }

    fn live(&self) -> LiveOrder {
        LiveOrder {
            order: *self.order,
            cum_lots: self.cum_lots,
            triggered: self.triggered,
            pair: self.pair,
        }
    }

    fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Whether it waits for its trigger price before it reaches the book.
    fn waits(&self) -> bool {
        self.order.kind.stop().is_some() && !self.triggered && !self.triggers()
    }

    fn triggers(&self) -> bool {
        let order = self.order;
        match (order.kind.stop(), self.book.last_ticks) {
            (Some(stop), Some(last)) => order.side.triggers(stop, last),
            _ => false,
        }
    }

    /// Why the book refuses the order, if it does.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        if !self.crosses || self.waits() {
            return None;
        }
        if self.order.post_only {
            return Some(Refusal::PostOnlyWouldTrade);
        }
        self.outside_collar()
    }

    /// The band is around the last trade; orders without a limit have their protect price instead.
    fn outside_collar(&self) -> Option<Refusal> {
        let order = self.order;
        order.kind.limit()?;
        let worst = self.worst_ticks?;
        let seed = self.book.instrument.seed_reference_ticks;
        let reference = self.book.last_ticks.or(seed)?;
        let (low_ticks, high_ticks) = self.book.instrument.band_ticks(reference);
        let outside = match order.side {
            Side::Buy => worst > high_ticks,
            Side::Sell => worst < low_ticks,
        };
        outside.then_some(Refusal::OutsideCollar {
            low_ticks,
            high_ticks,
        })
    }

    /// Decides everything that follows from the arrival.
    pub(crate) fn enter(mut self) {
        if self.waits() {
            let live = self.live();
            return self.push(Event::Waited(live));
        }
        if !self.triggered && self.order.kind.stop().is_some() {
            self.triggered = true;
            self.push(Event::Triggered {
                instrument: self.order.instrument,
                account: self.order.account,
                order: self.order.order,
                waited: false,
            });
        }
        match self.refusal() {
            Some(refusal) => self.end(End::Rejected(refusal)),
            None => self.meet(),
        }
    }

    /// Decides everything that follows when the order, which is not refused, takes the place of
    /// another one, which stood there.
    pub(crate) fn replace(mut self, stood: Standing, is_over: bool) {
        self.push_replaced(stood);
        if is_over {
            self.end(End::Expired);
        } else {
            self.enter();
        }
    }

    fn push_replaced(&mut self, stood: Standing) {
        self.push(Event::Replaced {
            instrument: self.order.instrument,
            account: self.order.account,
            old: self.engine.orders.get(self.replaced).id,
            new: self.order.order,
            cum_lots: self.cum_lots,
            stood,
        });
    }

    /// Trades with the other side, and rests or ends what is left.
    fn meet(&mut self) {
        if self.order.time_in_force == TimeInForce::FillOrKill {
            match self.fillable() {
                Stopped::Whole => {}
                Stopped::OwnOrder => return self.end(End::Canceled(CancelReason::SelfTrade)),
                _ => return self.end(End::Canceled(CancelReason::NotWhole)),
            }
        }
        self.trade();
    }

    /// Trades as often as one decision allows, and leaves what is left.
    pub(crate) fn trade(&mut self) {
        let stopped = self.take();
        self.leave_rest(stopped);
        if let Some(trades) = self.trades {
            let (first, last) = (trades.first_ticks, trades.last_ticks);
            // Stops follow the regular session alone.
            if self.book.phase == SessionPhase::Regular {
                self.trigger_stops(first.min(last), first.max(last));
            }
            self.move_reference(last);
        }
    }

    fn may_rest(&self) -> bool {
        self.order.time_in_force.rests() && self.order.kind.limit().is_some()
    }

    /// Ends what is left of the order.
    pub(crate) fn end(&mut self, end: End) {
        let event = Event::Ended {
            instrument: self.order.instrument,
            account: self.order.account,
            order: self.order.order,
            cum_lots: self.cum_lots,
            end,
            stood: Standing::Arriving,
        };
        self.push(event);
    }

    /// Rests what is left of the order, or ends it, or lets it go on.
    fn leave_rest(&mut self, stopped: Stopped) {
        let bound = self.worst_ticks != self.order.kind.limit();
        let reason = match stopped {
            Stopped::Whole => return,
            Stopped::Paused => {
                let live = self.live();
                return self.push(Event::Paused(live));
            }
            Stopped::OwnOrder => CancelReason::SelfTrade,
            Stopped::Uncovered => CancelReason::ProtectPrice,
            Stopped::Empty | Stopped::Beyond if self.may_rest() => {
                let live = self.live();
                return self.push(Event::Rested(live));
            }
            Stopped::Beyond if bound => CancelReason::ProtectPrice,
            Stopped::Empty | Stopped::Beyond => CancelReason::Unfilled,
        };
        self.end(End::Canceled(reason));
    }

    /// Stops whose price lies within what has just traded queue for the book: buys from the lowest
    /// stop price up, then sells from the highest down, in order of arrival within a price.
    fn trigger_stops(&mut self, low_ticks: i64, high_ticks: i64) {
        for (side, reached_ticks) in [(Side::Buy, high_ticks), (Side::Sell, low_ticks)] {
            let last_key = stop_key(side, reached_ticks);
            let mut level_at = self.book.ladder(Place::Stops, side).first;
            while level_at != NONE && self.engine.levels.get(level_at).key <= last_key {
                self.trigger_level(level_at);
                level_at = self.engine.levels.after(level_at);
            }
        }
    }

    fn trigger_level(&mut self, level_at: u32) {
        let mut at = self.engine.levels.get(level_at).queue.head;
        while at != NONE {
            let stop = self.engine.orders.get(at);
            // The order that this one replaces has left already.
            if at != self.replaced {
                self.push(Event::Triggered {
                    instrument: self.book.instrument.id,
                    account: stop.account,
                    order: stop.id,
                    waited: true,
                });
            }
            at = stop.link.next;
        }
    }

    /// Account partitions learn the new price when it has moved far enough or long enough ago.
    fn move_reference(&mut self, price_ticks: i64) {
        let far_or_old = match self.book.reference_ticks {
            None => true,
            Some(known) => {
                let moved = price_ticks.abs_diff(known).saturating_mul(1_000);
                let waited_us = self.now.0.saturating_sub(self.book.reference_at.0);
                let step = known
                    .unsigned_abs()
                    .saturating_mul(REFERENCE_STEP_PER_MILLE);
                moved > 0 && (moved >= step || waited_us >= REFERENCE_INTERVAL_US)
            }
        };
        if far_or_old {
            self.push(Event::Reference {
                instrument: self.book.instrument.id,
                price_ticks,
                at: self.now,
            });
        }
    }
}
