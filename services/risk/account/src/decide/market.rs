//! Messages of the market. It is the other half of the platform, not a client: a message that breaks the
//! protocol is a fault of ours, and the stage stops loudly instead of booking it.

use prepx_domain::message::{CancelReason, End, Fill, Refusal, ToAccount};
use prepx_domain::{AccountId, Instrument, Micros, OrderId, Side};

use super::price::hold_minor;
use crate::event::Event;
use crate::order::{Order, Phase, buying_minor, qty_minor};
use crate::state::Stage;

/// What one trade may cost beyond its part of a hold: its money and its fee are each rounded up by
/// half a minor unit at most, and the fee is on the rounded money.
const DUST_MINOR_A_TRADE: i64 = 2;

impl Stage {
    pub(super) fn decide_message(&self, message: &ToAccount, at: Micros) -> Option<Event> {
        match message {
            ToAccount::Defined(instrument) => self.define_new(instrument),
            ToAccount::Halted { instrument, halted } => {
                let changes = self.market(*instrument).halted != *halted;
                changes.then_some(Event::Halted {
                    instrument: *instrument,
                    halted: *halted,
                })
            }
            ToAccount::Reference {
                instrument,
                price_ticks,
            } => {
                let changes = self.market(*instrument).reference_ticks != Some(*price_ticks);
                changes.then_some(Event::ReferenceMoved {
                    instrument: *instrument,
                    price_ticks: *price_ticks,
                })
            }
            ToAccount::Session { instrument, phase } => {
                let changes = self.market(*instrument).phase != *phase;
                changes.then_some(Event::SessionChanged {
                    instrument: *instrument,
                    phase: *phase,
                })
            }
            ToAccount::Absent { account, order } => self.end_absent(*account, *order, at),
            ToAccount::Parked { account, order } => self.park(*account, *order, true, at),
            ToAccount::Entered { account, order } => self.park(*account, *order, false, at),
            ToAccount::Triggered { account, order } => {
                let order = self.traded_order(*account, *order).book.order;
                Some(Event::Triggered { at, order })
            }
            ToAccount::Fill(fill) => Some(self.fill_order(fill, at)),
            ToAccount::Replaced {
                account,
                old,
                new,
                cum_lots,
            } => Some(self.confirm_replace((*account, *old, *new), *cum_lots, at)),
            ToAccount::ReplaceRejected {
                account,
                old,
                new,
                refusal,
            } => Some(self.reject_replace((*account, *old, *new), *refusal, at)),
            ToAccount::Ended {
                account,
                order,
                cum_lots,
                end,
            } => Some(self.end_order((*account, *order), *cum_lots, *end, at)),
        }
    }

    /// A definition that is known, or that would change what an asset's minor unit is worth, is
    /// ignored: orders for its symbol are refused as unknown.
    fn define_new(&self, instrument: &Instrument) -> Option<Event> {
        let fits = |asset, scale| self.known_scale(asset).is_none_or(|known| known == scale);
        let is_new = !self.markets.contains_key(&instrument.id)
            && !self.symbols.contains_key(&instrument.symbol);
        let is_sound = fits(instrument.base, instrument.base_scale)
            && fits(instrument.quote, instrument.quote_scale)
            && instrument.base != instrument.quote;
        (is_new && is_sound).then(|| Event::Defined(Box::new(*instrument)))
    }

    /// An order begins or ends to wait for its session.
    fn park(&self, account: AccountId, order: OrderId, parked: bool, at: Micros) -> Option<Event> {
        let order = self.traded_order(account, order);
        let changes = order.parked != parked;
        let order = order.book.order;
        changes.then_some(Event::Parked { at, order, parked })
    }

    /// An order that the market may still send messages about.
    fn traded_order(&self, account: AccountId, id: OrderId) -> &Order {
        let order = self
            .orders
            .get(&id)
            .filter(|order| order.book.account == account && matches!(order.phase, Phase::Open));
        order.unwrap_or_else(|| {
            panic!("the market speaks of order {id} of account {account}, which is not open (I2)")
        })
    }

