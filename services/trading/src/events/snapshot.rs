//! The matching stage's whole state as one message.

use std::collections::{BTreeMap, BTreeSet};

use prepx_domain::{ExecutionId, Micros, TradeId};
use prepx_matching::{BookSnapshot, LiveOrder, SlotIds, Snapshot};
use prepx_proto::journal::value::{Choice as _, choice, ids, optional_id, present, raw_ids, slot};
use prepx_proto::journal::{Error, v1};

use super::event::{live_from_wire, live_to_wire};

pub(super) fn to_wire(snapshot: &Snapshot) -> v1::MatchingSnapshot {
    v1::MatchingSnapshot {
        slots: snapshot.slots.iter().map(ids_to_wire).collect(),
        books: snapshot.books.iter().map(book_to_wire).collect(),
        triggered: lives_to_wire(&snapshot.triggered),
        expiring: raw_ids(&snapshot.expiring),
        taking: snapshot.taking.as_ref().map(live_to_wire),
        releases_left: snapshot.releases_left,
    }
}

pub(super) fn from_wire(wire: v1::MatchingSnapshot) -> Result<Snapshot, Error> {
    Ok(Snapshot {
        slots: wire
            .slots
            .into_iter()
            .map(ids_from_wire)
            .collect::<Result<_, _>>()?,
        books: wire
            .books
            .into_iter()
            .map(book_from_wire)
            .collect::<Result<_, _>>()?,
        triggered: lives_from_wire(wire.triggered)?,
        expiring: ids("MatchingSnapshot.expiring", &wire.expiring)?,
        taking: wire.taking.map(live_from_wire).transpose()?,
        releases_left: wire.releases_left,
    })
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

fn ids_to_wire(last: &SlotIds) -> v1::MatchingIds {
    v1::MatchingIds {
        slot: u32::from(last.slot.number()),
        trade: last.trade.map(TradeId::raw),
        execution: last.execution.map(ExecutionId::raw),
    }
}

fn ids_from_wire(wire: v1::MatchingIds) -> Result<SlotIds, Error> {
    Ok(SlotIds {
        slot: slot("MatchingIds.slot", wire.slot)?,
        trade: optional_id("MatchingIds.trade", wire.trade)?,
        execution: optional_id("MatchingIds.execution", wire.execution)?,
    })
}

fn book_to_wire(book: &BookSnapshot) -> v1::BookSnapshot {
    v1::BookSnapshot {
        instrument: Some((&book.instrument).into()),
        halted: book.halted,
        last_ticks: book.last_ticks,
        reference_ticks: book.reference_ticks,
        reference_at_us: book.reference_at.0,
        updates: book.updates,
        orders: lives_to_wire(&book.orders),
        phase: book.phase.number(),
        phase_until_us: book.phase_until.0,
        early: lives_to_wire(&book.early),
        kept: lives_to_wire(&book.kept),
        late: lives_to_wire(&book.late),
    }
}

fn book_from_wire(wire: v1::BookSnapshot) -> Result<BookSnapshot, Error> {
    Ok(BookSnapshot {
        instrument: present("BookSnapshot.instrument", wire.instrument)?.try_into()?,
        halted: wire.halted,
        last_ticks: wire.last_ticks,
        reference_ticks: wire.reference_ticks,
        reference_at: Micros(wire.reference_at_us),
        updates: wire.updates,
        orders: lives_from_wire(wire.orders)?,
        phase: choice("BookSnapshot.phase", wire.phase)?,
        phase_until: Micros(wire.phase_until_us),
        early: lives_from_wire(wire.early)?,
        kept: lives_from_wire(wire.kept)?,
        late: lives_from_wire(wire.late)?,
    })
}

fn lives_to_wire(orders: &[LiveOrder]) -> Vec<v1::LiveOrder> {
    orders.iter().map(live_to_wire).collect()
}

fn lives_from_wire(wire: Vec<v1::LiveOrder>) -> Result<Vec<LiveOrder>, Error> {
    wire.into_iter().map(live_from_wire).collect()
}
