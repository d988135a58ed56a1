//! What the account stage tells the rest of the platform.

use prepx_domain::update::{AccountUpdate, Book, Change, OrderEvent, OrderView, Posting};
use prepx_domain::{AccountId, Micros};

use super::value::{
    Choice as _, choice, id, kind, kind_parts, optional_id, optional_us, pack, present, symbol,
    unpack, uuid,
};
use super::{Error, v1};

impl From<&AccountUpdate> for v1::AccountUpdate {
    fn from(update: &AccountUpdate) -> Self {
        v1::AccountUpdate {
            account: update.account.raw(),
            at_us: update.at.0,
            change: Some((&update.change).into()),
            postings: postings_to_wire(Some(update.account), &update.postings),
        }
    }
}

impl TryFrom<v1::AccountUpdate> for AccountUpdate {
    type Error = Error;

    fn try_from(wire: v1::AccountUpdate) -> Result<Self, Error> {
        let account = id("AccountUpdate.account", wire.account)?;
        Ok(AccountUpdate {
            account,
            at: Micros(wire.at_us),
            change: present("AccountUpdate.change", wire.change)?.try_into()?,
            postings: postings_from_wire(Some(account), &wire.postings)?,
        })
    }
}

impl From<&Change> for v1::account_update::Change {
    fn from(change: &Change) -> Self {
        use v1::account_update::Change as Wire;
        match change {
            &Change::Opened { user, simulated } => Wire::Opened(v1::OpenAccount {
                user: Some(user.into()),
                simulated,
            }),
            &Change::Deposited {
                command,
                asset,
                amount_minor,
            } => Wire::Deposited(v1::Moved {
                command: Some(command.into()),
                asset: pack(asset),
                amount_minor,
            }),
            &Change::Withdrawn {
                command,
                asset,
                amount_minor,
            } => Wire::Withdrawn(v1::Moved {
                command: Some(command.into()),
                asset: pack(asset),
                amount_minor,
            }),
            &Change::Blocked(blocked) => Wire::Blocked(blocked),
            &Change::Suspended(suspended) => Wire::Suspended(suspended),
            &Change::LimitsSet(limits) => Wire::LimitsSet(limits.into()),
            Change::Order { order, event } => Wire::Order(v1::OrderChange {
                order: Some((&**order).into()),
                event: Some((*event).into()),
            }),
        }
    }
}

impl TryFrom<v1::account_update::Change> for Change {
    type Error = Error;

    fn try_from(wire: v1::account_update::Change) -> Result<Self, Error> {
        use v1::account_update::Change as Wire;
        Ok(match wire {
            Wire::Opened(opened) => Change::Opened {
                user: uuid("OpenAccount.user", opened.user)?,
                simulated: opened.simulated,
            },
            Wire::Deposited(moved) => Change::Deposited {
                command: uuid("Moved.command", moved.command)?,
                asset: unpack("Moved.asset", moved.asset)?,
                amount_minor: moved.amount_minor,
            },
            Wire::Withdrawn(moved) => Change::Withdrawn {
                command: uuid("Moved.command", moved.command)?,
                asset: unpack("Moved.asset", moved.asset)?,
                amount_minor: moved.amount_minor,
            },
            Wire::Blocked(blocked) => Change::Blocked(blocked),
            Wire::Suspended(suspended) => Change::Suspended(suspended),
            Wire::LimitsSet(limits) => Change::LimitsSet(limits.into()),
            Wire::Order(change) => Change::Order {
                order: Box::new(present("OrderChange.order", change.order)?.try_into()?),
                event: present("OrderChange.event", change.event)?.try_into()?,
            },
        })
    }
}

impl From<OrderEvent> for v1::order_change::Event {
    fn from(event: OrderEvent) -> Self {
        use v1::order_change::Event as Wire;
        match event {
            OrderEvent::New => Wire::New(()),
            OrderEvent::Accepted => Wire::Accepted(()),
            OrderEvent::PendingNew => Wire::PendingNew(()),
            OrderEvent::PendingCancel => Wire::PendingCancel(()),
            OrderEvent::PendingReplace => Wire::PendingReplace(()),
            OrderEvent::Triggered => Wire::Triggered(()),
            OrderEvent::Fill {
                fill,
                position_minor,
            } => Wire::Fill(v1::OrderFill {
                fill: Some((&fill).into()),
                position_minor,
            }),
            OrderEvent::Replaced => Wire::Replaced(()),
            OrderEvent::ReplaceRejected(refusal) => Wire::ReplaceRejected(refusal.into()),
            OrderEvent::Ended(end) => Wire::Ended(end.into()),
        }
    }
}

impl TryFrom<v1::order_change::Event> for OrderEvent {
    type Error = Error;

    fn try_from(wire: v1::order_change::Event) -> Result<Self, Error> {
        use v1::order_change::Event as Wire;
        Ok(match wire {
            Wire::New(()) => OrderEvent::New,
            Wire::Accepted(()) => OrderEvent::Accepted,
            Wire::PendingNew(()) => OrderEvent::PendingNew,
            Wire::PendingCancel(()) => OrderEvent::PendingCancel,
            Wire::PendingReplace(()) => OrderEvent::PendingReplace,
            Wire::Triggered(()) => OrderEvent::Triggered,
            Wire::Fill(v1::OrderFill {
                fill,
                position_minor,
            }) => OrderEvent::Fill {
                fill: present("OrderFill.fill", fill)?.try_into()?,
                position_minor,
            },
            Wire::Replaced(()) => OrderEvent::Replaced,
            Wire::ReplaceRejected(refusal) => OrderEvent::ReplaceRejected(refusal.try_into()?),
            Wire::Ended(end) => OrderEvent::Ended(end.try_into()?),
        })
    }
}

