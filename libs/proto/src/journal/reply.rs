//! The first decisions on commands.

use prepx_domain::update::{Ack, Reply};

use super::value::{id, ids, pack, present, raw_ids, unpack, uuid};
use super::{Error, v1};

impl From<&Reply> for v1::Reply {
    fn from(reply: &Reply) -> Self {
        use v1::reply::Outcome as Wire;
        let outcome = match &reply.outcome {
            Ok(ack) => Wire::Ack(ack.into()),
            Err(reject) => Wire::Reject(reject.into()),
        };
        v1::Reply {
            command: Some(reply.command.into()),
            outcome: Some(outcome),
        }
    }
}

impl TryFrom<v1::Reply> for Reply {
    type Error = Error;

    fn try_from(wire: v1::Reply) -> Result<Self, Error> {
        use v1::reply::Outcome as Wire;
        let outcome = match present("Reply.outcome", wire.outcome)? {
            Wire::Ack(ack) => Ok(ack.try_into()?),
            Wire::Reject(reject) => Err(reject.try_into()?),
        };
        Ok(Reply {
            command: uuid("Reply.command", wire.command)?,
            outcome,
        })
    }
}

impl From<&Ack> for v1::Ack {
    fn from(ack: &Ack) -> Self {
        use v1::ack::Ack as Wire;
        let wire = match ack {
            Ack::Opened(account) => Wire::OpenedAccount(account.raw()),
            &Ack::Moved {
                asset,
                available_minor,
            } => Wire::Moved(v1::Balance {
                asset: pack(asset),
                available_minor,
            }),
            Ack::Order(order) => Wire::Order((&**order).into()),
            Ack::PastOrder(order) => Wire::PastOrder(order.raw()),
            Ack::Canceling(orders) => Wire::Canceling(v1::OrderIds {
                orders: raw_ids(orders),
            }),
            Ack::Done => Wire::Done(()),
        };
        v1::Ack { ack: Some(wire) }
    }
}

impl TryFrom<v1::Ack> for Ack {
    type Error = Error;

    fn try_from(wire: v1::Ack) -> Result<Self, Error> {
        use v1::ack::Ack as Wire;
        Ok(match present("Ack.ack", wire.ack)? {
            Wire::OpenedAccount(raw) => Ack::Opened(id("Ack.opened_account", raw)?),
            Wire::Moved(v1::Balance {
                asset,
                available_minor,
            }) => Ack::Moved {
                asset: unpack("Balance.asset", asset)?,
                available_minor,
            },
            Wire::Order(order) => Ack::Order(Box::new(order.try_into()?)),
            Wire::PastOrder(raw) => Ack::PastOrder(id("Ack.past_order", raw)?),
            Wire::Canceling(canceling) => {
                Ack::Canceling(ids("OrderIds.orders", &canceling.orders)?)
            }
            Wire::Done(()) => Ack::Done,
        })
    }
}
