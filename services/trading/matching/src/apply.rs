//! Folding events into the state. Nothing is decided here and nothing can fail.

use prepx_domain::{Instrument, InstrumentId, OrderId};

use crate::Engine;
use crate::arrive::worst_ticks;
use crate::book::{Book, SlotIds, book_key, stop_key};
use crate::event::{Event, LiveOrder, Standing, Trade};
use crate::fifo::NONE;
use crate::orders::Place;

impl Engine {
    pub(crate) fn apply_event(&mut self, event: &Event) {
        match *event {
            Event::Defined(ref instrument) => self.define(instrument),
            Event::Halted { .. }
            | Event::SessionChanged { .. }
            | Event::LevelParked { .. }
            | Event::Parked { .. }
            | Event::ReleaseBegan { .. }
            | Event::Entered { .. } => self.apply_session(event),
            Event::Reference {
                instrument,
                price_ticks,
                at,
            } => {
                let book = self.count_updates_of(instrument, 0);
                book.reference_ticks = Some(price_ticks);
                book.reference_at = at;
            }
            Event::Rested(ref live) => self.settle(live, Place::Book),
            Event::Waited(ref live) => self.settle(live, Place::Stops),
            Event::Paused(ref live) => self.settle(live, Place::Taking),
            Event::Triggered { order, waited, .. } => {
                if waited {
                    self.trigger(order);
                }
            }
            Event::Absent { .. } => {}
            Event::Released { order } => self.remove_order(order),
            Event::Traded(ref trade) => self.trade(trade),
            Event::Replaced { old, stood, .. } => self.leave(old, stood),
            Event::Moved {
                ref live,
                from_ticks,
            } => self.move_order(live, from_ticks),
            Event::Reduced {
                old,
                new,
                left_lots,
                stood,
                ..
            } => self.reduce(old, new, left_lots, stood),
            Event::ReplaceRejected {
                account, old, new, ..
            } => {
                let lives = self.orders.find_own(old);
                if let Some((at, _)) = lives.filter(|(_, order)| order.account == account) {
                    self.orders.set_pair(at, new);
                }
            }
            Event::Ended { order, stood, .. } => {
                if stood != Standing::Arriving {
                    self.leave(order, stood);
                }
            }
        }
    }

    fn define(&mut self, instrument: &Instrument) {
        let slot = instrument.id.slot();
        let known = self.slots.iter().position(|ids| ids.slot == slot);
        let slot_at = known.unwrap_or_else(|| {
            self.slots.push(SlotIds {
                slot,
                trade: None,
                execution: None,
            });
            self.slots.len() - 1
        });
        let at = self.books.len() as u32;
        let mut book = Book::new(*instrument, slot_at as u32);
        book.updates = 1;
        self.books.push(book);
        self.by_instrument.insert(instrument.id, at);
    }

    /// Counts market updates of an instrument and returns its book.
    pub(crate) fn count_updates_of(&mut self, instrument: InstrumentId, updates: u64) -> &mut Book {
        let at = self.known_book_at(instrument);
        let book = &mut self.books[at as usize];
        book.updates += updates;
        book
    }

    pub(crate) fn settle(&mut self, live: &LiveOrder, place: Place) {
        let at = self.stand(live, place);
        if place == Place::Book {
            self.count_updates(at, 1);
        }
        if live.order.expires_at.is_some() {
            self.await_expiry(at);
        }
    }

    /// Adds an order, last in its level of the book or the stops, last in the queue, or first if it trades.
    pub(crate) fn stand(&mut self, live: &LiveOrder, place: Place) -> u32 {
        let order = &live.order;
        let book_at = self.known_book_at(order.instrument);
        let at = self.orders.insert(live, book_at, place);
        let key = match place {
            Place::Taking => {
                self.queue.push_first(&mut self.orders.hot, at);
                return at;
            }
            Place::Queue => {
                self.queue.push(&mut self.orders.hot, at);
                return at;
            }
            Place::Early | Place::Kept | Place::Late => {
                self.park(at);
                return at;
            }
            Place::Book => worst_ticks(order).map(|ticks| book_key(order.side, ticks)),
            Place::Stops => order.kind.stop().map(|ticks| stop_key(order.side, ticks)),
        };
        let key = key.expect("an order on a ladder has a price");
        let ladder = self.books[book_at as usize].ladder_mut(place, order.side);
        let near = ladder.first;
        let level_at = self.levels.find_or_insert(ladder, key, near);
        self.line_up(at, level_at);
        at
    }

    /// Puts an order last in a level.
    fn line_up(&mut self, at: u32, level_at: u32) {
        let order = &mut self.orders.hot[at as usize];
        order.level = level_at;
        let level = self.levels.get_mut(level_at);
        level.lots += i128::from(order.left_lots);
        level.queue.push(&mut self.orders.hot, at);
    }

    /// Puts an order that expires last among those that expire at the same time.
    pub(crate) fn await_expiry(&mut self, at: u32) {
        let terms = &self.orders.terms[at as usize];
        let expires_at = terms
            .expires_at
            .expect("only orders that expire are awaited");
        let near = self.expiry.first;
        let level_at = self
            .levels
            .find_or_insert(&mut self.expiry, expires_at.0, near);
        let queue = &mut self.levels.get_mut(level_at).queue;
        queue.push(&mut self.orders.terms, at);
        self.orders.terms[at as usize].expiry_level = level_at;
    }

