//! The sessions of instruments: when a phase ends, which orders leave the book with it, and which of
//! those that waited reach the book.
//!
//! A phase ends at its moment, whatever the timer does: from then on orders are parked. The timer
//! that sees it takes from the book what does not trade in extended hours, says which phase it is
//! now, and lets what is parked in for it at the timers that follow. Each of these takes a bounded
//! number of orders or levels, so no transition grows with the book.

use prepx_domain::{Instrument, InstrumentId, Micros, SessionPhase, Side};

use crate::book::{Book, book_key};
use crate::event::{Event, Input};
use crate::fifo::NONE;
use crate::orders::{PARKED, Place};
use crate::{Engine, LEVELS_MAX, RELEASES_MAX};

impl Engine {
    /// What the hours say of an instrument.
    pub(crate) fn session_of(&self, instrument: &Instrument, now: Micros) -> Event {
        let (phase, until) = self.hours.at(instrument.calendar, now);
        Event::SessionChanged {
            instrument: instrument.id,
            phase,
            until,
        }
    }

    /// Begins the phases that are due, and goes on with those that have begun.
    pub(crate) fn decide_sessions(&self, now: Micros, events: &mut Vec<Event>) {
        let mut levels_left = LEVELS_MAX;
        for book in self.books.iter().filter(|book| book.phase_until <= now) {
            let (phase, _) = self.hours.at(book.instrument.calendar, now);
            let extended = phase == SessionPhase::Extended;
            if !extended || self.clear_for_extended_hours(book, now, &mut levels_left, events) {
                events.push(self.session_of(&book.instrument, now));
            }
        }
        if !self.opening.is_empty() {
            events.push(Event::ReleaseBegan {
                orders_max: RELEASES_MAX,
            });
        }
    }

    /// Takes the orders that do not trade in extended hours from at most `levels_left` levels, the
    /// best first; says whether none are left.
    fn clear_for_extended_hours(
        &self,
        book: &Book,
        now: Micros,
        levels_left: &mut usize,
        events: &mut Vec<Event>,
    ) -> bool {
        for side in [Side::Buy, Side::Sell] {
            let mut level_at = book.ladder(Place::Book, side).first;
            while level_at != NONE {
                let level = self.levels.get(level_at);
                if self.has_regular(level.queue.head, now) {
                    let Some(left) = levels_left.checked_sub(1) else {
                        return false;
                    };
                    *levels_left = left;
                    events.push(Event::LevelParked {
                        instrument: book.instrument.id,
                        side,
                        price_ticks: book_key(side, level.key),
                    });
                }
                level_at = self.levels.after(level_at);
            }
        }
        true
    }

    /// Whether this order, or one behind it, trades in the regular session only and does not end by
    /// this decision.
    fn has_regular(&self, first: u32, now: Micros) -> bool {
        let mut at = first;
        while at != NONE {
            let order = self.orders.get(at);
            if !order.extended_hours && !self.orders.is_over(at, now) {
                return true;
            }
            at = order.link.next;
        }
        false
    }

    /// Folds an event that decides who may trade.
    pub(crate) fn apply_session(&mut self, event: &Event) {
        match *event {
            Event::Halted { instrument, halted } => {
                let book = self.count_updates_of(instrument, 1);
                book.halted = halted;
                self.look_at_session(self.known_book_at(instrument));
            }
            Event::SessionChanged {
                instrument,
                phase,
                until,
            } => {
                let book = self.count_updates_of(instrument, 0);
                (book.phase, book.phase_until) = (phase, until);
                self.look_at_session(self.known_book_at(instrument));
            }
            Event::LevelParked {
                instrument,
                side,
                price_ticks,
            } => self.park_level(instrument, side, price_ticks),
            Event::Parked {
                ref live, early, ..
            } => {
                self.settle(live, if early { Place::Early } else { Place::Late });
            }
            Event::ReleaseBegan { orders_max } => {
                self.releases_left = if self.opening.is_empty() {
                    0
                } else {
                    orders_max
                };
            }
            Event::Entered {
                order,
                parked: true,
                ..
            } => {
                self.releases_left = self.releases_left.saturating_sub(1);
                self.remove_order(order);
            }
            _ => {}
        }
    }

    /// The parked order that reaches its book next.
    pub(crate) fn next_to_enter(&self) -> Option<Input> {
        let book = &self.books[*self.opening.first()? as usize];
        let at = book.next_to_enter()?;
        Some(Input::Entering(self.orders.get(at).id))
    }

    /// Puts an order last among those of its place.
    pub(crate) fn park(&mut self, at: u32) {
        let order = self.orders.get(at);
        let (book_at, queue) = (order.book, order.place.parked());
        let queue = queue.expect("it is parked");
        self.books[book_at as usize].parked[queue].push(&mut self.orders.hot, at);
        self.look_at_session(book_at);
    }

    /// Takes an order out of this queue of those that are parked.
    pub(crate) fn unpark(&mut self, at: u32, queue: usize) {
        let book_at = self.orders.get(at).book;
        self.books[book_at as usize].parked[queue].unlink(&mut self.orders.hot, at);
        self.look_at_session(book_at);
    }

    /// Works out again what follows from a book's phase and from who is parked there.
    pub(crate) fn look_at_session(&mut self, book_at: u32) {
        let book = &mut self.books[book_at as usize];
        book.look_at_session();
        if book.next_to_enter().is_some() {
            self.opening.insert(book_at);
        } else if self.opening.remove(&book_at) && self.opening.is_empty() {
            self.releases_left = 0;
        }
    }

    /// Parks the orders of a level that trade in the regular session only.
    pub(crate) fn park_level(&mut self, instrument: InstrumentId, side: Side, price_ticks: i64) {
        let book_at = self.known_book_at(instrument);
        let book = &mut self.books[book_at as usize];
        book.updates += 1;
        let ladder = book.ladder(Place::Book, side);
        let level_at = self.levels.find(ladder, book_key(side, price_ticks));
        let level_at = level_at.expect("events name levels that stand");
        let mut at = self.levels.get(level_at).queue.head;
        while at != NONE {
            let order = *self.orders.get(at);
            if !order.extended_hours {
                let level = self.levels.get_mut(level_at);
                level.lots -= i128::from(order.left_lots);
                level.queue.unlink(&mut self.orders.hot, at);
                self.orders.keep(at, price_ticks);
                self.park(at);
            }
            at = order.link.next;
        }
        let ladder = self.books[book_at as usize].ladder_mut(Place::Book, side);
        let is_empty = self.levels.get(level_at).queue.is_empty();
        self.levels.remove_if(ladder, level_at, is_empty);
    }

    /// The queues of those that are parked, as [`PARKED`] orders them.
    pub(crate) fn parked_orders(&self, book: &Book) -> [Vec<crate::LiveOrder>; PARKED.len()] {
        book.parked.map(|queue| self.queue_orders(queue).collect())
    }
}
