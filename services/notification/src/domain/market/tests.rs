//! What listeners hear of a market, whenever this process began to follow it.

use super::*;
use crate::fixture::{instrument, level, trade};
use proptest::prelude::*;

const DAY_US: i64 = 24 * 60 * MINUTE_US;

/// Book and day after the first `count` changes.
fn fold(updates: &[MarketUpdate], count: usize) -> Whole {
    let mut book = Book::at(0);
    let mut trades = Vec::new();
    for update in &updates[..count] {
        assert_eq!(book.advance(update.number, update.number), Ok(true));
        match update.change {
            MarketChange::Level {
                side,
                price_ticks,
                qty_lots,
            } => book.set(side, price_ticks, qty_lots),
            MarketChange::Trade {
                price_ticks,
                qty_lots,
                ..
            } => trades.push((
                day::start(instrument().class, update.at),
                price_ticks,
                qty_lots,
            )),
            _ => {}
        }
    }
    let newest = trades.last().map(|trade| trade.0);
    trades.retain(|trade| Some(trade.0) == newest);
    let day = newest.map(|start| Bar {
        start,
        open_ticks: trades[0].1,
        high_ticks: trades.iter().map(|trade| trade.1).max().unwrap(),
        low_ticks: trades.iter().map(|trade| trade.1).min().unwrap(),
        close_ticks: trades[trades.len() - 1].1,
        volume_lots: trades.iter().map(|trade| trade.2).sum(),
        trades: trades.len() as u64,
        turnover: trades
            .iter()
            .map(|trade| i128::from(trade.1 * trade.2))
            .sum(),
    });
    Whole { book, day }
}

/// A change of the proptest: a trade, six hours after the one before, or a level.
fn change(number: u64, is_trade: bool, bid: bool, price: i64, qty: i64) -> MarketUpdate {
    let at_us = number as i64 * DAY_US / 4;
    match is_trade {
        true => trade(number, at_us, price, qty + 1),
        false => level(number, bid, price, qty),
    }
}

proptest! {
    /// Whenever streams begin, whenever book and day are asked for, however old what comes and however
    /// late: what is taken becomes the whole of them, and what is too old is not taken for more than the next
    /// change.
    #[test]
    fn what_began_before_is_whole_or_unknown(
        changes in prop::collection::vec((any::<bool>(), any::<bool>(), 1i64..6, 0i64..4), 1..30),
        began in 0usize..30, asked in 0usize..30, came in 0usize..30, age in 0usize..30,
    ) {
        let updates: Vec<MarketUpdate> = (1u64..).zip(&changes)
            .map(|(number, &(is_trade, bid, price, qty))| change(number, is_trade, bid, price, qty))
            .collect();
        let count = updates.len();
        let began = began.min(count - 1);
        let asked = asked.clamp(began, count);
        let came = came.clamp(asked, count);
        let shown = came - age.min(came);
        let mut market = Market::new(instrument(), Micros(0));
        for step in began..=count {
            if step > began {
                market.apply(&updates[step - 1], step > asked);
            }
            if step == asked {
                prop_assert!(market.want());
            }
            if step == came {
                let taken = market.take(fold(&updates, shown));
                // Too old for what has gone by since it was asked for.
                prop_assert_eq!(taken.is_some(), shown >= asked || (asked == began && (came == asked || shown >= began)));
            }
        }
        if let Known::All(whole) = &market.known {
            let number = whole.book.number();
            let expected = if came == count { number as usize } else { count };
            prop_assert_eq!(whole, &fold(&updates, expected));
            prop_assert!(came == count || number == count as u64);
        }
    }
}