    /// Counts market updates about the instrument of an order.
    fn count_updates(&mut self, at: u32, updates: u64) {
        let book = self.orders.get(at).book;
        self.books[book as usize].updates += updates;
    }

    fn leave(&mut self, order: OrderId, stood: Standing) {
        let at = self.known_order(order);
        self.count_updates(at, stood.updates());
        self.remove(at);
    }

    pub(crate) fn remove_order(&mut self, order: OrderId) {
        let at = self.known_order(order);
        self.remove(at);
    }

    fn known_order(&self, order: OrderId) -> u32 {
        let lives = self.orders.find_again(order);
        lives.expect("events name orders that live")
    }

    /// Takes an order from wherever it stands and forgets it.
    fn remove(&mut self, at: u32) {
        self.unstand(at);
        if self.orders.get(at).has_terms {
            self.forget_expiry(at);
        }
        self.orders.remove(at);
    }

    /// Takes an order out of its level or the queue.
    fn unstand(&mut self, at: u32) {
        let order = &self.orders.hot[at as usize];
        let (place, level_at) = (order.place, order.level);
        if matches!(place, Place::Queue | Place::Taking) {
            self.queue.unlink(&mut self.orders.hot, at);
            return;
        }
        if let Some(queue) = place.parked() {
            return self.unpark(at, queue);
        }
        let ladder = self.books[order.book as usize].ladder_mut(place, order.side);
        let level = self.levels.get_mut(level_at);
        level.lots -= i128::from(order.left_lots);
        let is_empty = level.queue.unlink(&mut self.orders.hot, at);
        self.levels.remove_if(ladder, level_at, is_empty);
    }

    fn forget_expiry(&mut self, at: u32) {
        let terms = &self.orders.terms[at as usize];
        if terms.expires_at.is_none() {
            return;
        }
        let level_at = terms.expiry_level;
        let queue = &mut self.levels.get_mut(level_at).queue;
        let is_empty = queue.unlink(&mut self.orders.terms, at);
        self.levels.remove_if(&mut self.expiry, level_at, is_empty);
    }

    fn trigger(&mut self, order: OrderId) {
        let at = self.known_order(order);
        self.unstand(at);
        let hot = &mut self.orders.hot[at as usize];
        hot.place = Place::Queue;
        hot.triggered = true;
        self.queue.push(&mut self.orders.hot, at);
    }

    fn trade(&mut self, trade: &Trade) {
        let at = self.known_order(trade.maker.order);
        let maker = &mut self.orders.hot[at as usize];
        maker.left_lots = trade.maker.left_lots;
        maker.cum_lots = trade.maker.cum_lots;
        self.levels.get_mut(maker.level).lots -= i128::from(trade.qty_lots);
        let book = &mut self.books[maker.book as usize];
        book.updates += 2;
        book.last_ticks = Some(trade.price_ticks);
        let slot = &mut self.slots[book.slot as usize];
        slot.trade = Some(trade.trade);
        slot.execution = Some(trade.taker.execution);
        if trade.maker.left_lots == 0 {
            self.remove(at);
        }
    }

    fn move_order(&mut self, live: &LiveOrder, from_ticks: i64) {
        let old = live.pair.expect("what moved has its old id as its pair");
        let at = self.known_order(old);
        if self.orders.get(at).has_terms {
            self.forget_expiry(at);
        }
        let to_ticks = worst_ticks(&live.order).expect("an order that rests has a price");
        self.count_updates(at, if to_ticks == from_ticks { 1 } else { 2 });
        let left_lots = live.order.qty_lots - live.cum_lots;
        self.change_level(at, to_ticks, left_lots);
        self.orders.rewrite(at, live);
        if live.order.expires_at.is_some() {
            self.await_expiry(at);
        }
    }

    /// Puts an order of the book last in the level of another price; from now on so much is left of it.
    fn change_level(&mut self, at: u32, to_ticks: i64, left_lots: i64) {
        let order = &mut self.orders.hot[at as usize];
        let (from_at, from_lots) = (order.level, order.left_lots);
        order.left_lots = left_lots;
        let ladder = self.books[order.book as usize].ladder_mut(Place::Book, order.side);
        let key = book_key(order.side, to_ticks);
        // The new level comes before the old one goes: they are near each other in the ladder.
        let to_at = self.levels.find_or_insert(ladder, key, from_at);
        order.level = to_at;
        let from = self.levels.get_mut(from_at);
        from.lots -= i128::from(from_lots);
        let was_alone = from.queue.unlink(&mut self.orders.hot, at);
        let to = self.levels.get_mut(to_at);
        to.lots += i128::from(left_lots);
        to.queue.push(&mut self.orders.hot, at);
        let is_empty = was_alone && to_at != from_at;
        self.levels.remove_if(ladder, from_at, is_empty);
    }

    fn reduce(&mut self, old: OrderId, new: OrderId, left_lots: i64, stood: Standing) {
        let at = self.known_order(old);
        self.count_updates(at, stood.updates());
        let order = &mut self.orders.hot[at as usize];
        // What is parked or triggered stands in no level.
        if order.level != NONE {
            let level = self.levels.get_mut(order.level);
            level.lots -= i128::from(order.left_lots - left_lots);
        }
        order.left_lots = left_lots;
        self.orders.rename(at, new);
    }
}

impl Standing {
    /// How many market updates it takes to tell that an order there changed.
    pub(crate) fn updates(self) -> u64 {
        match self {
            Standing::Resting { .. } => 1,
            Standing::Arriving | Standing::Waiting => 0,
        }
    }
}
