//! The first decisions on commands.

use prepx_domain::reject::Reject;
use prepx_domain::update::{Ack, Reply};

use super::{Error, Part, v1};
use crate::{message, oneof};

message! { Reply = Reply { command, outcome } }

impl Part for Result<Ack, Reject> {
    type Wire = v1::reply::Outcome;

    fn to_wire(&self) -> Self::Wire {
        match self {
            Ok(ack) => v1::reply::Outcome::Ack(ack.to_wire()),
            Err(reject) => v1::reply::Outcome::Reject(reject.to_wire()),
        }
    }

    fn from_wire(wire: Self::Wire, name: &'static str) -> Result<Self, Error> {
        Ok(match wire {
            v1::reply::Outcome::Ack(ack) => Ok(Ack::from_wire(ack, name)?),
            v1::reply::Outcome::Reject(reject) => Err(Reject::from_wire(reject, name)?),
        })
    }
}

oneof! {
    Ack = Ack { ack: ack::Ack {
        Opened(account) = OpenedAccount,
        Moved { asset, available_minor } = Moved(Balance),
        Order(order) = Order,
        PastOrder(order) = PastOrder,
        Canceling(orders) = Canceling(OrderIds),
        Done = Done,
    } }
}
