//! What tests are made of.

use prepx_domain::update::{MarketChange, MarketUpdate};
use prepx_domain::{Instrument, InstrumentId, Micros, Side, TradeId, fixture};

/// BTC/USD in cents and hundredths.
pub fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId::new(1).unwrap(),
        lot_minor: 1_000_000,
        ..fixture::bitcoin()
    }
}

/// A level with a new size.
pub fn level(number: u64, is_bid: bool, price_ticks: i64, qty_lots: i64) -> MarketUpdate {
    let side = if is_bid { Side::Buy } else { Side::Sell };
    let change = MarketChange::Level {
        side,
        price_ticks,
        qty_lots,
    };
    update(number, 0, change)
}

/// A trade.
pub fn trade(number: u64, at_us: i64, price_ticks: i64, qty_lots: i64) -> MarketUpdate {
    let change = MarketChange::Trade {
        trade: TradeId::new(7).unwrap(),
        price_ticks,
        qty_lots,
        taker: Side::Buy,
    };
    update(number, at_us, change)
}

fn update(number: u64, at_us: i64, change: MarketChange) -> MarketUpdate {
    MarketUpdate {
        instrument: InstrumentId::new(1).unwrap(),
        number,
        at: Micros(at_us),
        change,
    }
}
