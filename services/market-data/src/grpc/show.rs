//! Market data as the public API shows it: exact decimal numbers.

use prepx_domain::decimal::{div_half_even, format, power_of_ten};
use prepx_domain::market::{Bar, Level, interval};
use prepx_domain::{Instrument, Micros, Side};
use prepx_proto::market_data::v1 as wire;

use crate::app::History;
use crate::market::{MINUTE, Market, Quote, Trade, WIDTHS_US};

/// The lists of a page by symbol, and the token of the next.
pub fn history<T, W>(
    page: History<T>,
    show: impl Fn(&Instrument, &T) -> W,
) -> (impl Iterator<Item = (String, Vec<W>)>, Option<String>) {
    let next = page.next.map(|token| token.text());
    let lists = page.lists.into_iter().map(move |(instrument, items)| {
        let shown = items.iter().map(|item| show(&instrument, item)).collect();
        (instrument.symbol.to_string(), shown)
    });
    (lists, next)
}

pub fn trade(instrument: &Instrument, trade: &Trade) -> wire::Trade {
    let taker = match trade.taker {
        Side::Buy => wire::Taker::Buyer,
        Side::Sell => wire::Taker::Seller,
    };
    wire::Trade {
        timestamp: trade.at.0,
        price: price(instrument, trade.price_ticks),
        size: size(instrument, trade.qty_lots),
        id: trade.id.raw(),
        taker: taker.into(),
    }
}

pub fn quote(instrument: &Instrument, quote: &Quote) -> wire::Quote {
    wire::Quote {
        timestamp: quote.at.0,
        bid_price: price(instrument, quote.bid_ticks),
        bid_size: size(instrument, quote.bid_lots),
        ask_price: price(instrument, quote.ask_ticks),
        ask_size: size(instrument, quote.ask_lots),
    }
}

pub fn bar(instrument: &Instrument, bar: &Bar) -> wire::Bar {
    // The average price of all lots, in quote minor units.
    let average = bar
        .turnover
        .checked_mul(i128::from(instrument.tick_minor))
        .and_then(|cost| div_half_even(cost, i128::from(bar.volume_lots)));
    wire::Bar {
        timestamp: bar.start.0,
        open: price(instrument, bar.open_ticks),
        high: price(instrument, bar.high_ticks),
        low: price(instrument, bar.low_ticks),
        close: price(instrument, bar.close_ticks),
        volume: size(instrument, bar.volume_lots),
        trade_count: bar.trades as i64,
        vwap: average.map(|minor| format(minor, instrument.quote_scale)),
    }
}

/// The whole book; `None` before its first change.
pub fn order_book(market: &Market) -> Option<wire::OrderBook> {
    let level = |level: Level| wire::BookLevel {
        price: price(&market.instrument, level.price_ticks),
        size: size(&market.instrument, level.qty_lots),
    };
    Some(wire::OrderBook {
        timestamp: market.book_at?.0,
        bids: market.book.bids().map(level).collect(),
        asks: market.book.asks().map(level).collect(),
        reset: false,
        number: market.book.number(),
    })
}

pub fn snapshot(market: &Market, now: Micros) -> wire::Snapshot {
    let [.., day_us] = WIDTHS_US;
    let instrument = &market.instrument;
    let show = |shown: Bar| bar(instrument, &shown);
    let today = market
        .day()
        .filter(|day| day.start == interval(now, day_us));
    let before = if today.is_some() {
        market.day_before
    } else {
        market.day()
    };
    wire::Snapshot {
        latest_trade: market.last_trade.map(|last| trade(instrument, &last)),
        latest_quote: market.quote().map(|best| quote(instrument, &best)),
        minute_bar: market.bars[MINUTE].map(show),
        daily_bar: today.map(show),
        prev_daily_bar: before.map(show),
    }
}

fn price(instrument: &Instrument, ticks: i64) -> String {
    exact(ticks, instrument.tick_minor, instrument.quote_scale)
}

fn size(instrument: &Instrument, lots: i64) -> String {
    exact(lots, instrument.lot_minor, instrument.base_scale)
}

/// A number of steps as a decimal; it may be more minor units than 64 bits hold.
fn exact(steps: i64, step_minor: i64, scale: u32) -> String {
    let minor = i128::from(steps) * i128::from(step_minor);
    let one = i128::from(power_of_ten(scale));
    let fraction = format((minor % one) as i64, scale);
    format!("{}{}", minor / one, &fraction[1..])
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn steps_are_shown_exactly() {
        assert_eq!(exact(6_123_456, 1_000_000, 8), "61234.56");
        assert_eq!(exact(0, 1, 8), "0");
        assert_eq!(exact(3, 1, 0), "3");
        assert_eq!(exact(i64::MAX, 1_000, 3), i64::MAX.to_string());
    }
}
