//! The matching stage's whole state as one message.

use std::collections::{BTreeMap, BTreeSet};

use prepx_matching::{BookSnapshot, LiveOrder, SlotIds, Snapshot};
use prepx_proto::journal::v1;
use prepx_proto::message;

use super::MatchingCodec;

message! {
    Snapshot = MatchingSnapshot {
        slots, books, triggered, expiring, taking, releases_left
    } by MatchingCodec
}

message! { SlotIds = MatchingIds { slot, trade, execution } by MatchingCodec }

message! {
    BookSnapshot = BookSnapshot {
        instrument, halted, last_ticks, reference_ticks, updates, orders, phase, early, kept, late;
        reference_at as reference_at_us, phase_until as phase_until_us
    } by MatchingCodec
}

/// What an engine takes for granted of the state that it goes on from: a state of other bytes than
/// an engine's is an error and never a panic.
pub(super) fn check(snapshot: &Snapshot) -> Result<(), &'static str> {
    let slots: BTreeSet<_> = snapshot.slots.iter().map(|ids| ids.slot).collect();
    let of_books = snapshot.books.iter().map(|book| book.instrument.id);
    let instruments: BTreeSet<_> = of_books.collect();
    if slots.len() != snapshot.slots.len() || instruments.len() != snapshot.books.len() {
        return Err("a slot or an instrument stands in it twice");
    }
    if instruments.iter().any(|id| !slots.contains(&id.slot())) {
        return Err("the ids of an instrument's slot are missing");
    }
    let strayed = |book: &BookSnapshot| {
        let strays = |live: &LiveOrder| live.order.instrument != book.instrument.id;
        all_orders(book).any(strays)
    };
    let unknown = |live: &LiveOrder| !instruments.contains(&live.order.instrument);
    if snapshot.books.iter().any(strayed) || queued(snapshot).any(unknown) {
        return Err("an order is of another instrument than its book");
    }
    check_orders(snapshot)
}

/// The orders on the book, the stops and those that wait for their session.
fn all_orders(book: &BookSnapshot) -> impl Iterator<Item = &LiveOrder> {
    let parked = [&book.early, &book.kept, &book.late];
    book.orders.iter().chain(parked.into_iter().flatten())
}

/// The orders that are on their way to a book.
fn queued(snapshot: &Snapshot) -> impl Iterator<Item = &LiveOrder> {
    snapshot.taking.iter().chain(&snapshot.triggered)
}

fn check_orders(snapshot: &Snapshot) -> Result<(), &'static str> {
    let on_books = snapshot.books.iter().flat_map(all_orders);
    let mut expires = BTreeMap::new();
    for live in on_books.chain(queued(snapshot)) {
        let order = &live.order;
        if live.cum_lots < 0 || live.cum_lots >= order.qty_lots {
            return Err("nothing is left of an order, or it has traded less than nothing");
        }
        if expires
            .insert(order.order, order.expires_at.is_some())
            .is_some()
        {
            return Err("an order stands in it twice");
        }
    }
    let with_price = snapshot.books.iter().flat_map(|book| &book.orders);
    let has_price = |live: &LiveOrder| {
        let worst = live.order.kind.limit().or(live.order.protect_ticks);
        worst.is_some() || (!live.triggered && live.order.kind.stop().is_some())
    };
    if !with_price.chain(&snapshot.triggered).all(has_price) {
        return Err("an order has no price");
    }
    // Each order that expires is awaited once, and no other is.
    let awaited = |order| expires.insert(order, false) == Some(true);
    if !snapshot.expiring.iter().copied().all(awaited) || expires.values().any(|&left| left) {
        return Err("the orders that expire are not those that await it");
    }
    Ok(())
}
