//! Commands to the account stage.

use prepx_domain::message::{Action, Command, Limits, PlaceOrder, ReplaceOrder};
use prepx_domain::{Micros, TimeInForce};

use super::v1;
use crate::{message, oneof};

message! { Command = Command { id, slot, action; stamped_at as stamped_at_us } }

oneof! {
    Action = Command.action: command::Action {
        OpenAccount { user, simulated } = OpenAccount(OpenAccount),
        Deposit { account, asset, amount_minor } = Deposit(Movement),
        Withdraw { account, asset, amount_minor } = Withdraw(Movement),
        Place(place) = Place,
        Replace(replace) = Replace,
        Cancel { account, order } = Cancel(CancelOrder),
        EndOrder { order, reason } = EndOrder(EndOrder),
        CancelAll { account } = CancelAllOfAccount,
        SetAccountBlocked { account, blocked } = SetAccountBlocked(SetAccountBlocked),
        SetTradeSuspended { account, suspended } = SetTradeSuspended(SetTradeSuspended),
        SetLimits { account, limits } = SetLimits(SetLimits),
    }
}

message! {
    PlaceOrder = PlaceOrder {
        account, symbol, side, time_in_force, qty_minor, post_only, extended_hours,
        client_order_id; expires_at as expires_at_us
    } where kind in (r#type, limit_minor, stop_minor)
}

message! {
    ReplaceOrder = ReplaceOrder {
        account, order, qty_minor, limit_minor, stop_minor, client_order_id;
        time_in_force as lifetime
    }
}

message! {
    { (time_in_force, expires_at) }: (TimeInForce, Option<Micros>) = Lifetime {
        time_in_force; expires_at as expires_at_us
    }
}

message! { Limits = Limits { order_qty_minor, order_notional_minor, open_orders, position_minor } }
