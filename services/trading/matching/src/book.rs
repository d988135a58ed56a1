//! One instrument: its book, its stops, and what its last trade left behind.

use prepx_domain::{ExecutionId, Instrument, Micros, Side, Slot, TradeId};

use crate::ladder::Ladder;

/// One instrument's part of the state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Book {
    pub(crate) instrument: Instrument,
    pub(crate) halted: bool,
    /// The last trade, in ticks.
    pub(crate) last_ticks: Option<i64>,
    /// What account partitions know as the reference price, in ticks.
    pub(crate) reference_ticks: Option<i64>,
    /// When they were last told.
    pub(crate) reference_at: Micros,
    /// How many market updates there have been.
    pub(crate) updates: u64,
    /// The ids of this book's slot, in `Engine::slots`.
    pub(crate) slot: u32,
    bids: Ladder,
    asks: Ladder,
    buy_stops: Ladder,
    sell_stops: Ladder,
}

/// The last ids that were allotted in a slot, which several instruments may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotIds {
    /// The slot.
    pub slot: Slot,
    /// The last trade.
    pub trade: Option<TradeId>,
    /// The last execution.
    pub execution: Option<ExecutionId>,
}

impl Book {
    pub(crate) fn new(instrument: Instrument, slot: u32) -> Book {
        Book {
            instrument,
            halted: false,
            last_ticks: None,
            reference_ticks: instrument.seed_reference_ticks,
            reference_at: Micros(0),
            updates: 0,
            slot,
            bids: Ladder::EMPTY,
            asks: Ladder::EMPTY,
            buy_stops: Ladder::EMPTY,
            sell_stops: Ladder::EMPTY,
        }
    }

    pub(crate) fn orders(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    pub(crate) fn orders_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    pub(crate) fn stops(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.buy_stops,
            Side::Sell => &self.sell_stops,
        }
    }

    pub(crate) fn stops_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.buy_stops,
            Side::Sell => &mut self.sell_stops,
        }
    }

    /// The level of `side` that trades first.
    pub(crate) fn best(&self, side: Side) -> u32 {
        match side {
            Side::Buy => self.bids.highest,
            Side::Sell => self.asks.lowest,
        }
    }
}
