//! The matching stage: price-time priority books of one partition's instruments, pure.
//!
//! It owns the books, the pending stops, expiry, and the ids of trades and executions. It refuses nothing that the account
//! stage can check: money, holdings, limits and the form of orders are checked before an order comes here.
//!
//! - **I5** Price-time priority; a book never stands crossed; the engine equals the slow, obvious book of `reference` on
//!   every input.
//! - **I7** Nothing here depends on a clock, on randomness or on memory addresses: the same inputs give the same events, and
//!   a restored snapshot continues exactly like its original.
//!
//! In the steady state nothing is allocated: orders, levels and trie nodes come from slabs that keep their memory, queues
//! are links inside orders, and events go to a buffer of the caller.

mod apply;
mod arrive;
mod book;
mod decide;
mod event;
mod fifo;
mod index;
mod ladder;
mod orders;
mod outputs;
mod prefetch;
#[cfg(any(test, feature = "reference"))]
pub mod reference;
mod session;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use prepx_domain::{Hours, InstrumentId, Machine, Micros};
use rustc_hash::FxBuildHasher;

pub use book::SlotIds;
pub use event::{Event, Input, LiveOrder, Output, Party, Standing, Trade};
pub use snapshot::{BookSnapshot, Snapshot};

use book::Book;
use fifo::{Fifo, NONE};
use ladder::{Ladder, Levels};
use orders::{Orders, Place};

/// The most orders that expire at one timer; the others do at the next, and no session begins before
/// all have.
pub const EXPIRIES_MAX: usize = if cfg!(test) { 2 } else { 4_096 };

/// The most parked orders that reach their books at one timer; the others go on at the next, and
/// what arrives meanwhile waits behind them.
pub const RELEASES_MAX: u32 = if cfg!(test) { 3 } else { 4_096 };

/// The most levels that leave their books at one timer because extended hours begin; nothing trades
/// there before all have.
pub const LEVELS_MAX: usize = if cfg!(test) { 2 } else { 4_096 };

/// The most trades of one decision; the order goes on before all else.
pub const TRADES_MAX: u32 = if cfg!(test) { 3 } else { 4_096 };

/// A moved reference price is told at once when it has moved by this share, in parts in a thousand.
pub const REFERENCE_STEP_PER_MILLE: u64 = 1;

/// A reference price that has moved less is told this long after the one before.
pub const REFERENCE_INTERVAL_US: i64 = 100_000;

/// The matching stage of one partition.
///
/// The caller decides and applies an input, and then everything that `follow_up` asks for, before
/// it comes with the next input.
#[derive(Debug)]
pub struct Engine {
    books: Vec<Book>,
    by_instrument: HashMap<InstrumentId, u32, FxBuildHasher>,
    orders: Orders,
    levels: Levels,
    /// Orders that end by themselves, by when.
    expiry: Ladder,
    /// The order that is in the middle of trading, then triggered stops, the next to reach its book
    /// first.
    queue: Fifo,
    slots: Vec<SlotIds>,
    /// When instruments trade. No part of the state: what it says becomes events.
    hours: Hours,
    /// Books with parked orders that may reach them now.
    opening: BTreeSet<u32>,
    /// How many of those may do so before the next timer. Zero between inputs.
    releases_left: u32,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine {
            books: Vec::new(),
            by_instrument: HashMap::default(),
            orders: Orders::new(),
            levels: Levels::new(),
            expiry: Ladder::EMPTY,
            queue: Fifo::EMPTY,
            slots: Vec::new(),
            hours: Hours::default(),
            opening: BTreeSet::new(),
            releases_left: 0,
        }
    }
}

impl Engine {
    /// An empty engine whose instruments of the calendar `nyse` trade in these hours.
    pub fn new(hours: Hours) -> Engine {
        Engine {
            hours,
            ..Engine::default()
        }
    }

    /// Whether an order is in the middle of trading.
    fn takes(&self) -> bool {
        self.queue.head != NONE && self.orders.get(self.queue.head).place == Place::Taking
    }

    /// The triggered or parked order that comes next.
    #[cold]
    fn next_to_follow(&self) -> Option<Input> {
        if self.queue.is_empty() {
            return self.next_to_enter();
        }
        let next = self.orders.get(self.queue.head).id;
        Some(match self.takes() {
            true => Input::Taking(next),
            false => Input::Triggered(next),
        })
    }

    fn book_at(&self, instrument: InstrumentId) -> Option<u32> {
        self.by_instrument.get(&instrument).copied()
    }

    /// The book of an instrument that an event names.
    fn known_book(&self, instrument: InstrumentId) -> &Book {
        let at = self.known_book_at(instrument);
        &self.books[at as usize]
    }

    fn known_book_at(&self, instrument: InstrumentId) -> u32 {
        self.book_at(instrument)
            .expect("events name instruments that were defined")
    }
}

impl Machine for Engine {
    type Input = Input;
    type Event = Event;
    type Output = Output;

    fn decide(&self, input: &Input, now: Micros, events: &mut Vec<Event>) {
        self.decide_input(input, now, events);
    }

    #[inline]
    fn prefetch(&self, parcel: &[Input], at: usize) {
        self.prefetch_inputs(parcel, at);
    }

    fn apply(&mut self, event: &Event) {
        self.apply_event(event);
    }

    #[inline]
    fn follow_up(&self) -> Option<Input> {
        match self.queue.is_empty() && self.releases_left == 0 {
            true => None,
            false => self.next_to_follow(),
        }
    }

    fn outputs(&self, event: &Event, now: Micros, outputs: &mut Vec<Output>) {
        self.emit(event, now, outputs);
    }
}