impl From<&OrderView> for v1::OrderView {
    fn from(order: &OrderView) -> Self {
        let (order_type, limit_minor, stop_minor) = kind_parts(order.kind);
        v1::OrderView {
            id: order.id.raw(),
            account: order.account.raw(),
            client_order_id: order.client_order_id.clone(),
            instrument: order.instrument.raw(),
            symbol: order.symbol.as_str().to_owned(),
            side: order.side.number(),
            r#type: order_type,
            limit_minor,
            stop_minor,
            time_in_force: order.time_in_force.number(),
            post_only: order.post_only,
            status: order.status.number(),
            qty_minor: order.qty_minor,
            filled_minor: order.filled_minor,
            filled_notional_minor: order.filled_notional_minor,
            fee_minor: order.fee_minor,
            held_minor: order.held_minor,
            created_at_us: order.created_at.0,
            updated_at_us: order.updated_at.0,
            expires_at_us: optional_us(order.expires_at),
            ended_at_us: optional_us(order.ended_at),
            end: order.end.map(v1::End::from),
            replaces: order.replaces.map(|id| id.raw()),
            replaced_by: order.replaced_by.map(|id| id.raw()),
            extended_hours: order.extended_hours,
        }
    }
}

impl TryFrom<v1::OrderView> for OrderView {
    type Error = Error;

    fn try_from(wire: v1::OrderView) -> Result<Self, Error> {
        Ok(OrderView {
            id: id("OrderView.id", wire.id)?,
            account: id("OrderView.account", wire.account)?,
            client_order_id: wire.client_order_id,
            instrument: id("OrderView.instrument", wire.instrument)?,
            symbol: symbol("OrderView.symbol", &wire.symbol)?,
            side: choice("OrderView.side", wire.side)?,
            kind: kind(
                "OrderView.type",
                wire.r#type,
                wire.limit_minor,
                wire.stop_minor,
            )?,
            time_in_force: choice("OrderView.time_in_force", wire.time_in_force)?,
            post_only: wire.post_only,
            extended_hours: wire.extended_hours,
            status: choice("OrderView.status", wire.status)?,
            qty_minor: wire.qty_minor,
            filled_minor: wire.filled_minor,
            filled_notional_minor: wire.filled_notional_minor,
            fee_minor: wire.fee_minor,
            held_minor: wire.held_minor,
            created_at: Micros(wire.created_at_us),
            updated_at: Micros(wire.updated_at_us),
            expires_at: wire.expires_at_us.map(Micros),
            ended_at: wire.ended_at_us.map(Micros),
            end: wire.end.map(TryInto::try_into).transpose()?,
            replaces: optional_id("OrderView.replaces", wire.replaces)?,
            replaced_by: optional_id("OrderView.replaced_by", wire.replaced_by)?,
        })
    }
}

/// Postings of an update of the account `own`, which they need not name again.
pub fn postings_to_wire(own: Option<AccountId>, postings: &[Posting]) -> Vec<v1::Posting> {
    let others = |account: AccountId| (Some(account) != own).then_some(account.raw());
    let to_wire = |posting: &Posting| {
        let (book, account) = match posting.book {
            Book::Available(account) => (v1::Book::Available, others(account)),
            Book::Held(account) => (v1::Book::Held, others(account)),
            Book::Clearing => (v1::Book::Clearing, None),
            Book::Fees => (v1::Book::Fees, None),
            Book::Outside => (v1::Book::Outside, None),
        };
        v1::Posting {
            book: book as i32,
            account,
            asset: pack(posting.asset),
            amount_minor: posting.amount_minor,
        }
    };
    postings.iter().map(to_wire).collect()
}

/// The postings of an update of the account `own`; those of none name the account of each book.
pub fn postings_from_wire(
    own: Option<AccountId>,
    wire: &[v1::Posting],
) -> Result<Vec<Posting>, Error> {
    let from_wire = |wire: &v1::Posting| {
        let account = optional_id("Posting.account", wire.account)?.or(own);
        let account = || present("Posting.account", account);
        let book = match v1::Book::try_from(wire.book) {
            Ok(v1::Book::Available) => Book::Available(account()?),
            Ok(v1::Book::Held) => Book::Held(account()?),
            Ok(v1::Book::Clearing) => Book::Clearing,
            Ok(v1::Book::Fees) => Book::Fees,
            Ok(v1::Book::Outside) => Book::Outside,
            Ok(v1::Book::Unspecified) | Err(_) => {
                return Err(Error::Unknown {
                    field: "Posting.book",
                    number: wire.book,
                });
            }
        };
        let asset = unpack("Posting.asset", wire.asset)?;
        Ok(Posting {
            book,
            asset,
            amount_minor: wire.amount_minor,
        })
    };
    wire.iter().map(from_wire).collect()
}
