//! The matching stage's decisions as messages of the log.

use prepx_domain::{Micros, OrderId};
use prepx_matching::{Event, LiveOrder, Party, Standing, Trade};
use prepx_proto::journal::value::{Choice as _, choice, id, optional_id, present};
use prepx_proto::journal::{Error, v1};
use v1::matching_event::Event as Wire;

pub(super) fn to_wire(event: &Event) -> v1::MatchingEvent {
    v1::MatchingEvent {
        event: Some(decision_to_wire(event)),
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one match over all events misses none"
)]
fn decision_to_wire(event: &Event) -> Wire {
    match *event {
        Event::Defined(ref instrument) => Wire::Defined(instrument.into()),
        Event::Halted {
            instrument,
            halted: true,
        } => Wire::HaltedInstrument(instrument.raw()),
        Event::Halted {
            instrument,
            halted: false,
        } => Wire::ResumedInstrument(instrument.raw()),
        Event::Reference {
            instrument,
            price_ticks,
            at,
        } => Wire::Reference(v1::ReferenceTold {
            instrument: instrument.raw(),
            price_ticks,
            at_us: at.0,
        }),
        Event::SessionChanged {
            instrument,
            phase,
            until,
        } => Wire::SessionChanged(v1::SessionChanged {
            instrument: instrument.raw(),
            phase: phase.number(),
            until_us: until.0,
        }),
        Event::LevelParked {
            instrument,
            side,
            price_ticks,
        } => Wire::LevelParked(v1::LevelParked {
            instrument: instrument.raw(),
            side: side.number(),
            price_ticks,
        }),
        Event::Parked {
            ref live,
            early,
            told,
        } => Wire::Parked(v1::OrderParked {
            live: Some(live_to_wire(live)),
            early,
            told,
        }),
        Event::ReleaseBegan { orders_max } => Wire::ReleaseBeganOrdersMax(orders_max),
        Event::Entered {
            account,
            order,
            parked,
        } => Wire::Entered(v1::OrderEntered {
            account: account.raw(),
            order: order.raw(),
            parked,
        }),
        Event::Rested(ref live) => Wire::Rested(live_to_wire(live)),
        Event::Waited(ref live) => Wire::Waited(live_to_wire(live)),
        Event::Paused(ref live) => Wire::Paused(live_to_wire(live)),
        Event::Triggered {
            instrument,
            account,
            order,
            waited,
        } => Wire::Triggered(v1::StopTriggered {
            instrument: instrument.raw(),
            account: account.raw(),
            order: order.raw(),
            waited,
        }),
        Event::Absent { account, order } => Wire::Absent(v1::Absent {
            account: account.raw(),
            order: order.raw(),
        }),
        Event::Released { order } => Wire::ReleasedOrder(order.raw()),
        Event::Traded(ref trade) => Wire::Traded(trade_to_wire(trade)),
        Event::Replaced {
            instrument,
            account,
            old,
            new,
            cum_lots,
            stood,
        } => Wire::Replaced(v1::OrderLeft {
            instrument: instrument.raw(),
            account: account.raw(),
            old: old.raw(),
            new: new.raw(),
            cum_lots,
            stood: Some(standing_to_wire(stood)),
        }),
        Event::Moved {
            ref live,
            from_ticks,
        } => Wire::Moved(v1::OrderMoved {
            live: Some(live_to_wire(live)),
            from_ticks,
        }),
        Event::Reduced {
            instrument,
            account,
            old,
            new,
            cum_lots,
            left_lots,
            stood,
        } => Wire::Reduced(v1::OrderReduced {
            instrument: instrument.raw(),
            account: account.raw(),
            old: old.raw(),
            new: new.raw(),
            cum_lots,
            left_lots,
            stood: Some(standing_to_wire(stood)),
        }),
        Event::ReplaceRejected {
            account,
            old,
            new,
            refusal,
        } => Wire::ReplaceRejected(v1::ReplaceRejected {
            account: account.raw(),
            old: old.raw(),
            new: new.raw(),
            refusal: Some(refusal.into()),
        }),
        Event::Ended {
            instrument,
            account,
            order,
            cum_lots,
            end,
            stood,
        } => Wire::Ended(v1::OrderGone {
            instrument: instrument.raw(),
            account: account.raw(),
            order: order.raw(),
            cum_lots,
            end: Some(end.into()),
            stood: Some(standing_to_wire(stood)),
        }),
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one match over all events misses none"
)]
pub(super) fn from_wire(wire: v1::MatchingEvent) -> Result<Event, Error> {
    Ok(match present("MatchingEvent.event", wire.event)? {
        Wire::Defined(instrument) => Event::Defined(instrument.try_into()?),
        Wire::HaltedInstrument(raw) => Event::Halted {
            instrument: id("MatchingEvent.halted_instrument", raw)?,
            halted: true,
        },
        Wire::ResumedInstrument(raw) => Event::Halted {
            instrument: id("MatchingEvent.resumed_instrument", raw)?,
            halted: false,
        },
        Wire::Reference(told) => Event::Reference {
            instrument: id("ReferenceTold.instrument", told.instrument)?,
            price_ticks: told.price_ticks,
            at: Micros(told.at_us),
        },
        Wire::SessionChanged(changed) => Event::SessionChanged {
            instrument: id("SessionChanged.instrument", changed.instrument)?,
            phase: choice("SessionChanged.phase", changed.phase)?,
            until: Micros(changed.until_us),
        },
        Wire::LevelParked(level) => Event::LevelParked {
            instrument: id("LevelParked.instrument", level.instrument)?,
            side: choice("LevelParked.side", level.side)?,
            price_ticks: level.price_ticks,
        },
        Wire::Parked(parked) => Event::Parked {
            live: live_from_wire(present("OrderParked.live", parked.live)?)?,
            early: parked.early,
            told: parked.told,
        },
        Wire::ReleaseBeganOrdersMax(orders_max) => Event::ReleaseBegan { orders_max },
        Wire::Entered(entered) => Event::Entered {
            account: id("OrderEntered.account", entered.account)?,
            order: id("OrderEntered.order", entered.order)?,
            parked: entered.parked,
        },
        Wire::Rested(live) => Event::Rested(live_from_wire(live)?),
        Wire::Waited(live) => Event::Waited(live_from_wire(live)?),
        Wire::Paused(live) => Event::Paused(live_from_wire(live)?),
        Wire::Triggered(triggered) => Event::Triggered {
            instrument: id("StopTriggered.instrument", triggered.instrument)?,
            account: id("StopTriggered.account", triggered.account)?,
            order: id("StopTriggered.order", triggered.order)?,
            waited: triggered.waited,
        },
        Wire::Absent(absent) => Event::Absent {
            account: id("Absent.account", absent.account)?,
            order: id("Absent.order", absent.order)?,
        },
        Wire::ReleasedOrder(raw) => Event::Released {
            order: id("MatchingEvent.released_order", raw)?,
        },
        Wire::Traded(trade) => Event::Traded(trade_from_wire(trade)?),
        Wire::Replaced(left) => Event::Replaced {
            instrument: id("OrderLeft.instrument", left.instrument)?,
            account: id("OrderLeft.account", left.account)?,
            old: id("OrderLeft.old", left.old)?,
            new: id("OrderLeft.new", left.new)?,
            cum_lots: left.cum_lots,
            stood: standing_from_wire("OrderLeft.stood", left.stood)?,
        },
        Wire::Moved(moved) => Event::Moved {
            live: live_from_wire(present("OrderMoved.live", moved.live)?)?,
            from_ticks: moved.from_ticks,
        },
        Wire::Reduced(reduced) => Event::Reduced {
            instrument: id("OrderReduced.instrument", reduced.instrument)?,
            account: id("OrderReduced.account", reduced.account)?,
            old: id("OrderReduced.old", reduced.old)?,
            new: id("OrderReduced.new", reduced.new)?,
            cum_lots: reduced.cum_lots,
            left_lots: reduced.left_lots,
            stood: standing_from_wire("OrderReduced.stood", reduced.stood)?,
        },
        Wire::ReplaceRejected(rejected) => Event::ReplaceRejected {
            account: id("ReplaceRejected.account", rejected.account)?,
            old: id("ReplaceRejected.old", rejected.old)?,
            new: id("ReplaceRejected.new", rejected.new)?,
            refusal: present("ReplaceRejected.refusal", rejected.refusal)?.try_into()?,
        },
        Wire::Ended(gone) => Event::Ended {
            instrument: id("OrderGone.instrument", gone.instrument)?,
            account: id("OrderGone.account", gone.account)?,
            order: id("OrderGone.order", gone.order)?,
            cum_lots: gone.cum_lots,
            end: present("OrderGone.end", gone.end)?.try_into()?,
            stood: standing_from_wire("OrderGone.stood", gone.stood)?,
        },
    })
}

