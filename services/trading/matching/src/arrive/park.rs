//! Orders whose session is not on: what waits, what cannot, and how it reaches the book later.

use prepx_domain::message::{BookOrder, End, Refusal};
use prepx_domain::{Micros, OrderId, SessionPhase};

use super::Arrival;
use crate::Engine;
use crate::book::Book;
use crate::decide::is_over;
use crate::event::{Event, LiveOrder, Standing};

/// Why an order does not reach the book at once.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    /// Its session is not on; otherwise it only stands behind others that open the session.
    closed: bool,
    /// It is for extended hours, and these come next.
    early: bool,
}

impl Engine {
    /// Why an order that arrives now has to wait, if it has to.
    ///
    /// Between the moment at which a phase ends and the timer that sees it everything waits.
    pub(crate) fn wait(&self, book: &Book, order: &BookOrder, now: Micros) -> Option<Wait> {
        let known = now < book.phase_until;
        let (phase, _) = match known {
            true => (book.phase, book.phase_until),
            false => self.hours.at(book.instrument.calendar, now),
        };
        let closed = !phase.admits(order.extended_hours);
        let waits = closed || !known || book.next_to_enter().is_some();
        waits.then_some(Wait {
            closed,
            early: order.extended_hours && phase != SessionPhase::Regular,
        })
    }

    /// An order arrives at a book that is not in the middle of its session, or whose account takes
    /// it to be waiting.
    pub(crate) fn decide_apart(
        &self,
        book: &Book,
        order: &BookOrder,
        now: Micros,
        events: &mut Vec<Event>,
    ) {
        let wait = self.wait(book, order, now);
        let was_notified = order.awaits_session;
        let order = &BookOrder {
            awaits_session: false,
            ..*order
        };
        if wait.is_none() && was_notified {
            events.push(Event::Entered {
                account: order.account,
                order: order.order,
                parked: false,
            });
        }
        let arrival = Arrival::new(self, book, order, now, events);
        match wait {
            Some(wait) => arrival.park(wait, was_notified),
            None => arrival.enter(),
        }
    }

    /// A parked order reaches its book.
    #[inline(never)]
    pub(crate) fn decide_entering(&self, order: OrderId, now: Micros, events: &mut Vec<Event>) {
        let found = self.orders.find_own(order);
        let Some((at, found)) = found.filter(|(_, found)| found.place.parked().is_some()) else {
            return;
        };
        let book = &self.books[found.book as usize];
        let live = self.orders.live(at, 0, book.instrument.id);
        events.push(Event::Entered {
            account: found.account,
            order,
            parked: true,
        });
        let mut arrival = Arrival::new(self, book, &live.order, now, events);
        arrival.released(&live);
        match is_over(&live.order, now) {
            true => arrival.end(End::Expired),
            false => arrival.enter(),
        }
    }
}

impl Arrival<'_> {
    /// Waits for its session, unless it had to trade at once.
    fn park(mut self, wait: Wait, was_notified: bool) {
        if wait.closed && !self.order.time_in_force.rests() {
            return self.end(End::Rejected(Refusal::SessionClosed));
        }
        let live: LiveOrder = self.live();
        self.push(Event::Parked {
            live,
            early: wait.early,
            notify: wait.closed && !was_notified,
        });
    }

    /// Decides everything that follows when the order takes the place of another one, which stood
    /// there, and has to wait.
    pub(crate) fn replace_parked(mut self, stood: Standing, is_over: bool, wait: Wait) {
        self.push_replaced(stood);
        match is_over {
            true => self.end(End::Expired),
            false => self.park(wait, false),
        }
    }
}
