//! What each input causes. Looks at the state, changes nothing.

use prepx_domain::message::{BookOrder, BookReplace, CancelReason, End, Refusal, ToMatching};
use prepx_domain::{AccountId, Instrument, InstrumentId, Micros, OrderId};

use crate::arrive::Arrival;
use crate::book::{Book, book_key};
use crate::event::{Event, Input, Standing};
use crate::fifo::NONE;
use crate::orders::{Order, Place};
use crate::{EXPIRIES_MAX, Engine, REFERENCE_INTERVAL_US};

impl Engine {
    pub(crate) fn decide_input(&self, input: &Input, now: Micros, events: &mut Vec<Event>) {
        match input {
            Input::Command(ToMatching::Define(instrument)) => {
                self.decide_define(instrument, now, events)
            }
            Input::Command(ToMatching::Halt(id)) => self.decide_halted(*id, true, events),
            Input::Command(ToMatching::Resume(id)) => self.decide_halted(*id, false, events),
            Input::Command(ToMatching::Place(order)) => self.decide_place(order, now, events),
            Input::Command(ToMatching::Replace(replace)) => {
                self.decide_replace(replace, now, events);
            }
            Input::Command(ToMatching::Cancel {
                account,
                instrument,
                order,
                answered,
            }) => {
                let found = self.decide_cancel(*account, *instrument, *order, events);
                if *answered && !found {
                    let (account, order) = (*account, *order);
                    events.push(Event::Absent { account, order });
                }
            }
            Input::Timer => self.decide_timer(now, events),
            Input::Triggered(order) => self.decide_released(*order, Place::Queue, now, events),
            Input::Taking(order) => self.decide_released(*order, Place::Taking, now, events),
            Input::Entering(order) => self.decide_entering(*order, now, events),
        }
    }

    fn decide_define(&self, instrument: &Instrument, now: Micros, events: &mut Vec<Event>) {
        let mut known = self.books.iter().map(|book| &book.instrument);
        if !known.any(|book| book.id == instrument.id || book.symbol == instrument.symbol) {
            events.push(Event::Defined(*instrument));
            events.push(self.session_of(instrument, now));
        }
    }

    fn decide_halted(&self, instrument: InstrumentId, halted: bool, events: &mut Vec<Event>) {
        if let Some(at) = self.book_at(instrument)
            && self.books[at as usize].halted != halted
        {
            events.push(Event::Halted { instrument, halted });
        }
    }

    fn decide_place(&self, order: &BookOrder, now: Micros, events: &mut Vec<Event>) {
        let end = match self.open_book(order.instrument) {
            Err(refusal) => End::Rejected(refusal),
            Ok(_) if is_over(order, now) => End::Expired,
            Ok(book) if now < book.continuous_until && !order.awaits_session => {
                Arrival::new(self, book, order, now, events).enter();
                return;
            }
            Ok(book) => return self.decide_apart(book, order, now, events),
        };
        events.push(Event::Ended {
            instrument: order.instrument,
            account: order.account,
            order: order.order,
            cum_lots: 0,
            end,
            stood: Standing::Arriving,
        });
    }

    fn open_book(&self, instrument: InstrumentId) -> Result<&Book, Refusal> {
        let at = self.book_at(instrument).ok_or(Refusal::UnknownInstrument)?;
        let book = &self.books[at as usize];
        if book.halted {
            Err(Refusal::Halted)
        } else {
            Ok(book)
        }
    }

    fn decide_replace(&self, replace: &BookReplace, now: Micros, events: &mut Vec<Event>) {
        if let Err(refusal) = self.try_replace(replace, now, events) {
            events.push(Event::ReplaceRejected {
                account: replace.new.account,
                old: replace.old,
                new: replace.new.order,
                refusal,
            });
        }
    }

    fn try_replace(
        &self,
        replace: &BookReplace,
        now: Micros,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        let BookReplace { old, ref new } = *replace;
        let Some((at, book)) = self.replaceable(old, new) else {
            return Err(self
                .open_book(new.instrument)
                .err()
                .unwrap_or(Refusal::NotLiving));
        };
        if book.halted {
            return Err(Refusal::Halted);
        }
        let order = self.orders.get(at);
        let cum_lots = order.cum_lots;
        if new.qty_lots <= cum_lots {
            return Err(Refusal::QuantityTraded { cum_lots });
        }
        let stood = self.standing(order);
        if self.only_reduces(at, order, new) {
            events.push(Event::Reduced {
                instrument: new.instrument,
                account: new.account,
                old,
                new: new.order,
                cum_lots,
                left_lots: new.qty_lots - cum_lots,
                stood,
            });
            return Ok(());
        }
        let mut arrival = Arrival::new(self, book, new, now, events);
        arrival.replacing(at);
        if now >= book.continuous_until
            && let Some(wait) = self.wait(book, new, now)
        {
            arrival.replace_parked(stood, is_over(new, now), wait);
            return Ok(());
        }
        if let Some(refusal) = arrival.refusal() {
            return Err(refusal);
        }
        arrival.replace(stood, is_over(new, now));
        Ok(())
    }