    fn fill_order(&self, fill: &Fill, at: Micros) -> Event {
        let order = self.traded_order(fill.account, fill.order);
        let instrument = &self.market(fill.instrument).instrument;
        assert!(
            fill.instrument == order.book.instrument
                && fill.side == order.book.side
                && fill.qty_lots > 0
                && fill.cum_lots.checked_sub(fill.qty_lots) == Some(order.cum_lots)
                && fill.cum_lots <= order.book.qty_lots
                && fill.side.accepts(order.worst_ticks(), fill.price_ticks),
            "{fill:?} does not fit {order:?} (I2)"
        );
        let qty_minor = qty_minor(instrument, fill.qty_lots);
        let base = self.accounts[&fill.account].balance(instrument.base);
        let quote = self.accounts[&fill.account].balance(instrument.quote);
        let (held_minor, cost_minor);
        let (mut available_minor, mut fill) = (0, *fill);
        match fill.side {
            Side::Buy => {
                let owed_minor = sum(fill.notional_minor, fill.fee_minor);
                held_minor = owed_minor.min(order.held_minor);
                cost_minor = fill.notional_minor;
                // Many small trades round up more often than one hold did. The remainder comes out of the
                // available balance, or if that is empty, out of the fee: no balance becomes negative.
                let dust_minor = owed_minor.saturating_sub(held_minor);
                assert!(
                    dust_minor <= fill.cum_lots.saturating_mul(DUST_MINOR_A_TRADE),
                    "{fill:?} costs more than rounding beyond the hold of {order:?} (I4)"
                );
                available_minor = dust_minor.min(quote.available_minor);
                let waived_minor = dust_minor.saturating_sub(available_minor);
                fill.fee_minor = fill.fee_minor.saturating_sub(waived_minor);
            }
            Side::Sell => {
                held_minor = qty_minor;
                cost_minor = base.cost_of_minor(qty_minor).saturating_neg();
                let payable_minor = sum(fill.notional_minor, quote.available_minor);
                fill.fee_minor = fill.fee_minor.min(payable_minor);
            }
        }
        Event::Filled {
            at,
            fill,
            qty_minor,
            held_minor,
            available_minor,
            cost_minor,
        }
    }

    fn confirm_replace(
        &self,
        (account, old, new): (AccountId, OrderId, OrderId),
        cum_lots: i64,
        at: Micros,
    ) -> Event {
        let (old_order, new_order) = self.pair(account, old, new);
        let old_order = old_order
            .filter(|old| old.is_open() && old.cum_lots == cum_lots)
            .unwrap_or_else(|| panic!("order {old} is replaced at {cum_lots} lots, not so (I2)"));
        let book = &new_order.book;
        let instrument = &self.market(book.instrument).instrument;
        let rest_lots = book.qty_lots.saturating_sub(cum_lots);
        let worst_ticks = new_order.worst_ticks();
        let needed_minor = hold_minor(instrument, book.side, worst_ticks, rest_lots)
            .expect("less is left than was held for when the replacement was accepted");
        let pool_minor = sum(old_order.held_minor, new_order.held_minor);
        let held_minor = needed_minor.min(pool_minor);
        Event::Replaced {
            at,
            old,
            new,
            held_minor,
            buying_minor: buying_minor(instrument, book.side, rest_lots),
            released_minor: pool_minor.saturating_sub(held_minor),
        }
    }

    fn reject_replace(
        &self,
        (account, old, new): (AccountId, OrderId, OrderId),
        refusal: Refusal,
        at: Micros,
    ) -> Event {
        let (_, new_order) = self.pair(account, old, new);
        Event::ReplaceRejected {
            at,
            old,
            new,
            refusal,
            released_minor: new_order.held_minor,
        }
    }

    /// A replacement under way and, unless it ended long ago, the order that it replaces.
    fn pair(&self, account: AccountId, old: OrderId, new: OrderId) -> (Option<&Order>, &Order) {
        let new_order = self.orders.get(&new).filter(|order| {
            order.book.account == account
                && order.phase == Phase::Pending
                && order.replaces == Some(old)
        });
        let new_order = new_order.unwrap_or_else(|| {
            panic!("the market answers a replacement of {old} by {new} that was not sent (I2)")
        });
        (self.orders.get(&old).map(Box::as_ref), new_order)
    }

    /// An order that is unknown to the market and open here has lost a message on its way, because an
    /// operator skipped it. It ends with what is known of it.
    fn end_absent(&self, account: AccountId, id: OrderId, at: Micros) -> Option<Event> {
        let order = self.orders.get(&id);
        let order = order.filter(|order| order.book.account == account)?;
        let released_minor = order.held_minor;
        match (order.phase, order.replaces) {
            (Phase::Open, _) => Some(Event::Ended {
                at,
                order: id,
                end: match order.has_traded_whole() {
                    true => End::Filled,
                    false => End::Canceled(CancelReason::Requested),
                },
                released_minor,
            }),
            (Phase::Pending, Some(old)) => Some(Event::ReplaceRejected {
                at,
                old,
                new: id,
                refusal: Refusal::NotLiving,
                released_minor,
            }),
            _ => None,
        }
    }

    fn end_order(
        &self,
        (account, id): (AccountId, OrderId),
        cum_lots: i64,
        end: End,
        at: Micros,
    ) -> Event {
        let order = self.traded_order(account, id);
        assert!(
            cum_lots == order.cum_lots,
            "order {id} ended at {cum_lots} lots, {} were told (I2)",
            order.cum_lots
        );
        Event::Ended {
            at,
            order: id,
            end,
            released_minor: order.held_minor,
        }
    }
}

/// Two parts of an account's balance of one asset.
fn sum(left_minor: i64, right_minor: i64) -> i64 {
    crate::state::moved(left_minor, right_minor)
}
