//! Market data as the public API shows it: exact decimal numbers.

use prepx_domain::market::{Bar, Level};
use prepx_domain::{Instrument, Micros, Side, day};
use prepx_proto::convert::{self, bar, exchange_letter, price, size};
use prepx_proto::market_data::v1 as wire;

use crate::app::History;
use crate::domain::market::{MINUTE, Market, Quote, Trade};

/// The lists of a page by symbol, and the token of the next page.
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
        id: trade.id.within_slot(),
        taker: taker.into(),
        exchange: exchange_letter(instrument.class),
        conditions: convert::trade_conditions(instrument.class),
        tape: convert::tape(instrument.class),
    }
}

pub fn quote(instrument: &Instrument, quote: &Quote) -> wire::Quote {
    wire::Quote {
        timestamp: quote.at.0,
        bid_price: price(instrument, quote.bid_ticks),
        bid_size: size(instrument, quote.bid_lots),
        ask_price: price(instrument, quote.ask_ticks),
        ask_size: size(instrument, quote.ask_lots),
        bid_exchange: exchange_letter(instrument.class),
        ask_exchange: exchange_letter(instrument.class),
        conditions: convert::quote_conditions(instrument.class),
        tape: convert::tape(instrument.class),
    }
}

/// The whole book; `None` before its first change.
pub fn order_book(market: &Market) -> Option<wire::OrderBook> {
    let level = |level: Level| convert::book_level(&market.instrument, level);
    Some(wire::OrderBook {
        timestamp: market.book_at?.0,
        bids: market.book.bids().map(level).collect(),
        asks: market.book.asks().map(level).collect(),
        reset: false,
        number: market.book.number(),
    })
}

/// Book and day as of the last change; `None` before the first change of the book.
pub fn state(market: &Market) -> Option<wire::MarketState> {
    let day = market.day();
    Some(wire::MarketState {
        book: Some(order_book(market)?),
        day: day.map(|day| bar(&market.instrument, &day)),
        day_turnover: day.map_or_else(String::new, |day| day.turnover.to_string()),
    })
}

pub fn snapshot(market: &Market, now: Micros) -> wire::Snapshot {
    let instrument = &market.instrument;
    let show = |shown: Bar| bar(instrument, &shown);
    let today = market
        .day()
        .filter(|bar| bar.start == day::start(instrument.class, now));
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
