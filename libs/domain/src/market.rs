//! What a follower builds from a market's numbered changes: the book by price levels, and bars.
//!
//! Owns how changes are applied and how a missing one is noticed. Refuses: money, which the instrument
//! computes, and any notion of now.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;

use crate::order::Side;
use crate::time::Micros;

/// A minute in microseconds.
pub const MINUTE_US: i64 = 60_000_000;

/// A change is missing: what is known of the market is no longer true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("update {expected} is missing: {found} came")]
pub struct Gap {
    /// The number that should have come.
    pub expected: u64,
    /// The number that came.
    pub found: u64,
}

/// A price level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// In ticks.
    pub price_ticks: i64,
    /// Everything that is offered there, in lots; never zero.
    pub qty_lots: i64,
}

/// The book of one instrument by price levels, as of a numbered change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    number: u64,
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

impl Book {
    /// An empty book as of change `number`; a new market is at 0.
    pub fn at(number: u64) -> Book {
        Book {
            number,
            ..Book::default()
        }
    }

    /// The last change that it has taken note of.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Moves on over the changes `first..=last`. `false` when all of them were there before and
    /// must be skipped.
    ///
    /// # Errors
    /// When a change before `first` is missing. The book stays as it was and must be made anew.
    pub const fn advance(&mut self, first: u64, last: u64) -> Result<bool, Gap> {
        let expected = self.number.saturating_add(1);
        if first > expected {
            let found = first;
            return Err(Gap { expected, found });
        }
        if last < expected {
            return Ok(false);
        }
        self.number = last;
        Ok(true)
    }

    /// Gives a level its new size; zero takes it away.
    pub fn set(&mut self, side: Side, price_ticks: i64, qty_lots: i64) {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if qty_lots == 0 {
            levels.remove(&price_ticks);
        } else {
            levels.insert(price_ticks, qty_lots);
        }
    }

    /// The highest bid or the lowest ask.
    pub fn best(&self, side: Side) -> Option<Level> {
        let best = match side {
            Side::Buy => self.bids.last_key_value(),
            Side::Sell => self.asks.first_key_value(),
        };
        best.map(level)
    }

    /// All bids, highest first.
    pub fn bids(&self) -> impl Iterator<Item = Level> {
        self.bids.iter().rev().map(level)
    }

    /// All asks, lowest first.
    pub fn asks(&self) -> impl Iterator<Item = Level> {
        self.asks.iter().map(level)
    }
}

const fn level((&price_ticks, &qty_lots): (&i64, &i64)) -> Level {
    Level {
        price_ticks,
        qty_lots,
    }
}

/// The trades of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// When the interval begins.
    pub start: Micros,
    /// First price, in ticks.
    pub open_ticks: i64,
    /// Highest price, in ticks.
    pub high_ticks: i64,
    /// Lowest price, in ticks.
    pub low_ticks: i64,
    /// Last price, in ticks.
    pub close_ticks: i64,
    /// Quantity traded, in lots.
    pub volume_lots: i64,
    /// How many trades.
    pub trades: u64,
    /// Sum of price × quantity, in ticks × lots.
    pub turnover: i128,
}

impl Bar {
    /// The bar of an interval with one trade.
    pub fn of(start: Micros, price_ticks: i64, qty_lots: i64) -> Bar {
        Bar {
            start,
            open_ticks: price_ticks,
            high_ticks: price_ticks,
            low_ticks: price_ticks,
            close_ticks: price_ticks,
            volume_lots: qty_lots,
            trades: 1,
            turnover: i128::from(price_ticks).saturating_mul(i128::from(qty_lots)),
        }
    }

    /// Adds what was traded after everything that is in it; its start stays.
    pub fn add(&mut self, later: &Bar) {
        self.high_ticks = self.high_ticks.max(later.high_ticks);
        self.low_ticks = self.low_ticks.min(later.low_ticks);
        self.close_ticks = later.close_ticks;
        self.volume_lots = self.volume_lots.saturating_add(later.volume_lots);
        self.trades = self.trades.saturating_add(later.trades);
        self.turnover = self.turnover.saturating_add(later.turnover);
    }
}

/// The start of the interval of `width_us` that holds a moment, counted from 1970.
pub const fn interval(at: Micros, width_us: i64) -> Micros {
    match at.0.checked_rem_euclid(width_us) {
        Some(past) => Micros(at.0.saturating_sub(past)),
        None => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_book_has_its_best_first_and_forgets_empty_levels() {
        let mut book = Book::default();
        for (side, price, qty) in [
            (Side::Buy, 99, 5),
            (Side::Buy, 98, 7),
            (Side::Sell, 102, 3),
            (Side::Sell, 101, 1),
            (Side::Sell, 101, 0),
            (Side::Buy, 98, 6),
        ] {
            book.set(side, price, qty);
        }
        let shown = |level: Level| (level.price_ticks, level.qty_lots);
        assert_eq!(
            book.bids().map(shown).collect::<Vec<_>>(),
            [(99, 5), (98, 6)]
        );
        assert_eq!(book.asks().map(shown).collect::<Vec<_>>(), [(102, 3)]);
        assert_eq!(book.best(Side::Sell).map(shown), Some((102, 3)));
    }

    #[test]
    fn a_repeat_is_skipped_and_a_gap_is_an_error() {
        let mut book = Book::at(4);
        assert_eq!(book.advance(5, 5), Ok(true));
        assert_eq!(book.advance(3, 5), Ok(false));
        // A range may begin with what was there before.
        assert_eq!(book.advance(4, 9), Ok(true));
        let gap = Gap {
            expected: 10,
            found: 11,
        };
        assert_eq!(book.advance(11, 12), Err(gap));
        assert_eq!(book.number(), 9);
    }

    #[test]
    fn intervals_begin_at_whole_widths() {
        assert_eq!(interval(Micros(119_999_999), MINUTE_US), Micros(60_000_000));
        assert_eq!(interval(Micros(-1), MINUTE_US), Micros(-60_000_000));
    }

    proptest! {
        /// However trades are cut into neighbouring bars, the bars add up to the same.
        #[test]
        fn bars_add_up(trades in prop::collection::vec((1i64..1_000, 1i64..1_000), 2..40), cut in 1usize..39) {
            let fold = |trades: &[(i64, i64)]| {
                let mut bars = trades.iter().map(|&(price, qty)| Bar::of(Micros(0), price, qty));
                let first = bars.next().expect("not empty");
                bars.fold(first, |mut all, bar| { all.add(&bar); all })
            };
            let whole = fold(&trades);
            let cut = cut.min(trades.len() - 1);
            let mut parts = fold(&trades[..cut]);
            parts.add(&fold(&trades[cut..]));
            prop_assert_eq!(parts, whole);
            prop_assert_eq!(whole.high_ticks, trades.iter().map(|t| t.0).max().expect("not empty"));
            prop_assert_eq!(whole.turnover, trades.iter().map(|t| i128::from(t.0 * t.1)).sum::<i128>());
            prop_assert_eq!((whole.open_ticks, whole.close_ticks), (trades[0].0, trades[trades.len() - 1].0));
        }
    }
}
