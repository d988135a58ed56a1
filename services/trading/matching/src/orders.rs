//! Every living order, in a slab: what each operation needs in one cache line, the rest apart.

use std::cell::Cell;

use prefetch_index::prefetch_index;
use prepx_domain::message::BookOrder;
use prepx_domain::{AccountId, InstrumentId, Micros, OrderId, OrderKind, Side, TimeInForce};

use crate::event::LiveOrder;
use crate::fifo::{Link, Linked, NONE};
use crate::index::Index;

/// Where a living order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the book.
    Book,
    /// Among the waiting stops.
    Stops,
    /// In the middle of trading: first in the queue for the book.
    Taking,
    /// Triggered, queueing for the book.
    Queue,
    /// Parked until extended hours.
    Early,
    /// Was on the book when extended hours began without it, parked until the regular session.
    Kept,
    /// Parked until the regular session.
    Late,
}

/// The places where orders wait for their session, in the order in which they reach the book.
pub(crate) const PARKED: [Place; 3] = [Place::Early, Place::Kept, Place::Late];

impl Place {
    /// Which of [`PARKED`] it is.
    pub(crate) fn parked(self) -> Option<usize> {
        PARKED.iter().position(|&place| place == self)
    }
}

/// What is read whenever an order is met: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) account: AccountId,
    pub(crate) left_lots: i64,
    pub(crate) cum_lots: i64,
    /// The raw bits of the other id that a cancel may use; [`NO_PAIR`] when there is none.
    pair: i64,
    /// In the queue of its level; the next free order when this one is free.
    pub(crate) link: Link,
    /// Its level in a ladder, by price or stop price.
    pub(crate) level: u32,
    /// Its instrument's book.
    pub(crate) book: u32,
    pub(crate) side: Side,
    pub(crate) place: Place,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) post_only: bool,
    pub(crate) extended_hours: bool,
    pub(crate) triggered: bool,
    /// Whether its [`Terms`] say more than "limit at its level's price, for ever".
    pub(crate) has_terms: bool,
}

const NO_PAIR: i64 = -1;

/// What few orders have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) kind: OrderKind,
    pub(crate) protect_ticks: Option<i64>,
    pub(crate) expires_at: Option<Micros>,
    /// In the queue of its level in the expiry ladder.
    link: Link,
    /// Its level in the expiry ladder; `NONE` when it never expires.
    pub(crate) expiry_level: u32,
}

impl Linked for Order {
    fn link(&self) -> Link {
        self.link
    }

    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

impl Linked for Terms {
    fn link(&self) -> Link {
        self.link
    }

    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

impl Order {
    /// The order without its pair, linked to nothing.
    fn new(live: &LiveOrder, book: u32, place: Place) -> Order {
        let order = &live.order;
        Order {
            id: order.order,
            account: order.account,
            left_lots: order.qty_lots - live.cum_lots,
            cum_lots: live.cum_lots,
            pair: NO_PAIR,
            link: Link::UNLINKED,
            level: NONE,
            book,
            side: order.side,
            place,
            time_in_force: order.time_in_force,
            post_only: order.post_only,
            extended_hours: order.extended_hours,
            triggered: live.triggered,
            // What is in no level has none that knows its price.
            has_terms: has_terms(order) || place == Place::Taking || place.parked().is_some(),
        }
    }

    /// The other id that a cancel may use.
    pub(crate) fn pair(&self) -> Option<OrderId> {
        OrderId::new(self.pair)
    }

    fn is(&self, id: OrderId) -> bool {
        self.id == id || self.pair == id.raw()
    }
}

/// The slab and its index.
#[derive(Debug)]
pub(crate) struct Orders {
    /// Queued in the levels of books and stops.
    pub(crate) hot: Vec<Order>,
    /// Queued in the levels of the expiry ladder; beside `hot`, index by index.
    pub(crate) terms: Vec<Terms>,
    index: Index,
    free: u32,
    /// Which was looked for and found last. What is decided about an order is applied next and looks for
    /// it again: this saves the way through the index, and never changes what is found.
    found: Cell<u32>,
}

impl Orders {
    pub(crate) fn new() -> Orders {
        Orders {
            hot: Vec::new(),
            terms: Vec::new(),
            index: Index::new(),
            free: NONE,
            found: Cell::new(NONE),
        }
    }