pub(super) fn live_to_wire(live: &LiveOrder) -> v1::LiveOrder {
    v1::LiveOrder {
        order: Some((&live.order).into()),
        cum_lots: live.cum_lots,
        triggered: live.triggered,
        pair: live.pair.map(OrderId::raw),
    }
}

pub(super) fn live_from_wire(wire: v1::LiveOrder) -> Result<LiveOrder, Error> {
    Ok(LiveOrder {
        order: present("LiveOrder.order", wire.order)?.try_into()?,
        cum_lots: wire.cum_lots,
        triggered: wire.triggered,
        pair: optional_id("LiveOrder.pair", wire.pair)?,
    })
}

fn trade_to_wire(trade: &Trade) -> v1::Trade {
    v1::Trade {
        instrument: trade.instrument.raw(),
        trade: trade.trade.raw(),
        price_ticks: trade.price_ticks,
        qty_lots: trade.qty_lots,
        notional_minor: trade.notional_minor,
        taker_side: trade.taker_side.number(),
        maker: Some(party_to_wire(&trade.maker)),
        taker: Some(party_to_wire(&trade.taker)),
    }
}

fn trade_from_wire(wire: v1::Trade) -> Result<Trade, Error> {
    Ok(Trade {
        instrument: id("Trade.instrument", wire.instrument)?,
        trade: id("Trade.trade", wire.trade)?,
        price_ticks: wire.price_ticks,
        qty_lots: wire.qty_lots,
        notional_minor: wire.notional_minor,
        taker_side: choice("Trade.taker_side", wire.taker_side)?,
        maker: party_from_wire("Trade.maker", wire.maker)?,
        taker: party_from_wire("Trade.taker", wire.taker)?,
    })
}

