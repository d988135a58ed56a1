//! The matching stage's whole state as one message.

use std::collections::{BTreeMap, BTreeSet};

use prepx_domain::{ExecutionId, Micros, TradeId};
use prepx_matching::{BookSnapshot, LiveOrder, SlotIds, Snapshot};
use prepx_proto::journal::value::{ids, optional_id, present, raw_ids, slot};
use prepx_proto::journal::{Error, v1};

use super::event::{live_from_wire, live_to_wire};

pub(super) fn to_wire(snapshot: &Snapshot) -> v1::MatchingSnapshot {
    v1::MatchingSnapshot {
        slots: snapshot.slots.iter().map(ids_to_wire).collect(),
        books: snapshot.books.iter().map(book_to_wire).collect(),
        triggered: snapshot.triggered.iter().map(live_to_wire).collect(),
        expiring: raw_ids(&snapshot.expiring),
        expire_until_us: snapshot.expire_until.map(|until| until.0),
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
        triggered: wire
            .triggered
            .into_iter()
            .map(live_from_wire)
            .collect::<Result<_, _>>()?,
        expiring: ids("MatchingSnapshot.expiring", &wire.expiring)?,
        expire_until: wire.expire_until_us.map(Micros),
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
        book.orders.iter().any(strays)
    };
    let unknown = |live: &LiveOrder| !instruments.contains(&live.order.instrument);
    if snapshot.books.iter().any(strayed) || snapshot.triggered.iter().any(unknown) {
        return Err("an order is of another instrument than its book");
    }
    check_orders(snapshot)
}

fn check_orders(snapshot: &Snapshot) -> Result<(), &'static str> {
    let on_books = snapshot.books.iter().flat_map(|book| &book.orders);
    let mut expires = BTreeMap::new();
    for live in on_books.chain(&snapshot.triggered) {
        let order = &live.order;
        if live.cum_lots < 0 || live.cum_lots >= order.qty_lots {
            return Err("nothing is left of an order, or it has traded less than nothing");
        }
        let (limit, stop) = (order.kind.limit(), order.kind.stop());
        if limit.or(order.protect_ticks).or(stop).is_none()
            || (live.triggered && limit.or(order.protect_ticks).is_none())
        {
            return Err("an order has no price");
        }
        if expires
            .insert(order.order, order.expires_at.is_some())
            .is_some()
        {
            return Err("an order stands in it twice");
        }
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
        orders: book.orders.iter().map(live_to_wire).collect(),
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
        orders: wire
            .orders
            .into_iter()
            .map(live_from_wire)
            .collect::<Result<_, _>>()?,
    })
}
