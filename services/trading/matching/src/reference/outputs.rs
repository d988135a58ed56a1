//! The outputs of the slow, obvious book.

use prepx_domain::message::{End, ToAccount};
use prepx_domain::update::{MarketChange, MarketUpdate};
use prepx_domain::{AccountId, InstrumentId, SessionPhase, Side};

use super::{Order, Reference};
use crate::event::Output;

impl Reference {
    pub(super) fn send(&mut self, account: AccountId, message: ToAccount) {
        let slot = account.slot();
        self.outputs.push(Output::Account { slot, message });
    }

    pub(super) fn publish(&mut self, instrument: InstrumentId, change: MarketChange) {
        let at = self.now;
        let market = self.market(instrument);
        market.updates += 1;
        let update = MarketUpdate {
            instrument,
            number: market.updates,
            at,
            change,
        };
        self.outputs.push(Output::Market(update));
    }

    pub(super) fn publish_level(&mut self, instrument: InstrumentId, side: Side, price_ticks: i64) {
        let orders = self.side(instrument, side);
        let here = orders
            .iter()
            .filter(|order| order.worst() == Some(price_ticks));
        let total: i128 = here.map(|order| i128::from(order.left())).sum();
        let change = MarketChange::Level {
            side,
            price_ticks,
            qty_lots: total.min(i128::from(i64::MAX)) as i64,
        };
        self.publish(instrument, change);
    }

    pub(super) fn send_end(&mut self, order: &Order, end: End) {
        let account = order.is.account;
        let message = ToAccount::Ended {
            account,
            order: order.is.order,
            cum_lots: order.cum_lots,
            end,
        };
        self.send(account, message);
    }

    pub(super) fn send_triggered(&mut self, order: &Order) {
        let (account, order) = (order.is.account, order.is.order);
        self.send(account, ToAccount::Triggered { account, order });
    }

    pub(super) fn send_session(&mut self, instrument: InstrumentId, phase: SessionPhase) {
        let message = ToAccount::Session { instrument, phase };
        self.outputs.push(Output::Everyone(message));
    }

    pub(super) fn send_entered(&mut self, order: &Order) {
        let (account, order) = (order.is.account, order.is.order);
        self.send(account, ToAccount::Entered { account, order });
    }

    pub(super) fn send_reference(&mut self, instrument: InstrumentId, only_by_time: bool) {
        let now = self.now;
        let market = self.market(instrument);
        let Some(last) = market.last else {
            return;
        };
        let long_ago = now.0 - market.reference_at.0 >= 100_000;
        let is_due = match market.reference {
            None => true,
            Some(sent) if sent == last => false,
            Some(sent) => long_ago || (!only_by_time && (last - sent).abs() * 1_000 >= sent),
        };
        if is_due {
            market.reference = Some(last);
            market.reference_at = now;
            let message = ToAccount::Reference {
                instrument,
                price_ticks: last,
            };
            self.outputs.push(Output::Everyone(message));
        }
    }
}
