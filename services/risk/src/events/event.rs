//! The account stage's decisions as messages of the log.

use prepx_account::{Cause, Event};
use prepx_domain::Micros;
use prepx_proto::journal::part::{read, write};
use prepx_proto::journal::{Error, Part, v1};
use prepx_proto::oneof;
use uuid::Uuid;
use v1::account_event::Event as Wire;

use super::AccountCodec;

impl Part<AccountCodec> for Event {
    type Wire = v1::AccountEvent;

    fn to_wire(&self) -> Self::Wire {
        v1::AccountEvent {
            command: write(&command(self)),
            stamped_at_us: self.cause().map_or(0, |cause| cause.stamped_at.0),
            at_us: self.at().map_or(0, |at| at.0),
            event: Some(decision_to_wire(self)),
        }
    }

    fn from_wire(wire: Self::Wire, _name: &'static str) -> Result<Self, Error> {
        let envelope = Envelope {
            command: wire.command,
            stamped_at: Micros(wire.stamped_at_us),
            at: Micros(wire.at_us),
        };
        let decision = wire.event.ok_or(Error::Missing("AccountEvent.event"))?;
        decision_from_wire(decision, envelope)
    }
}

/// The command that an event is about.
fn command(event: &Event) -> Option<Uuid> {
    match event {
        Event::Refused { command, .. } | Event::Repeated { command } => Some(*command),
        _ => event.cause().map(|cause| cause.command),
    }
}

/// What is said of every event in one place, and part of some events.
struct Envelope {
    command: Option<v1::Uuid>,
    stamped_at: Micros,
    at: Micros,
}

impl Envelope {
    fn command(&self) -> Result<Uuid, Error> {
        read(self.command, "AccountEvent.command")
    }

    fn cause(&self) -> Result<Cause, Error> {
        Ok(Cause {
            command: self.command()?,
            stamped_at: self.stamped_at,
            at: self.at,
        })
    }

    fn at(&self) -> Result<Micros, Error> {
        Ok(self.at)
    }
}

oneof! {
    fn decision_to_wire(), decision_from_wire(envelope: Envelope)
    Event = AccountEvent.event: account_event::Event {
        Opened { account, user, simulated, limits | cause } = Opened(AccountOpened),
        Deposited { account, asset, amount_minor | cause } = Deposited(Movement),
        Withdrawn { account, asset, amount_minor, cost_minor | cause } = Withdrawn(AssetWithdrawn),
        BlockSet { account, blocked | cause } = BlockSet(SetAccountBlocked),
        SuspensionSet { account, suspended | cause } = SuspensionSet(SetTradeSuspended),
        LimitsSet { account, limits | cause } = LimitsSet(SetLimits),
        CancelSent { account, orders, reason | cause } = CancelSent(CancelSent),
        Rejected { reject | cause } = Rejected,
        Refused { reject | command } = Refused,
        Repeated { | command } = Repeated,
        Defined(instrument) = Defined,
        Halted { instrument where halted: true } = HaltedInstrument,
        Halted { instrument where halted: false } = ResumedInstrument,
        ReferenceMoved { instrument, price_ticks } = ReferenceMoved(Reference),
        SessionChanged { instrument, phase } = SessionChanged(Session),
        Parked { order where parked: true | at } = ParkedOrder,
        Parked { order where parked: false | at } = EnteredOrder,
        Triggered { order | at } = TriggeredOrder,
        Filled { fill, qty_minor, held_minor, available_minor, cost_minor | at }
            = Filled(OrderFilled),
        Replaced { old, new, held_minor, buying_minor, released_minor | at }
            = Replaced(OrderReplaced),
        ReplaceRejected { old, new, refusal, released_minor | at }
            = ReplaceRejected(OrderReplaceRejected),
        Ended { order, end, released_minor | at } = Ended(OrderEnded),
        TimePassed { | at } = TimePassed,
    }
    else {
        Event::Placed { order, client_order_id, hold_minor, buying_minor, created_at, cause } => {
            Wire::Placed(v1::OrderPlaced {
                order: write(order),
                client_order_id: write(client_order_id),
                hold_minor: *hold_minor,
                buying_minor: *buying_minor,
                created_later_us: later_us(cause, *created_at),
            })
        }
        Event::ReplaceSent {
            replace, client_order_id, hold_minor, buying_minor, created_at, cause
        } => Wire::ReplaceSent(v1::ReplaceSent {
            replace: write(replace),
            client_order_id: write(client_order_id),
            hold_minor: *hold_minor,
            buying_minor: *buying_minor,
            created_later_us: later_us(cause, *created_at),
        }),
    } {
        Wire::Placed(placed) => Event::Placed {
            cause: envelope.cause()?,
            order: read(placed.order, "OrderPlaced.order")?,
            client_order_id: placed.client_order_id.into(),
            hold_minor: placed.hold_minor,
            buying_minor: placed.buying_minor,
            created_at: envelope.at.plus_us(placed.created_later_us.into()),
        },
        Wire::ReplaceSent(sent) => Event::ReplaceSent {
            cause: envelope.cause()?,
            replace: read(sent.replace, "ReplaceSent.replace")?,
            client_order_id: sent.client_order_id.into(),
            hold_minor: sent.hold_minor,
            buying_minor: sent.buying_minor,
            created_at: envelope.at.plus_us(sent.created_later_us.into()),
        },
    }
}

/// By a microsecond for each order of the slot before it in the same moment: 2³² of them are out of
/// reach.
fn later_us(cause: &Cause, created_at: Micros) -> u32 {
    u32::try_from(created_at.0 - cause.at.0)
        .expect("an order comes when it is accepted, or soon after")
}
