//! Commands to the account stage.

use prepx_domain::Micros;
use prepx_domain::message::{Action, Command, Limits, PlaceOrder, ReplaceOrder};

use super::value::{
    Choice as _, choice, id, kind, kind_parts, optional_us, pack, present, slot, symbol, unpack,
    uuid,
};
use super::{Error, v1};

impl From<&Command> for v1::Command {
    fn from(command: &Command) -> Self {
        v1::Command {
            id: Some(command.id.into()),
            stamped_at_us: command.stamped_at.0,
            slot: u32::from(command.slot.number()),
            action: Some((&command.action).into()),
        }
    }
}

impl TryFrom<v1::Command> for Command {
    type Error = Error;

    fn try_from(wire: v1::Command) -> Result<Self, Error> {
        Ok(Command {
            id: uuid("Command.id", wire.id)?,
            stamped_at: Micros(wire.stamped_at_us),
            slot: slot("Command.slot", wire.slot)?,
            action: present("Command.action", wire.action)?.try_into()?,
        })
    }
}

impl From<&Action> for v1::command::Action {
    fn from(action: &Action) -> Self {
        use v1::command::Action as Wire;
        match action {
            &Action::OpenAccount { user, simulated } => Wire::OpenAccount(v1::OpenAccount {
                user: Some(user.into()),
                simulated,
            }),
            &Action::Deposit {
                account,
                asset,
                amount_minor,
            } => Wire::Deposit(v1::Movement {
                account: account.raw(),
                asset: pack(asset),
                amount_minor,
            }),
            &Action::Withdraw {
                account,
                asset,
                amount_minor,
            } => Wire::Withdraw(v1::Movement {
                account: account.raw(),
                asset: pack(asset),
                amount_minor,
            }),
            Action::Place(place) => Wire::Place(place.into()),
            Action::Replace(replace) => Wire::Replace(replace.into()),
            &Action::Cancel { account, order } => Wire::Cancel(v1::CancelOrder {
                account: account.raw(),
                order: order.raw(),
            }),
            Action::EndOrder { order, reason } => Wire::EndOrder(v1::EndOrder {
                order: order.raw(),
                reason: reason.clone(),
            }),
            &Action::CancelAll { account } => Wire::CancelAllOfAccount(account.raw()),
            &Action::SetAccountBlocked { account, blocked } => {
                Wire::SetAccountBlocked(v1::SetAccountBlocked {
                    account: account.raw(),
                    blocked,
                })
            }
            &Action::SetTradeSuspended { account, suspended } => {
                Wire::SetTradeSuspended(v1::SetTradeSuspended {
                    account: account.raw(),
                    suspended,
                })
            }
            Action::SetLimits { account, limits } => Wire::SetLimits(v1::SetLimits {
                account: account.raw(),
                limits: Some((*limits).into()),
            }),
        }
    }
}

impl TryFrom<v1::command::Action> for Action {
    type Error = Error;

    fn try_from(wire: v1::command::Action) -> Result<Self, Error> {
        use v1::command::Action as Wire;
        Ok(match wire {
            Wire::OpenAccount(open) => Action::OpenAccount {
                user: uuid("OpenAccount.user", open.user)?,
                simulated: open.simulated,
            },
            Wire::Deposit(movement) => Action::Deposit {
                account: id("Movement.account", movement.account)?,
                asset: unpack("Movement.asset", movement.asset)?,
                amount_minor: movement.amount_minor,
            },
            Wire::Withdraw(movement) => Action::Withdraw {
                account: id("Movement.account", movement.account)?,
                asset: unpack("Movement.asset", movement.asset)?,
                amount_minor: movement.amount_minor,
            },
            Wire::Place(place) => Action::Place(place.try_into()?),
            Wire::Replace(replace) => Action::Replace(replace.try_into()?),
            Wire::Cancel(cancel) => Action::Cancel {
                account: id("CancelOrder.account", cancel.account)?,
                order: id("CancelOrder.order", cancel.order)?,
            },
            Wire::EndOrder(end) => Action::EndOrder {
                order: id("EndOrder.order", end.order)?,
                reason: end.reason,
            },
            Wire::CancelAllOfAccount(account) => Action::CancelAll {
                account: id("Command.cancel_all_of_account", account)?,
            },
            Wire::SetAccountBlocked(set) => Action::SetAccountBlocked {
                account: id("SetAccountBlocked.account", set.account)?,
                blocked: set.blocked,
            },
            Wire::SetTradeSuspended(set) => Action::SetTradeSuspended {
                account: id("SetTradeSuspended.account", set.account)?,
                suspended: set.suspended,
            },
            Wire::SetLimits(set) => Action::SetLimits {
                account: id("SetLimits.account", set.account)?,
                limits: present("SetLimits.limits", set.limits)?.into(),
            },
        })
    }
}