#[test]
fn the_day_so_far_is_told_with_each_minute_that_had_trades() {
    let mut market = Market::new(instrument(), Micros(0));
    let midnight_s = 86_400_i64;
    let day = |events: Vec<MarketEvent>| -> Vec<(i64, i64, i64, u64)> {
        let day = |event| match event {
            MarketEvent::Day(day) => Some((
                day.start.0 / DAY_US,
                day.open_ticks,
                day.volume_lots,
                day.trades,
            )),
            _ => None,
        };
        events.into_iter().filter_map(day).collect()
    };
    let at = |number, second: i64, price, qty| trade(number, second * 1_000_000, price, qty);
    assert_eq!(
        day(market.apply(&at(8, midnight_s - 70, 100, 1), false)),
        []
    );
    // Nobody knows yet what was before.
    assert_eq!(day(market.close_minute(Micros(DAY_US - 60_000_000))), []);
    assert!(market.want());
    let before = Bar::of(Micros(0), 90, 5);
    let book = Book::at(8);
    market
        .take(Whole {
            book,
            day: Some(before),
        })
        .unwrap();
    assert_eq!(day(market.apply(&at(9, midnight_s - 20, 101, 2), true)), []);
    // The trade that ends the minute is of the next day.
    let next = at(10, midnight_s + 1, 102, 3);
    assert_eq!(day(market.apply(&next, true)), [(0, 90, 7, 2)]);
    let over = Micros(DAY_US + MINUTE_US);
    assert_eq!(day(market.close_minute(over)), [(1, 102, 3, 1)]);
    assert_eq!(day(market.close_minute(over)), [], "told once");
}

#[test]
fn quotes_come_when_the_best_changes_and_levels_always() {
    let mut market = Market::new(instrument(), Micros(0));
    market.want();
    market.take(Whole::at(0));
    let told = |market: &mut Market, update| {
        let events = market.apply(&update, true);
        let is_quote = |event: &MarketEvent| matches!(event, MarketEvent::Quote(_));
        (events.len(), events.iter().any(is_quote))
    };
    assert_eq!(told(&mut market, level(1, true, 99, 5)), (2, true));
    assert_eq!(told(&mut market, level(2, true, 98, 5)), (1, false));
    assert_eq!(
        told(&mut market, level(2, true, 98, 5)),
        (0, false),
        "a repeat"
    );
    assert_eq!(told(&mut market, level(3, true, 99, 0)), (2, true));
    let gap = told(&mut market, level(5, true, 97, 1));
    assert_eq!((gap, market.book()), ((0, false), None), "a gap");
}

#[test]
fn a_minute_is_told_once_and_again_when_a_late_trade_changes_it() {
    let mut market = Market::new(instrument(), Micros(MINUTE_US));
    let minutes = |events: Vec<MarketEvent>| -> Vec<(&'static str, i64, i64)> {
        let minute = |event| match event {
            MarketEvent::Bar(bar) => Some(("b", bar.start.0 / MINUTE_US, bar.volume_lots)),
            MarketEvent::UpdatedBar(bar) => Some(("u", bar.start.0 / MINUTE_US, bar.volume_lots)),
            _ => None,
        };
        events.into_iter().filter_map(minute).collect()
    };
    let mut numbers = 1..;
    let mut at = |market: &mut Market, seconds: i64, qty| {
        let number = numbers.next().expect("endless");
        minutes(market.apply(&trade(number, seconds * 1_000_000, 100, qty), false))
    };
    assert_eq!(
        at(&mut market, 59, 1),
        [],
        "the process began within this minute"
    );
    assert_eq!(at(&mut market, 60, 2), []);
    assert_eq!(at(&mut market, 119, 3), []);
    assert_eq!(market.close_minute(Micros(119_000_000)), []);
    let closed = market.close_minute(Micros(120_000_000));
    assert_eq!(minutes(closed), [("b", 1, 5)]);
    assert_eq!(market.close_minute(Micros(180_000_000)), [], "told once");
    assert_eq!(at(&mut market, 119, 4), [("u", 1, 9)]);
    assert_eq!(at(&mut market, 121, 7), []);
    assert_eq!(
        at(&mut market, 200, 8),
        [("b", 2, 7)],
        "the next trade ends it too"
    );
}
