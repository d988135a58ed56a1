//! What each input causes. Looks at the state, changes nothing.

mod replace;

use prepx_domain::message::{BookOrder, CancelReason, End, Refusal, ToMatching};
use prepx_domain::{AccountId, Instrument, InstrumentId, Micros, OrderId};

use crate::arrive::Arrival;
use crate::book::{Book, book_key};
use crate::event::{Event, Input, Standing};
use crate::fifo::NONE;
use crate::orders::{Order, Place};
use crate::{EXPIRIES_MAX, Engine, REFERENCE_INTERVAL_US};

impl Engine {
    // What most inputs need stays out of line, so that choosing among them saves no registers.
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
                self.decide_cancel(*account, *instrument, *order, *answered, events);
            }
            Input::Timer => self.decide_timer(now, events),
            Input::Triggered(order) => self.decide_released(*order, Place::Queue, now, events),
            Input::Taking(order) => self.decide_released(*order, Place::Taking, now, events),
            Input::Entering(order) => self.decide_entering(*order, now, events),
        }
    }

    #[cold]
    fn decide_define(&self, instrument: &Instrument, now: Micros, events: &mut Vec<Event>) {
        let mut known = self.books.iter().map(|book| &book.instrument);
        if !known.any(|book| book.id == instrument.id || book.symbol == instrument.symbol) {
            events.push(Event::Defined(*instrument));
            events.push(self.session_of(instrument, now));
        }
    }

    #[cold]
    fn decide_halted(&self, instrument: InstrumentId, halted: bool, events: &mut Vec<Event>) {
        if let Some(at) = self.book_at(instrument)
            && self.books[at as usize].halted != halted
        {
            events.push(Event::Halted { instrument, halted });
        }
    }

    #[inline(never)]
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

    /// The price of the level that an order stands in, if it stands on the book.
    fn level_ticks(&self, order: &Order) -> Option<i64> {
        let on_book = order.place == Place::Book;
        on_book.then(|| book_key(order.side, self.levels.get(order.level).key))
    }

    fn standing(&self, order: &Order) -> Standing {
        standing(order, self.level_ticks(order))
    }

    /// Ends an order; if it does not live and this is to be answered, says so.
    #[inline(never)]
    fn decide_cancel(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        order: OrderId,
        answered: bool,
        events: &mut Vec<Event>,
    ) {
        let found = self.orders.find(order).filter(|(_, found)| {
            found.account == account && self.books[found.book as usize].instrument.id == instrument
        });
        match found {
            Some((_, found)) => {
                let end = End::Canceled(CancelReason::Requested);
                events.push(self.ended(found, end));
            }
            None if answered => events.push(Event::Absent { account, order }),
            None => {}
        }
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

    #[inline(never)]
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
            level_at = self.levels.after(level_at);
        }
        true
    }

    /// A triggered stop reaches its book, or an order goes on trading there.
    #[inline(never)]
    fn decide_released(&self, order: OrderId, place: Place, now: Micros, events: &mut Vec<Event>) {
        let Some((at, found)) = self.orders.find_own(order) else {
            return;
        };
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

/// Where an order stands, whose level on the book, if it has one, is at this price.
fn standing(order: &Order, level_ticks: Option<i64>) -> Standing {
    let side = order.side;
    level_ticks.map_or(Standing::Waiting, |price_ticks| Standing::Resting {
        side,
        price_ticks,
    })
}