impl From<&PlaceOrder> for v1::PlaceOrder {
    fn from(place: &PlaceOrder) -> Self {
        let (order_type, limit_minor, stop_minor) = kind_parts(place.kind);
        v1::PlaceOrder {
            account: place.account.raw(),
            symbol: place.symbol.as_str().to_owned(),
            side: place.side.number(),
            r#type: order_type,
            limit_minor,
            stop_minor,
            time_in_force: place.time_in_force.number(),
            qty_minor: place.qty_minor,
            post_only: place.post_only,
            expires_at_us: optional_us(place.expires_at),
            client_order_id: place.client_order_id.clone(),
            extended_hours: place.extended_hours,
        }
    }
}

impl TryFrom<v1::PlaceOrder> for PlaceOrder {
    type Error = Error;

    fn try_from(wire: v1::PlaceOrder) -> Result<Self, Error> {
        Ok(PlaceOrder {
            account: id("PlaceOrder.account", wire.account)?,
            symbol: symbol("PlaceOrder.symbol", &wire.symbol)?,
            side: choice("PlaceOrder.side", wire.side)?,
            kind: kind(
                "PlaceOrder.type",
                wire.r#type,
                wire.limit_minor,
                wire.stop_minor,
            )?,
            time_in_force: choice("PlaceOrder.time_in_force", wire.time_in_force)?,
            qty_minor: wire.qty_minor,
            post_only: wire.post_only,
            extended_hours: wire.extended_hours,
            expires_at: wire.expires_at_us.map(Micros),
            client_order_id: wire.client_order_id,
        })
    }
}

impl From<&ReplaceOrder> for v1::ReplaceOrder {
    fn from(replace: &ReplaceOrder) -> Self {
        v1::ReplaceOrder {
            account: replace.account.raw(),
            order: replace.order.raw(),
            qty_minor: replace.qty_minor,
            limit_minor: replace.limit_minor,
            stop_minor: replace.stop_minor,
            lifetime: replace
                .time_in_force
                .map(|(time_in_force, expires_at)| v1::Lifetime {
                    time_in_force: time_in_force.number(),
                    expires_at_us: optional_us(expires_at),
                }),
            client_order_id: replace.client_order_id.clone(),
        }
    }
}

impl TryFrom<v1::ReplaceOrder> for ReplaceOrder {
    type Error = Error;

    fn try_from(wire: v1::ReplaceOrder) -> Result<Self, Error> {
        let lifetime = |wire: v1::Lifetime| {
            choice("Lifetime.time_in_force", wire.time_in_force)
                .map(|time_in_force| (time_in_force, wire.expires_at_us.map(Micros)))
        };
        Ok(ReplaceOrder {
            account: id("ReplaceOrder.account", wire.account)?,
            order: id("ReplaceOrder.order", wire.order)?,
            qty_minor: wire.qty_minor,
            limit_minor: wire.limit_minor,
            stop_minor: wire.stop_minor,
            time_in_force: wire.lifetime.map(lifetime).transpose()?,
            client_order_id: wire.client_order_id,
        })
    }
}

impl From<Limits> for v1::Limits {
    fn from(limits: Limits) -> Self {
        v1::Limits {
            order_qty_minor: limits.order_qty_minor,
            order_notional_minor: limits.order_notional_minor,
            open_orders: limits.open_orders,
            position_minor: limits.position_minor,
        }
    }
}

impl From<v1::Limits> for Limits {
    fn from(wire: v1::Limits) -> Self {
        Limits {
            order_qty_minor: wire.order_qty_minor,
            order_notional_minor: wire.order_notional_minor,
            open_orders: wire.open_orders,
            position_minor: wire.position_minor,
        }
    }
}
