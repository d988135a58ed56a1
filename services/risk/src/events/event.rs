//! The account stage's decisions as messages of the log.

use prepx_account::{Cause, Event};
use prepx_domain::Micros;
use prepx_proto::journal::value::{
    Choice as _, choice, id, ids, pack, present, raw_ids, unpack, uuid,
};
use prepx_proto::journal::{Error, v1};
use uuid::Uuid;
use v1::account_event::Event as Wire;

/// The command that an event is about.
fn command(event: &Event) -> Option<Uuid> {
    match event {
        Event::Refused { command, .. } | Event::Repeated { command } => Some(*command),
        _ => event.cause().map(|cause| cause.command),
    }
}

/// By a microsecond for each order of the slot before it in the same moment: 2³² of them are out of
/// reach.
fn later_us(cause: Cause, created_at: Micros) -> u32 {
    u32::try_from(created_at.0 - cause.at.0)
        .expect("an order comes when it is accepted, or soon after")
}

pub(super) fn to_wire(event: &Event) -> v1::AccountEvent {
    v1::AccountEvent {
        command: command(event).map(v1::Uuid::from),
        stamped_at_us: event.cause().map_or(0, |cause| cause.stamped_at.0),
        at_us: event.at().map_or(0, |at| at.0),
        event: Some(decision_to_wire(event)),
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one match over all events misses none"
)]
fn decision_to_wire(event: &Event) -> Wire {
    match *event {
        Event::Opened {
            account,
            user,
            simulated,
            limits,
            cause: _,
        } => Wire::Opened(v1::AccountOpened {
            account: account.raw(),
            user: Some((user).into()),
            simulated,
            limits: Some((limits).into()),
        }),
        Event::Deposited {
            account,
            asset,
            amount_minor,
            cause: _,
        } => Wire::Deposited(v1::Movement {
            account: account.raw(),
            asset: pack(asset),
            amount_minor,
        }),
        Event::Withdrawn {
            account,
            asset,
            amount_minor,
            cost_minor,
            cause: _,
        } => Wire::Withdrawn(v1::AssetWithdrawn {
            account: account.raw(),
            asset: pack(asset),
            amount_minor,
            cost_minor,
        }),
        Event::BlockSet {
            account,
            blocked,
            cause: _,
        } => {
            let (account, blocked) = (account.raw(), blocked);
            Wire::BlockSet(v1::SetAccountBlocked { account, blocked })
        }
        Event::SuspensionSet {
            account,
            suspended,
            cause: _,
        } => {
            let (account, suspended) = (account.raw(), suspended);
            Wire::SuspensionSet(v1::SetTradeSuspended { account, suspended })
        }
        Event::LimitsSet {
            account,
            limits,
            cause: _,
        } => {
            let limits = Some((limits).into());
            Wire::LimitsSet(v1::SetLimits {
                account: account.raw(),
                limits,
            })
        }
        Event::Placed {
            order,
            ref client_order_id,
            hold_minor,
            buying_minor,
            created_at,
            cause,
        } => Wire::Placed(v1::OrderPlaced {
            order: Some((&order).into()),
            client_order_id: client_order_id.as_ref().to_owned(),
            hold_minor,
            buying_minor,
            created_later_us: later_us(cause, created_at),
        }),
        Event::ReplaceSent {
            replace,
            ref client_order_id,
            hold_minor,
            buying_minor,
            created_at,
            cause,
        } => Wire::ReplaceSent(v1::ReplaceSent {
            replace: Some((&replace).into()),
            client_order_id: client_order_id.as_ref().to_owned(),
            hold_minor,
            buying_minor,
            created_later_us: later_us(cause, created_at),
        }),
        Event::CancelSent {
            account,
            ref orders,
            ref reason,
            cause: _,
        } => {
            let orders = raw_ids(orders);
            Wire::CancelSent(v1::CancelSent {
                account: account.raw(),
                orders,
                reason: reason.as_deref().map(str::to_owned),
            })
        }
        Event::Rejected {
            ref reject,
            cause: _,
        } => Wire::Rejected(reject.as_ref().into()),
        Event::Refused {
            ref reject,
            command: _,
        } => Wire::Refused(reject.as_ref().into()),
        Event::Repeated { command: _ } => Wire::Repeated(()),
        Event::Defined(ref instrument) => Wire::Defined(instrument.as_ref().into()),
        Event::Halted {
            instrument,
            halted: true,
        } => Wire::HaltedInstrument(instrument.raw()),
        Event::Halted {
            instrument,
            halted: false,
        } => Wire::ResumedInstrument(instrument.raw()),
        Event::ReferenceMoved {
            instrument,
            price_ticks,
        } => {
            let (instrument, price_ticks) = (instrument.raw(), price_ticks);
            Wire::ReferenceMoved(v1::Reference {
                instrument,
                price_ticks,
            })
        }
        Event::SessionChanged { instrument, phase } => Wire::SessionChanged(v1::Session {
            instrument: instrument.raw(),
            phase: phase.number(),
        }),
        Event::Parked {
            order,
            parked: true,
            at: _,
        } => Wire::ParkedOrder(order.raw()),
        Event::Parked {
            order,
            parked: false,
            at: _,
        } => Wire::EnteredOrder(order.raw()),
        Event::Triggered { order, at: _ } => Wire::TriggeredOrder(order.raw()),
        Event::Filled {
            fill,
            qty_minor,
            held_minor,
            available_minor,
            cost_minor,
            at: _,
        } => Wire::Filled(v1::OrderFilled {
            fill: Some((&fill).into()),
            qty_minor,
            held_minor,
            available_minor,
            cost_minor,
        }),
        Event::Replaced {
            old,
            new,
            held_minor,
            buying_minor,
            released_minor,
            at: _,
        } => Wire::Replaced(v1::OrderReplaced {
            old: old.raw(),
            new: new.raw(),
            held_minor,
            buying_minor,
            released_minor,
        }),
        Event::ReplaceRejected {
            old,
            new,
            refusal,
            released_minor,
            at: _,
        } => Wire::ReplaceRejected(v1::OrderReplaceRejected {
            old: old.raw(),
            new: new.raw(),
            refusal: Some((refusal).into()),
            released_minor,
        }),
        Event::Ended {
            order,
            end,
            released_minor,
            at: _,
        } => Wire::Ended(v1::OrderEnded {
            order: order.raw(),
            end: Some((end).into()),
            released_minor,
        }),
        Event::TimePassed { at: _ } => Wire::TimePassed(()),
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one match over all events misses none"
)]
pub(super) fn from_wire(wire: v1::AccountEvent) -> Result<Event, Error> {
    let at = Micros(wire.at_us);
    let command = || uuid("AccountEvent.command", wire.command);
    let stamped_at = Micros(wire.stamped_at_us);
    let cause = || {
        command().map(|command| Cause {
            command,
            stamped_at,
            at,
        })
    };
    Ok(match present("AccountEvent.event", wire.event)? {
        Wire::Opened(opened) => Event::Opened {
            cause: cause()?,
            account: id("AccountOpened.account", opened.account)?,
            user: uuid("AccountOpened.user", opened.user)?,
            simulated: opened.simulated,
            limits: present("AccountOpened.limits", opened.limits)?.into(),
        },
        Wire::Deposited(movement) => Event::Deposited {
            cause: cause()?,
            account: id("Movement.account", movement.account)?,
            asset: unpack("Movement.asset", movement.asset)?,
            amount_minor: movement.amount_minor,
        },
        Wire::Withdrawn(withdrawn) => Event::Withdrawn {
            cause: cause()?,
            account: id("AssetWithdrawn.account", withdrawn.account)?,
            asset: unpack("AssetWithdrawn.asset", withdrawn.asset)?,
            amount_minor: withdrawn.amount_minor,
            cost_minor: withdrawn.cost_minor,
        },
        Wire::BlockSet(set) => Event::BlockSet {
            cause: cause()?,
            account: id("SetAccountBlocked.account", set.account)?,
            blocked: set.blocked,
        },
        Wire::SuspensionSet(set) => Event::SuspensionSet {
            cause: cause()?,
            account: id("SetTradeSuspended.account", set.account)?,
            suspended: set.suspended,
        },
        Wire::LimitsSet(set) => Event::LimitsSet {
            cause: cause()?,
            account: id("SetLimits.account", set.account)?,
            limits: present("SetLimits.limits", set.limits)?.into(),
        },
        Wire::Placed(placed) => Event::Placed {
            cause: cause()?,
            order: present("OrderPlaced.order", placed.order)?.try_into()?,
            client_order_id: placed.client_order_id.into(),
            hold_minor: placed.hold_minor,
            buying_minor: placed.buying_minor,
            created_at: cause()?.at.plus_us(placed.created_later_us.into()),
        },
        Wire::ReplaceSent(sent) => Event::ReplaceSent {
            cause: cause()?,
            replace: present("ReplaceSent.replace", sent.replace)?.try_into()?,
            client_order_id: sent.client_order_id.into(),
            hold_minor: sent.hold_minor,
            buying_minor: sent.buying_minor,
            created_at: cause()?.at.plus_us(sent.created_later_us.into()),
        },
        Wire::CancelSent(sent) => Event::CancelSent {
            cause: cause()?,
            account: id("CancelSent.account", sent.account)?,
            orders: ids("CancelSent.orders", &sent.orders)?,
            reason: sent.reason.map(String::into_boxed_str),
        },
        Wire::Rejected(reject) => Event::Rejected {
            cause: cause()?,
            reject: Box::new(reject.try_into()?),
        },
        Wire::Refused(reject) => Event::Refused {
            command: command()?,
            reject: Box::new(reject.try_into()?),
        },
        Wire::Repeated(()) => Event::Repeated {
            command: command()?,
        },
        Wire::Defined(instrument) => Event::Defined(Box::new(instrument.try_into()?)),
        Wire::HaltedInstrument(raw) => Event::Halted {
            instrument: id("AccountEvent.halted_instrument", raw)?,
            halted: true,
        },
        Wire::ResumedInstrument(raw) => Event::Halted {
            instrument: id("AccountEvent.resumed_instrument", raw)?,
            halted: false,
        },
        Wire::ReferenceMoved(reference) => Event::ReferenceMoved {
            instrument: id("Reference.instrument", reference.instrument)?,
            price_ticks: reference.price_ticks,
        },
        Wire::SessionChanged(session) => Event::SessionChanged {
            instrument: id("Session.instrument", session.instrument)?,
            phase: choice("Session.phase", session.phase)?,
        },
        Wire::ParkedOrder(raw) => Event::Parked {
            at,
            order: id("AccountEvent.parked_order", raw)?,
            parked: true,
        },
        Wire::EnteredOrder(raw) => Event::Parked {
            at,
            order: id("AccountEvent.entered_order", raw)?,
            parked: false,
        },
        Wire::TriggeredOrder(raw) => Event::Triggered {
            at,
            order: id("AccountEvent.triggered_order", raw)?,
        },
        Wire::Filled(filled) => Event::Filled {
            at,
            fill: present("OrderFilled.fill", filled.fill)?.try_into()?,
            qty_minor: filled.qty_minor,
            held_minor: filled.held_minor,
            available_minor: filled.available_minor,
            cost_minor: filled.cost_minor,
        },
        Wire::Replaced(replaced) => Event::Replaced {
            at,
            old: id("OrderReplaced.old", replaced.old)?,
            new: id("OrderReplaced.new", replaced.new)?,
            held_minor: replaced.held_minor,
            buying_minor: replaced.buying_minor,
            released_minor: replaced.released_minor,
        },
        Wire::ReplaceRejected(rejected) => Event::ReplaceRejected {
            at,
            old: id("OrderReplaceRejected.old", rejected.old)?,
            new: id("OrderReplaceRejected.new", rejected.new)?,
            refusal: present("OrderReplaceRejected.refusal", rejected.refusal)?.try_into()?,
            released_minor: rejected.released_minor,
        },
        Wire::Ended(ended) => Event::Ended {
            at,
            order: id("OrderEnded.order", ended.order)?,
            end: present("OrderEnded.end", ended.end)?.try_into()?,
            released_minor: ended.released_minor,
        },
        Wire::TimePassed(()) => Event::TimePassed { at },
    })
}
