//! Instruments, and what the matching stage tells of the market.

use prepx_domain::instrument::Instrument;
use prepx_domain::update::{MarketChange, MarketUpdate};

use super::v1;
use crate::{message, oneof};

message! {
    Instrument = Instrument {
        id, symbol, class, base, quote, base_scale, quote_scale, tick_minor, lot_minor, collar_ppm,
        maker_fee_ppm, taker_fee_ppm, calendar, seed_reference_ticks
    }
}

message! { MarketUpdate = MarketUpdate { instrument, number, change; at as at_us } }

oneof! {
    MarketChange = MarketUpdate.change: market_update::Change {
        Defined(instrument) = Defined,
        Halted(halted) = Halted,
        Trade { trade, price_ticks, qty_lots, taker } = Trade(MarketTrade),
        Level { side, price_ticks, qty_lots } = Level(Level),
    }
}
