//! Replacing and cancelling in the slow, obvious book.

use prepx_domain::message::{BookOrder, BookReplace, CancelReason, End, Refusal, ToAccount};
use prepx_domain::{AccountId, InstrumentId, OrderId};

use super::{Order, Place, Reference};

impl Reference {
    pub(super) fn replace(&mut self, replace: &BookReplace) {
        if let Err(refusal) = self.try_replace(replace) {
            let account = replace.new.account;
            for order in &mut self.orders {
                if order.is.order == replace.old && order.is.account == account {
                    order.pair = Some(replace.new.order);
                }
            }
            let message = ToAccount::ReplaceRejected {
                account,
                old: replace.old,
                new: replace.new.order,
                refusal,
            };
            self.send(account, message);
        }
    }

    fn try_replace(&mut self, replace: &BookReplace) -> Result<(), Refusal> {
        let new = replace.new;
        let market = self.open_market(new.instrument)?;
        let living = self.orders.iter().position(|order| {
            let is = &order.is;
            is.order == replace.old
                && (is.account, is.instrument, is.side) == (new.account, new.instrument, new.side)
        });
        let at = living.ok_or(Refusal::NotLiving)?;
        let old = self.orders[at];
        let cum_lots = old.cum_lots;
        if new.qty_lots <= cum_lots {
            return Err(Refusal::QuantityTraded { cum_lots });
        }
        let mut order = Order {
            is: new,
            cum_lots,
            triggered: old.triggered && new.kind.stop().is_some(),
            pair: Some(replace.old),
            place: Place::Nowhere,
            arrival: 0,
            awaited: 0,
        };
        let but_for_id_and_size = BookOrder {
            order: old.is.order,
            qty_lots: old.is.qty_lots,
            ..new
        };
        let waits = self.waits(&order, &market);
        let keeps_place = but_for_id_and_size == old.is && new.qty_lots <= old.is.qty_lots;
        if keeps_place {
            order.place = old.place;
            (order.arrival, order.awaited) = (old.arrival, old.awaited);
            self.orders[at] = order;
        } else {
            if waits.is_none()
                && let Some(refusal) = self.refusal(&order, &market)
            {
                return Err(refusal);
            }
            self.orders.remove(at);
        }
        let message = ToAccount::Replaced {
            account: new.account,
            old: replace.old,
            new: new.order,
            cum_lots,
        };
        self.send(new.account, message);
        // An order that stays in its level, though it goes to the end of it, is told as one change.
        let stays = waits.is_none() && self.comes_to_rest(&order) && order.worst() == old.worst();
        if old.place == Place::Book && (keeps_place || !stays) {
            let price = old.worst().expect("it rests");
            self.publish_level(new.instrument, new.side, price);
        }
        if keeps_place {
            return Ok(());
        }
        if new.expires_at.is_some_and(|at| at <= self.now) {
            self.send_end(&order, End::Expired);
        } else if let Some(place) = waits {
            self.park(order, place, false);
        } else {
            self.enter(order);
        }
        Ok(())
    }

    /// Whether an arriving order, which is not triggered only now, rests whole.
    fn comes_to_rest(&self, order: &Order) -> bool {
        let others = self.side(order.is.instrument, order.is.side.opposite());
        let best = others.first().and_then(Order::worst);
        order.is.kind.limit().is_some()
            && order.is.time_in_force.rests()
            && order.is.expires_at.is_none_or(|at| at > self.now)
            && (order.triggered || order.is.kind.stop().is_none())
            && best.is_none_or(|best| !Self::reaches(order, best))
    }

    pub(super) fn cancel(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        id: OrderId,
        answered: bool,
    ) {
        let living = self.orders.iter().position(|order| {
            order.is_named(id) && order.is.account == account && order.is.instrument == instrument
        });
        if let Some(at) = living {
            self.end_standing(at, End::Canceled(CancelReason::Requested));
        } else if answered {
            self.send(account, ToAccount::Absent { account, order: id });
        }
    }

    pub(super) fn end_standing(&mut self, at: usize, end: End) {
        let order = self.orders.remove(at);
        self.send_end(&order, end);
        if order.place == Place::Book {
            let price = order.worst().expect("it rests");
            self.publish_level(order.is.instrument, order.is.side, price);
        }
    }
}
