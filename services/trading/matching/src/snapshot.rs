//! The state as plain data, and back. A restored engine goes on exactly as its original.

use prepx_domain::{Hours, Instrument, Micros, OrderId, SessionPhase, Side};

use crate::Engine;
use crate::book::{Book, SlotIds, book_key};
use crate::event::LiveOrder;
use crate::fifo::{Fifo, NONE};
use crate::ladder::Ladder;
use crate::orders::{PARKED, Place};

/// The whole state of one partition's matching stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The last ids of each slot, in order of first definition.
    pub slots: Vec<SlotIds>,
    /// The instruments, in order of definition.
    pub books: Vec<BookSnapshot>,
    /// The order that is in the middle of trading, if one is. None between inputs.
    pub taking: Option<LiveOrder>,
    /// Triggered stops that have not reached their book, in order. Empty between inputs.
    pub triggered: Vec<LiveOrder>,
    /// How many parked orders may reach their books before the next timer. Zero between inputs.
    pub releases_left: u32,
    /// Every order that ends by itself, in the order in which they expire.
    pub expiring: Vec<OrderId>,
}

/// One instrument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookSnapshot {
    /// What is traded.
    pub instrument: Instrument,
    /// Whether continuous trading is stopped.
    pub halted: bool,
    /// Which orders trade.
    pub phase: SessionPhase,
    /// Until when.
    pub phase_until: Micros,
    /// The last trade, in ticks.
    pub last_ticks: Option<i64>,
    /// The reference price that account partitions know, in ticks.
    pub reference_ticks: Option<i64>,
    /// When they were last told.
    pub reference_at: Micros,
    /// The number of the last market update.
    pub updates: u64,
    /// The orders on the book and the waiting stops: each side by price, the first to trade or
    /// trigger first, in order of arrival within a price.
    pub orders: Vec<LiveOrder>,
    /// The orders that wait for extended hours, in order of arrival.
    pub early: Vec<LiveOrder>,
    /// The orders that left the book when extended hours began and wait for the regular session, in
    /// the order in which they stood there.
    pub kept: Vec<LiveOrder>,
    /// The orders that wait for the regular session, in order of arrival.
    pub late: Vec<LiveOrder>,
}

impl Engine {
    /// The state as plain data.
    pub fn export(&self) -> Snapshot {
        let mut queued = self.queue_orders(self.queue).peekable();
        Snapshot {
            slots: self.slots.clone(),
            books: self
                .books
                .iter()
                .map(|book| self.export_book(book))
                .collect(),
            taking: queued.next_if(|_| self.takes()),
            triggered: queued.collect(),
            releases_left: self.releases_left,
            expiring: self.export_expiring(),
        }
    }

    /// The state that was exported; from now on these are the hours.
    pub fn restore(snapshot: &Snapshot, hours: Hours) -> Engine {
        let mut engine = Engine {
            slots: snapshot.slots.clone(),
            ..Engine::new(hours)
        };
        for book in &snapshot.books {
            engine.restore_book(book);
        }
        for live in &snapshot.triggered {
            engine.stand(live, Place::Queue);
        }
        if let Some(live) = &snapshot.taking {
            engine.stand(live, Place::Taking);
        }
        engine.releases_left = snapshot.releases_left;
        for &order in &snapshot.expiring {
            let lives = engine.orders.find_own(order);
            engine.await_expiry(lives.expect("an order that expires lives").0);
        }
        engine
    }

    fn export_book(&self, book: &Book) -> BookSnapshot {
        let ladders = [Place::Book, Place::Stops]
            .into_iter()
            .flat_map(|place| [Side::Buy, Side::Sell].map(|side| book.ladder(place, side)));
        let levels = ladders
            .into_iter()
            .flat_map(|ladder| self.levels_of(ladder));
        let [early, kept, late] = self.parked_orders(book);
        BookSnapshot {
            instrument: book.instrument,
            halted: book.halted,
            phase: book.phase,
            phase_until: book.phase_until,
            early,
            kept,
            late,
            last_ticks: book.last_ticks,
            reference_ticks: book.reference_ticks,
            reference_at: book.reference_at,
            updates: book.updates,
            orders: levels
                .flat_map(|level| self.queue_orders(self.levels.get(level).queue))
                .collect(),
        }
    }

    fn restore_book(&mut self, from: &BookSnapshot) {
        let slot = from.instrument.id.slot();
        let slot_at = self.slots.iter().position(|ids| ids.slot == slot);
        let slot_at = slot_at.expect("a snapshot has the ids of every book's slot");
        let mut book = Book::new(from.instrument, slot_at as u32);
        book.halted = from.halted;
        (book.phase, book.phase_until) = (from.phase, from.phase_until);
        book.last_ticks = from.last_ticks;
        book.reference_ticks = from.reference_ticks;
        book.reference_at = from.reference_at;
        book.updates = from.updates;
        let book_at = self.books.len() as u32;
        self.books.push(book);
        self.by_instrument.insert(from.instrument.id, book_at);
        for live in &from.orders {
            let waits = live.order.kind.stop().is_some() && !live.triggered;
            self.stand(live, if waits { Place::Stops } else { Place::Book });
        }
        for (place, orders) in PARKED
            .into_iter()
            .zip([&from.early, &from.kept, &from.late])
        {
            for live in orders {
                self.stand(live, place);
            }
        }
        self.look_at_session(book_at);
    }

    /// The levels of a ladder, by key.
    fn levels_of(&self, ladder: &Ladder) -> impl Iterator<Item = u32> {
        let next = |at: u32| (at != NONE).then_some(at);
        std::iter::successors(next(ladder.first), move |&at| next(self.levels.after(at)))
    }

    /// The orders of a queue, in order.
    pub(crate) fn queue_orders(&self, queue: Fifo) -> impl Iterator<Item = LiveOrder> {
        let next = |at: u32| (at != NONE).then_some(at);
        let order = std::iter::successors(next(queue.head), move |&at| {
            next(self.orders.get(at).link.next)
        });
        order.map(|at| {
            let order = self.orders.get(at);
            // Only an order on the book may have its price from its level alone.
            let level_ticks = match order.place {
                Place::Book => book_key(order.side, self.levels.get(order.level).key),
                _ => 0,
            };
            let instrument = self.books[order.book as usize].instrument.id;
            self.orders.live(at, level_ticks, instrument)
        })
    }

    fn export_expiring(&self) -> Vec<OrderId> {
        let mut expiring = Vec::new();
        for level in self.levels_of(&self.expiry) {
            let mut at = self.levels.get(level).queue.head;
            while at != NONE {
                expiring.push(self.orders.get(at).id);
                at = self.orders.terms[at as usize].next_to_expire();
            }
        }
        expiring
    }
}
