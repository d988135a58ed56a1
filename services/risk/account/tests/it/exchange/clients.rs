//! What clients and operators of the random exchange do.

use std::collections::VecDeque;

use prepx_account::Input;
use prepx_domain::message::{Action, PlaceOrder, ReplaceOrder, ToMatching};
use prepx_domain::update::Ack;
use prepx_domain::{AccountId, Instrument, OrderId, OrderKind, Side, Slot, TimeInForce};
use rand::RngExt;

use super::{ACCOUNTS, Exchange, partition};
use crate::desk::asset;

impl Exchange {
    fn anyone(&mut self) -> (AccountId, Slot) {
        self.accounts[self.rng.random_range(0..ACCOUNTS)]
    }

    fn price(&mut self, instrument: &Instrument) -> i64 {
        let ticks = self.rng.random_range(970..=1_030);
        ticks * instrument.tick_minor
    }

    pub(super) fn place(&mut self) {
        let (account, slot) = self.anyone();
        let instrument = self.instruments[self.rng.random_range(0..2)];
        let (stop, limit) = (self.price(&instrument), self.price(&instrument));
        let kind = match self.rng.random_range(0..10) {
            0 => OrderKind::Market,
            1 => OrderKind::Stop { stop },
            2 => OrderKind::StopLimit { stop, limit },
            _ => OrderKind::Limit { limit },
        };
        let time_in_force = match self.rng.random_range(0..8) {
            0 => TimeInForce::ImmediateOrCancel,
            1 => TimeInForce::FillOrKill,
            2 => TimeInForce::GoodTilCanceled,
            _ => TimeInForce::Day,
        };
        let may_extend = matches!(kind, OrderKind::Limit { .. }) && time_in_force.rests();
        let expires = self.rng.random_bool(0.1);
        let expires_in_us = self.rng.random_range(1..1_000_000);
        let ask = PlaceOrder {
            account,
            symbol: instrument.symbol,
            side: [Side::Buy, Side::Sell][self.rng.random_range(0..2)],
            kind,
            time_in_force,
            qty_minor: self.rng.random_range(1..30) * instrument.lot_minor,
            post_only: self.rng.random_bool(0.1),
            extended_hours: may_extend && self.rng.random_bool(0.5),
            expires_at: expires.then(|| self.now.plus_us(expires_in_us)),
            client_order_id: format!("c{}", self.rng.random_range(0..1_000_000)),
        };
        self.send(slot, Action::Place(ask));
    }

    /// One of the orders placed lately, open or not.
    fn an_order(&mut self) -> Option<(AccountId, OrderId)> {
        let lately = self.orders.len().min(120);
        if lately == 0 {
            return None;
        }
        let back = self.rng.random_range(1..=lately);
        Some(self.orders[self.orders.len() - back])
    }

    pub(super) fn replace(&mut self) {
        let Some((account, order)) = self.an_order() else {
            return;
        };
        let instrument = self.instruments[self.rng.random_range(0..2)];
        let qty_minor = self.rng.random_range(1..40) * instrument.lot_minor;
        let (limit_minor, stop_minor) = (self.price(&instrument), self.price(&instrument));
        let ask = ReplaceOrder {
            account,
            order,
            qty_minor: self.rng.random_bool(0.7).then_some(qty_minor),
            limit_minor: self.rng.random_bool(0.7).then_some(limit_minor),
            stop_minor: self.rng.random_bool(0.1).then_some(stop_minor),
            time_in_force: None,
            client_order_id: format!("c{}", self.rng.random_range(0..1_000_000)),
        };
        self.send(account.slot(), Action::Replace(ask));
    }

    pub(super) fn cancel(&mut self) {
        if self.rng.random_bool(0.02) {
            let (account, slot) = self.anyone();
            self.send(slot, Action::CancelAll { account });
        } else if let Some((account, order)) = self.an_order() {
            self.send(account.slot(), Action::Cancel { account, order });
        }
    }

    /// A command comes again, and is answered as the first time or not at all any more.
    pub(super) fn repeat(&mut self) {
        let at = self.rng.random_range(0..self.sent.len());
        let (command, first) = self.sent[at].clone();
        let before: Vec<usize> = self.to_matching.iter().map(VecDeque::len).collect();
        let again = self.decide(partition(command.slot), &Input::Command(command));
        let after: Vec<usize> = self.to_matching.iter().map(VecDeque::len).collect();
        assert_eq!(before, after, "I2: a repeat sends nothing");
        let same = match (&first, &again) {
            (Some(first), Some(again)) => match (&first.outcome, &again.outcome) {
                (Ok(Ack::Order(order)), Ok(Ack::PastOrder(past))) => order.id == *past,
                (first, again) => first == again,
            },
            _ => false,
        };
        assert!(same, "I2: {first:?}, then {again:?}");
    }

    pub(super) fn move_money(&mut self) {
        let (account, slot) = self.anyone();
        let asset = asset(["USD", "ACME", "DUST"][self.rng.random_range(0..3)]);
        let amount_minor = self.rng.random_range(1..20_000);
        let action = match self.rng.random_bool(0.5) {
            true => Action::Deposit {
                account,
                asset,
                amount_minor,
            },
            false => Action::Withdraw {
                account,
                asset,
                amount_minor,
            },
        };
        self.send(slot, action);
    }

    pub(super) fn operate(&mut self) {
        let (account, slot) = self.anyone();
        let id = self.instruments[self.rng.random_range(0..2)].id;
        match self.rng.random_range(0..5) {
            0 => self.tell_market(ToMatching::Halt(id)),
            1 => self.tell_market(ToMatching::Resume(id)),
            2 => {
                let suspended = true;
                self.send(slot, Action::SetTradeSuspended { account, suspended });
            }
            at => {
                let blocked = at == 3;
                self.send(slot, Action::SetAccountBlocked { account, blocked });
            }
        }
        if self.rng.random_bool(0.7) {
            self.tell_market(ToMatching::Resume(id));
            let (blocked, suspended) = (false, false);
            self.send(slot, Action::SetAccountBlocked { account, blocked });
            self.send(slot, Action::SetTradeSuspended { account, suspended });
        }
    }
}
