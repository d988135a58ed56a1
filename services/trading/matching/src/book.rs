//! One instrument: its book, its stops, and what its last trade left behind.

use prepx_domain::{ExecutionId, Instrument, Micros, SessionPhase, Side, Slot, TradeId};

use crate::fifo::Fifo;
use crate::ladder::Ladder;
use crate::orders::{PARKED, Place};

/// One instrument's part of the state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Book {
    pub(crate) instrument: Instrument,
    pub(crate) halted: bool,
    /// Which orders trade.
    pub(crate) phase: SessionPhase,
    /// Until when that is so. Between then and the timer that sees it nothing trades.
    pub(crate) phase_until: Micros,
    /// Until when every order that arrives reaches the book at once.
    pub(crate) continuous_until: Micros,
    /// The last trade, in ticks.
    pub(crate) last_ticks: Option<i64>,
    /// The reference price that account partitions have, in ticks.
    pub(crate) reference_ticks: Option<i64>,
    /// When it was last sent.
    pub(crate) reference_at: Micros,
    /// How many market updates there have been.
    pub(crate) updates: u64,
    /// The ids of this book's slot, in `Engine::slots`.
    pub(crate) slot: u32,
    /// Bids, asks, buy stops, sell stops.
    ladders: [Ladder; 4],
    /// The orders of each place in [`PARKED`], in order of arrival.
    pub(crate) parked: [Fifo; PARKED.len()],
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
            // Its first session event says which it is; until then nothing trades.
            phase: SessionPhase::Closed,
            phase_until: Micros(i64::MIN),
            continuous_until: Micros(i64::MIN),
            last_ticks: None,
            reference_ticks: instrument.seed_reference_ticks,
            reference_at: Micros(0),
            updates: 0,
            slot,
            ladders: [Ladder::EMPTY; 4],
            parked: [Fifo::EMPTY; PARKED.len()],
        }
    }

    /// The next parked order to reach the book, if the session lets it and nobody stops it.
    pub(crate) fn next_to_enter(&self) -> Option<u32> {
        let admitted = match self.phase {
            SessionPhase::Closed => 0,
            SessionPhase::Extended => 1,
            SessionPhase::Regular => PARKED.len(),
        };
        let mut queues = self.parked[..admitted].iter();
        let queue = queues.find(|queue| !queue.is_empty())?;
        (!self.halted).then_some(queue.head)
    }

    /// Whether the book has to look at the session before it takes an order.
    fn has_parked(&self) -> bool {
        self.parked.iter().any(|queue| !queue.is_empty())
    }

    /// Works out again until when orders reach the book at once.
    pub(crate) fn look_at_session(&mut self) {
        let continuous = self.phase == SessionPhase::Regular && !self.has_parked();
        self.continuous_until = if continuous {
            self.phase_until
        } else {
            Micros(i64::MIN)
        };
    }

    /// Where an order of this place and side lines up: what comes first has the smallest key.
    pub(crate) fn ladder(&self, place: Place, side: Side) -> &Ladder {
        &self.ladders[ladder_index(place, side)]
    }

    /// Where an order of this place and side lines up, to change it.
    pub(crate) fn ladder_mut(&mut self, place: Place, side: Side) -> &mut Ladder {
        &mut self.ladders[ladder_index(place, side)]
    }
}

fn ladder_index(place: Place, side: Side) -> usize {
    (usize::from(place != Place::Book) << 1) | usize::from(side == Side::Sell)
}

/// The key of a price on the ladder of orders of this side, and the price of a key: bids are best
/// when high, asks when low.
pub(crate) fn book_key(side: Side, ticks: i64) -> i64 {
    // No branch: the side of the next order is anybody's guess.
    let sign = 1 - 2 * i64::from(side == Side::Buy);
    ticks * sign
}

/// The key of a stop price on the ladder of stops of this side, and the stop price of a key: a
/// rising price reaches the lowest buy stop first, a falling one the highest sell stop.
pub(crate) fn stop_key(side: Side, ticks: i64) -> i64 {
    book_key(side.opposite(), ticks)
}
