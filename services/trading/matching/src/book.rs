//! One instrument: its book, its stops, and what its last trade left behind.

use prepx_domain::{ExecutionId, Instrument, Micros, Side, Slot, TradeId};

use crate::ladder::Ladder;
use crate::orders::Place;

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

    pub(crate) fn stops(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.buy_stops,
            Side::Sell => &self.sell_stops,
        }
    }

    /// Where an order of this place and side lines up.
    pub(crate) fn ladder_mut(&mut self, place: Place, side: Side) -> &mut Ladder {
        match (place, side) {
            (Place::Book, Side::Buy) => &mut self.bids,
            (Place::Book, Side::Sell) => &mut self.asks,
            (Place::Stops | Place::Queue, Side::Buy) => &mut self.buy_stops,
            (Place::Stops | Place::Queue, Side::Sell) => &mut self.sell_stops,
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
