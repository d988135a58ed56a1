//! Trading in the slow, obvious book.

use prepx_domain::message::{CancelReason, End, Fill, ToAccount};
use prepx_domain::update::MarketChange;
use prepx_domain::{ExecutionId, Instrument, OrderId, SessionPhase, TradeId};

use crate::TRADES_MAX;

use super::{Market, Order, Place, Reference};

impl Reference {
    /// How much could trade before the end, the worst price or an own order, and whether it was an
    /// own order.
    pub(super) fn fillable(&self, order: &Order, market: &Market) -> (i64, bool) {
        let mut sum = 0;
        for other in self.side(order.is.instrument, order.is.side.opposite()) {
            let price = other.worst().expect("it rests");
            let qty = other.left().min(order.left() - sum);
            if sum == order.left() || !Self::reaches(order, price) {
                break;
            }
            if other.is.account == order.is.account {
                return (sum, true);
            }
            if market.is.notional_minor(price, qty).is_none() {
                break;
            }
            sum += qty;
        }
        (sum, false)
    }

    pub(super) fn trade(&mut self, mut order: Order, market: &Market) {
        let mut prices = Vec::new();
        let mut end = CancelReason::Unfilled;
        let mut may_rest = order.is.kind.limit().is_some() && order.is.time_in_force.rests();
        for other in self.side(order.is.instrument, order.is.side.opposite()) {
            let price = other.worst().expect("it rests");
            if order.left() == 0 {
                break;
            }
            if !Self::reaches(&order, price) {
                if order.worst() != order.is.kind.limit() {
                    end = CancelReason::ProtectPrice;
                }
                break;
            }
            if other.is.account == order.is.account {
                (end, may_rest) = (CancelReason::SelfTrade, false);
                break;
            }
            if prices.len() == TRADES_MAX as usize {
                self.follow(market, &std::mem::take(&mut prices));
            }
            let qty = other.left().min(order.left());
            let Some(notional) = market.is.notional_minor(price, qty) else {
                (end, may_rest) = (CancelReason::ProtectPrice, false);
                break;
            };
            order.cum_lots += qty;
            self.fill(&order, other.is.order, price, qty, notional);
            prices.push(price);
        }
        if order.left() > 0 && may_rest {
            self.stand(order, Place::Book);
        } else if order.left() > 0 {
            self.send_end(&order, End::Canceled(end));
        }
        self.follow(market, &prices);
    }

    /// What follows from trades at these prices.
    fn follow(&mut self, market: &Market, prices: &[i64]) {
        if let (Some(low), Some(high)) = (prices.iter().min(), prices.iter().max()) {
            if market.phase == SessionPhase::Regular {
                self.trigger(market.is.id, *low, *high);
            }
            self.send_reference(market.is.id, false);
        }
    }

    fn fill(&mut self, taker: &Order, maker: OrderId, price: i64, qty: i64, notional: i64) {
        let instrument = self.market(taker.is.instrument).is;
        let slot = instrument.id.slot();
        let at = self.position(maker);
        self.orders[at].cum_lots += qty;
        let maker = self.orders[at];
        if maker.left() == 0 {
            self.orders.remove(at);
        }
        let last = self.trades.iter().rev().find(|last| last.0 == slot);
        let trade = TradeId::next(slot, self.now, last.map(|last| last.1));
        self.trades.retain(|last| last.0 != slot);
        self.trades.push((slot, trade));
        for (order, resting, ppm) in [
            (&maker, true, instrument.maker_fee_ppm),
            (taker, false, instrument.taker_fee_ppm),
        ] {
            let last = self.executions.iter().rev().find(|last| last.0 == slot);
            let execution = ExecutionId::next(slot, self.now, last.map(|last| last.1));
            self.executions.retain(|last| last.0 != slot);
            self.executions.push((slot, execution));
            let fill = Fill {
                execution,
                trade,
                account: order.is.account,
                order: order.is.order,
                instrument: instrument.id,
                side: order.is.side,
                price_ticks: price,
                qty_lots: qty,
                notional_minor: notional,
                fee_minor: Instrument::fee_minor(notional, ppm).expect("fees are below 100 %"),
                cum_lots: order.cum_lots,
                maker: resting,
            };
            self.send(order.is.account, ToAccount::Fill(fill));
        }
        for order in [&maker, taker] {
            if order.left() == 0 {
                self.send_end(order, End::Filled);
            }
        }
        let change = MarketChange::Trade {
            trade,
            price_ticks: price,
            qty_lots: qty,
            taker: taker.is.side,
        };
        self.publish(instrument.id, change);
        self.publish_level(instrument.id, maker.is.side, price);
        self.market(instrument.id).last = Some(price);
    }
}
