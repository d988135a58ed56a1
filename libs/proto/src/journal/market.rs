//! Instruments, and what the matching stage tells of the market.

use prepx_domain::Micros;
use prepx_domain::instrument::Instrument;
use prepx_domain::update::{MarketChange, MarketUpdate};

use super::value::{Choice as _, choice, id, pack, present, symbol, unpack};
use super::{Error, v1};

impl From<&Instrument> for v1::Instrument {
    fn from(instrument: &Instrument) -> Self {
        v1::Instrument {
            id: instrument.id.raw(),
            symbol: instrument.symbol.as_str().to_owned(),
            class: instrument.class.number(),
            base: pack(instrument.base),
            quote: pack(instrument.quote),
            base_scale: instrument.base_scale,
            quote_scale: instrument.quote_scale,
            tick_minor: instrument.tick_minor,
            lot_minor: instrument.lot_minor,
            collar_ppm: instrument.collar_ppm,
            maker_fee_ppm: instrument.maker_fee_ppm,
            taker_fee_ppm: instrument.taker_fee_ppm,
            calendar: instrument.calendar.number(),
            seed_reference_ticks: instrument.seed_reference_ticks,
        }
    }
}

impl TryFrom<v1::Instrument> for Instrument {
    type Error = Error;

    fn try_from(wire: v1::Instrument) -> Result<Self, Error> {
        Ok(Instrument {
            id: id("Instrument.id", wire.id)?,
            symbol: symbol("Instrument.symbol", &wire.symbol)?,
            class: choice("Instrument.class", wire.class)?,
            base: unpack("Instrument.base", wire.base)?,
            quote: unpack("Instrument.quote", wire.quote)?,
            base_scale: wire.base_scale,
            quote_scale: wire.quote_scale,
            tick_minor: wire.tick_minor,
            lot_minor: wire.lot_minor,
            collar_ppm: wire.collar_ppm,
            maker_fee_ppm: wire.maker_fee_ppm,
            taker_fee_ppm: wire.taker_fee_ppm,
            calendar: choice("Instrument.calendar", wire.calendar)?,
            seed_reference_ticks: wire.seed_reference_ticks,
        })
    }
}

impl From<&MarketUpdate> for v1::MarketUpdate {
    fn from(update: &MarketUpdate) -> Self {
        use v1::market_update::Change as Wire;
        let change = match &update.change {
            MarketChange::Defined(instrument) => Wire::Defined((&**instrument).into()),
            MarketChange::Halted(halted) => Wire::Halted(*halted),
            &MarketChange::Trade {
                trade,
                price_ticks,
                qty_lots,
                taker,
            } => Wire::Trade(v1::MarketTrade {
                trade: trade.raw(),
                price_ticks,
                qty_lots,
                taker: taker.number(),
            }),
            &MarketChange::Level {
                side,
                price_ticks,
                qty_lots,
            } => Wire::Level(v1::Level {
                side: side.number(),
                price_ticks,
                qty_lots,
            }),
        };
        v1::MarketUpdate {
            instrument: update.instrument.raw(),
            number: update.number,
            at_us: update.at.0,
            change: Some(change),
        }
    }
}

impl TryFrom<v1::MarketUpdate> for MarketUpdate {
    type Error = Error;

    fn try_from(wire: v1::MarketUpdate) -> Result<Self, Error> {
        use v1::market_update::Change as Wire;
        let change = match present("MarketUpdate.change", wire.change)? {
            Wire::Defined(instrument) => MarketChange::Defined(Box::new(instrument.try_into()?)),
            Wire::Halted(halted) => MarketChange::Halted(halted),
            Wire::Trade(trade) => MarketChange::Trade {
                trade: id("MarketTrade.trade", trade.trade)?,
                price_ticks: trade.price_ticks,
                qty_lots: trade.qty_lots,
                taker: choice("MarketTrade.taker", trade.taker)?,
            },
            Wire::Level(level) => MarketChange::Level {
                side: choice("Level.side", level.side)?,
                price_ticks: level.price_ticks,
                qty_lots: level.qty_lots,
            },
        };
        Ok(MarketUpdate {
            instrument: id("MarketUpdate.instrument", wire.instrument)?,
            number: wire.number,
            at: Micros(wire.at_us),
            change,
        })
    }
}