    pub(crate) fn get(&self, at: u32) -> &Order {
        &self.hot[at as usize]
    }

    /// The order that `id` or its pair names.
    pub(crate) fn find(&self, id: OrderId) -> Option<(u32, &Order)> {
        let at = self.index.get(id, |at| self.get(at).is(id))?;
        self.found.set(at);
        Some((at, self.get(at)))
    }

    /// Prefetches the index entry of `id`.
    pub(crate) fn prefetch_index_of(&self, id: OrderId) {
        self.index.prefetch(id);
    }

    /// Prefetches the order of this id.
    pub(crate) fn prefetch_order(&self, id: OrderId) {
        if let Some(at) = self.index.guess(id) {
            prefetch_index(&self.hot, at as usize);
        }
    }

    /// Prefetches what is touched when the order of this id leaves its place.
    pub(crate) fn prefetch_neighbours(&self, id: OrderId) {
        let Some(at) = self.index.guess(id) else {
            return;
        };
        let order = self.get(at);
        prefetch_index(&self.hot, order.link.next as usize);
        prefetch_index(&self.hot, order.link.prev as usize);
        if let Some(pair) = order.pair() {
            self.index.prefetch(pair);
        }
    }

    /// The order whose own id is `id`.
    pub(crate) fn find_own(&self, id: OrderId) -> Option<(u32, &Order)> {
        self.find(id).filter(|(_, order)| order.id == id)
    }

    /// The order whose own id is `id`, most likely the one that was found last.
    pub(crate) fn find_again(&self, id: OrderId) -> Option<u32> {
        let found = self.found.get();
        match self.hot.get(found as usize) {
            Some(order) if order.id == id => Some(found),
            _ => self.find_own(id).map(|(at, _)| at),
        }
    }

    /// Adds an order that stands nowhere yet.
    pub(crate) fn insert(&mut self, live: &LiveOrder, book: u32, place: Place) -> u32 {
        let mut hot = Order::new(live, book, place);
        hot.pair = live.pair.map_or(NO_PAIR, OrderId::raw);
        let at = self.allot(hot);
        if hot.has_terms {
            self.terms[at as usize] = Terms::new(&live.order);
        }
        self.index.insert(live.order.order, at);
        if let Some(pair) = live.pair {
            self.index.insert(pair, at);
        }
        at
    }

    /// Makes a new order of the same account out of an order that stays where it stands in the book; the old
    /// id becomes its pair.
    pub(crate) fn rewrite(&mut self, at: u32, live: &LiveOrder) {
        let new = &live.order;
        self.rename(at, new.order);
        let order = &mut self.hot[at as usize];
        order.cum_lots = live.cum_lots;
        order.time_in_force = new.time_in_force;
        order.post_only = new.post_only;
        order.extended_hours = new.extended_hours;
        order.triggered = live.triggered;
        order.has_terms = has_terms(new);
        if order.has_terms {
            self.terms[at as usize] = Terms::new(new);
        }
    }

    fn allot(&mut self, hot: Order) -> u32 {
        if self.free == NONE {
            self.hot.push(hot);
            self.terms.push(Terms::PLAIN);
            return self.hot.len() as u32 - 1;
        }
        let at = self.free;
        self.free = self.get(at).link.next;
        self.hot[at as usize] = hot;
        at
    }

    /// Removes an order that stands nowhere any more.
    pub(crate) fn remove(&mut self, at: u32) {
        let Order { id, pair, .. } = *self.get(at);
        self.index.remove(id, at);
        if let Some(pair) = OrderId::new(pair) {
            self.index.remove(pair, at);
        }
        self.hot[at as usize].link.next = self.free;
        self.free = at;
        self.found.set(NONE);
    }