fn party_to_wire(party: &Party) -> v1::Party {
    v1::Party {
        execution: party.execution.raw(),
        account: party.account.raw(),
        order: party.order.raw(),
        fee_minor: party.fee_minor,
        cum_lots: party.cum_lots,
        left_lots: party.left_lots,
    }
}

fn party_from_wire(field: &'static str, wire: Option<v1::Party>) -> Result<Party, Error> {
    let wire = present(field, wire)?;
    Ok(Party {
        execution: id("Party.execution", wire.execution)?,
        account: id("Party.account", wire.account)?,
        order: id("Party.order", wire.order)?,
        fee_minor: wire.fee_minor,
        cum_lots: wire.cum_lots,
        left_lots: wire.left_lots,
    })
}

fn standing_to_wire(standing: Standing) -> v1::Standing {
    use v1::standing::Standing as Wire;
    let wire = match standing {
        Standing::Arriving => Wire::Arriving(()),
        Standing::Resting { side, price_ticks } => Wire::Resting(v1::Place {
            side: side.number(),
            price_ticks,
        }),
        Standing::Waiting => Wire::Waiting(()),
    };
    v1::Standing {
        standing: Some(wire),
    }
}

fn standing_from_wire(field: &'static str, wire: Option<v1::Standing>) -> Result<Standing, Error> {
    use v1::standing::Standing as Wire;
    Ok(
        match present("Standing.standing", present(field, wire)?.standing)? {
            Wire::Arriving(()) => Standing::Arriving,
            Wire::Resting(place) => Standing::Resting {
                side: choice("Place.side", place.side)?,
                price_ticks: place.price_ticks,
            },
            Wire::Waiting(()) => Standing::Waiting,
        },
    )
}
