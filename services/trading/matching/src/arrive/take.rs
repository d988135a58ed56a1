//! Trading with the other side, in price-time priority (I5).

use prepx_domain::{ExecutionId, Instrument, TradeId};

use super::{Arrival, worst_key};
use crate::TRADES_MAX;
use crate::book::book_key;
use crate::event::{Event, Party, Trade};
use crate::fifo::NONE;
use crate::orders::{Order, Place};

/// Why an order stopped trading.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It has traded whole.
    Whole,
    /// Nothing on the other side is left.
    Empty,
    /// What is left there is beyond its worst price.
    Beyond,
    /// The next order there is of the same account.
    OwnOrder,
    /// The money of the next trade does not fit its number; no hold can have covered it.
    Uncovered,
    /// It has traded as often as one decision allows.
    Paused,
}

/// What an arrival's trades leave behind.
#[derive(Clone, Copy)]
pub(super) struct Trades {
    pub(super) last: TradeId,
    pub(super) last_execution: ExecutionId,
    pub(super) first_ticks: i64,
    pub(super) last_ticks: i64,
}

/// The money of a trade and the fees of maker and taker.
fn money(instrument: &Instrument, price_ticks: i64, qty_lots: i64) -> Option<(i64, i64, i64)> {
    let notional_minor = instrument.notional_minor(price_ticks, qty_lots)?;
    let maker = Instrument::fee_minor(notional_minor, instrument.maker_fee_ppm)?;
    let taker = Instrument::fee_minor(notional_minor, instrument.taker_fee_ppm)?;
    Some((notional_minor, maker, taker))
}

impl Arrival<'_> {
    /// How the order would stop trading.
    pub(super) fn fillable(&mut self) -> Stopped {
        let (left_lots, instrument) = (self.left_lots, &self.book.instrument);
        let stopped = self.walk(u32::MAX, |arrival, price_ticks, maker| {
            let qty_lots = arrival.left_lots.min(maker.left_lots);
            money(instrument, price_ticks, qty_lots)?;
            arrival.left_lots -= qty_lots;
            Some(())
        });
        self.left_lots = left_lots;
        stopped
    }

    /// Trades until the order stops.
    pub(super) fn take(&mut self) -> Stopped {
        self.walk(TRADES_MAX, Self::trade_with)
    }

    /// Meets at most so many orders of the other side, in price-time priority, while anything is left.
    /// `meet` takes from what is left; it returns `None` when the money of the trade leaves its number.
    fn walk(
        &mut self,
        mut orders: u32,
        mut meet: impl FnMut(&mut Self, i64, &Order) -> Option<()>,
    ) -> Stopped {
        let engine = self.engine;
        let other = self.order.side.opposite();
        let worst_key = worst_key(other, self.worst_ticks);
        let mut level_at = self.book.ladder(Place::Book, other).first;
        while level_at != NONE {
            let level = engine.levels.get(level_at);
            if level.key > worst_key {
                return Stopped::Beyond;
            }
            let price_ticks = book_key(other, level.key);
            let mut at = level.queue.head;
            while at != NONE {
                let maker = engine.orders.get(at);
                if maker.account == self.order.account {
                    return Stopped::OwnOrder;
                }
                let Some(fewer) = orders.checked_sub(1) else {
                    return Stopped::Paused;
                };
                orders = fewer;
                if meet(self, price_ticks, maker).is_none() {
                    return Stopped::Uncovered;
                }
                if self.left_lots == 0 {
                    return Stopped::Whole;
                }
                at = maker.link.next;
            }
            level_at = engine.levels.after(level_at);
        }
        Stopped::Empty
    }

    fn trade_with(&mut self, price_ticks: i64, maker: &Order) -> Option<()> {
        let instrument = &self.book.instrument;
        let qty_lots = self.left_lots.min(maker.left_lots);
        let (notional_minor, maker_fee, taker_fee) = money(instrument, price_ticks, qty_lots)?;
        let ids = &self.engine.slots[self.book.slot as usize];
        let (last, last_execution) = match &self.trades {
            Some(trades) => (Some(trades.last), Some(trades.last_execution)),
            None => (ids.trade, ids.execution),
        };
        let slot = ids.slot;
        let trade = TradeId::next(slot, self.now, last);
        let maker_execution = ExecutionId::next(slot, self.now, last_execution);
        let taker_execution = ExecutionId::next(slot, self.now, Some(maker_execution));
        self.left_lots -= qty_lots;
        self.cum_lots += qty_lots;
        self.trades = Some(Trades {
            last: trade,
            last_execution: taker_execution,
            first_ticks: self.trades.map_or(price_ticks, |trades| trades.first_ticks),
            last_ticks: price_ticks,
        });
        let event = Event::Traded(Trade {
            instrument: instrument.id,
            trade,
            price_ticks,
            qty_lots,
            notional_minor,
            taker_side: self.order.side,
            maker: Party {
                execution: maker_execution,
                account: maker.account,
                order: maker.id,
                fee_minor: maker_fee,
                cum_lots: maker.cum_lots + qty_lots,
                left_lots: maker.left_lots - qty_lots,
            },
            taker: Party {
                execution: taker_execution,
                account: self.order.account,
                order: self.order.order,
                fee_minor: taker_fee,
                cum_lots: self.cum_lots,
                left_lots: self.left_lots,
            },
        });
        self.push(event);
        Some(())
    }
}