    /// Gives the order a new id of its own; the one it had becomes its pair.
    pub(crate) fn rename(&mut self, at: u32, new: OrderId) {
        let old = self.get(at).id;
        self.forget_pair(at);
        self.index.insert(new, at);
        let order = &mut self.hot[at as usize];
        order.id = new;
        order.pair = old.raw();
    }

    /// Lets cancels name the order by `pair` too, and by no third id.
    pub(crate) fn set_pair(&mut self, at: u32, pair: OrderId) {
        self.forget_pair(at);
        self.index.insert(pair, at);
        self.hot[at as usize].pair = pair.raw();
    }

    fn forget_pair(&mut self, at: u32) {
        if let Some(pair) = self.get(at).pair() {
            self.index.remove(pair, at);
        }
    }

    /// Whether the order has ended by itself by `now`.
    pub(crate) fn is_over(&self, at: u32, now: Micros) -> bool {
        let expires_at = self.terms[at as usize].expires_at;
        self.get(at).has_terms && expires_at.is_some_and(|at| at <= now)
    }

    /// Takes an order that has left its level to those that wait for the regular session.
    pub(crate) fn keep(&mut self, at: u32, level_ticks: i64) {
        let order = &mut self.hot[at as usize];
        (order.place, order.level) = (Place::Kept, NONE);
        if !std::mem::replace(&mut order.has_terms, true) {
            self.terms[at as usize] = Terms {
                kind: OrderKind::Limit { limit: level_ticks },
                ..Terms::PLAIN
            };
        }
    }

    /// The order as plain data; `level_ticks` is its level's price.
    pub(crate) fn live(&self, at: u32, level_ticks: i64, instrument: InstrumentId) -> LiveOrder {
        let order = self.get(at);
        let plain = Terms {
            kind: OrderKind::Limit { limit: level_ticks },
            ..Terms::PLAIN
        };
        let terms = if order.has_terms {
            &self.terms[at as usize]
        } else {
            &plain
        };
        LiveOrder {
            order: BookOrder {
                order: order.id,
                account: order.account,
                instrument,
                side: order.side,
                kind: terms.kind,
                time_in_force: order.time_in_force,
                qty_lots: order.cum_lots + order.left_lots,
                protect_ticks: terms.protect_ticks,
                post_only: order.post_only,
                extended_hours: order.extended_hours,
                awaits_session: false,
                expires_at: terms.expires_at,
            },
            cum_lots: order.cum_lots,
            triggered: order.triggered,
            pair: order.pair(),
        }
    }

    /// Whether `new` has the terms that the order has; `level_ticks` is the price of its level on the book.
    pub(crate) fn has_same_terms(
        &self,
        at: u32,
        level_ticks: Option<i64>,
        new: &BookOrder,
    ) -> bool {
        if self.get(at).has_terms {
            let terms = &self.terms[at as usize];
            new.kind == terms.kind
                && new.protect_ticks == terms.protect_ticks
                && new.expires_at == terms.expires_at
        } else {
            let limit = level_ticks.map(|limit| OrderKind::Limit { limit });
            limit == Some(new.kind) && !has_terms(new)
        }
    }
}

/// Whether there is more to say of an order than "limit at its level's price, for ever".
fn has_terms(order: &BookOrder) -> bool {
    !matches!(order.kind, OrderKind::Limit { .. })
        || order.protect_ticks.is_some()
        || order.expires_at.is_some()
}

impl Terms {
    fn new(order: &BookOrder) -> Terms {
        Terms {
            kind: order.kind,
            protect_ticks: order.protect_ticks,
            expires_at: order.expires_at,
            ..Terms::PLAIN
        }
    }

    const PLAIN: Terms = Terms {
        kind: OrderKind::Market,
        protect_ticks: None,
        expires_at: None,
        link: Link::UNLINKED,
        expiry_level: NONE,
    };

    pub(crate) fn next_to_expire(&self) -> u32 {
        self.link.next
    }
}