    /// The living order that `new` may replace, and its book.
    fn replaceable(&self, old: OrderId, new: &BookOrder) -> Option<(u32, &Book)> {
        let at = self.orders.find_own(old)?;
        let order = self.orders.get(at);
        let book = &self.books[order.book as usize];
        let same = order.account == new.account
            && order.side == new.side
            && book.instrument.id == new.instrument;
        same.then_some((at, book))
    }

    /// Whether `new` changes nothing but the quantity, and does not raise it.
    fn only_reduces(&self, at: u32, order: &Order, new: &BookOrder) -> bool {
        // What is not told by its level is told by its terms.
        let limit = match order.has_terms {
            true => 0,
            false => book_key(order.side, self.levels.get(order.level).key),
        };
        new.qty_lots <= order.cum_lots + order.left_lots
            && new.time_in_force == order.time_in_force
            && new.post_only == order.post_only
            && new.extended_hours == order.extended_hours
            && self.orders.has_same_terms(at, limit, new)
    }

    fn standing(&self, order: &Order) -> Standing {
        match order.place {
            Place::Book => Standing::Resting {
                side: order.side,
                price_ticks: book_key(order.side, self.levels.get(order.level).key),
            },
            Place::Stops
            | Place::Taking
            | Place::Queue
            | Place::Early
            | Place::Kept
            | Place::Late => Standing::Waiting,
        }
    }

    /// Ends an order; says whether it lives.
    fn decide_cancel(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        order: OrderId,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(at) = self.orders.find(order) else {
            return false;
        };
        let found = self.orders.get(at);
        let lives =
            found.account == account && self.books[found.book as usize].instrument.id == instrument;
        if lives {
            let end = End::Canceled(CancelReason::Requested);
            events.push(self.ended(found, end));
        }
        lives
    }

    fn ended(&self, order: &Order, end: End) -> Event {
        Event::Ended {
            instrument: self.books[order.book as usize].instrument.id,
            account: order.account,
            order: order.id,
            cum_lots: order.cum_lots,
            end,
            stood: self.standing(order),
        }
    }

    fn decide_timer(&self, now: Micros, events: &mut Vec<Event>) {
        if !self.decide_expiries(now, events) {
            return;
        }
        for book in &self.books {
            let waited_us = now.0.saturating_sub(book.reference_at.0);
            if let Some(price_ticks) = book.last_ticks
                && book.reference_ticks != Some(price_ticks)
                && waited_us >= REFERENCE_INTERVAL_US
            {
                events.push(Event::Reference {
                    instrument: book.instrument.id,
                    price_ticks,
                    at: now,
                });
            }
        }
        self.decide_sessions(now, events);
    }

    /// Ends orders whose time is over, the first of them first; says whether none are left.
    fn decide_expiries(&self, now: Micros, events: &mut Vec<Event>) -> bool {
        let mut left = EXPIRIES_MAX;
        let mut level_at = self.expiry.first;
        while level_at != NONE && self.levels.get(level_at).key <= now.0 {
            let level = self.levels.get(level_at);
            let mut at = level.queue.head;
            while at != NONE {
                let Some(fewer) = left.checked_sub(1) else {
                    return false;
                };
                left = fewer;
                events.push(self.ended(self.orders.get(at), End::Expired));
                at = self.orders.terms[at as usize].next_to_expire();
            }
            level_at = level.after;
        }
        true
    }

    /// A triggered stop reaches its book, or an order goes on trading there.
    fn decide_released(&self, order: OrderId, place: Place, now: Micros, events: &mut Vec<Event>) {
        let Some(at) = self.orders.find_own(order) else {
            return;
        };
        let found = self.orders.get(at);
        if found.place != place {
            return;
        }
        let book = &self.books[found.book as usize];
        let live = self.orders.live(at, 0, book.instrument.id);
        events.push(Event::Released { order });
        let mut arrival = Arrival::new(self, book, &live.order, now, events);
        arrival.released(&live);
        match place {
            Place::Taking => arrival.trade(),
            _ => arrival.enter(),
        }
    }
}

/// Whether an order that arrives now has ended by itself already.
pub(crate) fn is_over(order: &BookOrder, now: Micros) -> bool {
    order.expires_at.is_some_and(|at| at <= now)
}
