//! What tests trade and when: complete values, of which a test changes fields with `..`.
//!
//! Behind the feature `fixture`, for tests and benchmarks alone.

use crate::id::{AccountId, InstrumentId, OrderId, Slot};
use crate::instrument::{AssetClass, Instrument, SessionCalendar};
use crate::order::{OrderKind, OrderStatus, Side, TimeInForce};
use crate::session::{Hours, TradingDay};
use crate::time::Micros;
use crate::update::OrderView;

/// BTC/USD: ticks of a cent, lots of 0.0001 BTC, a collar of 5 %, no fees, never closed, without a
/// reference price.
pub fn bitcoin() -> Instrument {
    Instrument {
        id: InstrumentId::next(Slot::of_symbol("BTC/USD"), Micros(0), None),
        symbol: "BTC/USD".parse().expect("a symbol"),
        class: AssetClass::Crypto,
        base: "BTC".parse().expect("an asset"),
        quote: "USD".parse().expect("an asset"),
        base_scale: 8,
        quote_scale: 8,
        tick_minor: 1_000_000,
        lot_minor: 10_000,
        collar_ppm: 50_000,
        maker_fee_ppm: 0,
        taker_fee_ppm: 0,
        calendar: SessionCalendar::Always,
        seed_reference_ticks: None,
    }
}

/// ACME: small numbers that can be added by hand. Money in cents, quantities in hundredths of a
/// share, ticks of a cent, lots of a share, a collar of 10 %, 10 basis points for the taker, a
/// reference price of 10.00.
pub fn share() -> Instrument {
    Instrument {
        id: InstrumentId::next(Slot::of_symbol("ACME"), Micros(0), None),
        symbol: "ACME".parse().expect("a symbol"),
        class: AssetClass::UsEquity,
        base: "ACME".parse().expect("an asset"),
        base_scale: 2,
        quote_scale: 2,
        tick_minor: 1,
        lot_minor: 100,
        collar_ppm: 100_000,
        taker_fee_ppm: 1_000,
        seed_reference_ticks: Some(1_000),
        ..bitcoin()
    }
}

/// A limit buy of 1 BTC at 100 USD that stands in the book, with what it may cost held.
pub fn order() -> OrderView {
    let instrument = bitcoin();
    let account = AccountId::new(1).expect("not negative");
    OrderView {
        id: OrderId::new(2).expect("not negative"),
        account,
        client_order_id: "mine".to_owned(),
        instrument: instrument.id,
        symbol: instrument.symbol,
        side: Side::Buy,
        kind: OrderKind::Limit {
            limit: 10_000_000_000,
        },
        time_in_force: TimeInForce::GoodTilCanceled,
        post_only: false,
        extended_hours: false,
        status: OrderStatus::New,
        qty_minor: 100_000_000,
        filled_minor: 0,
        filled_notional_minor: 0,
        fee_minor: 0,
        held_minor: 10_000_000_000,
        created_at: Micros(0),
        updated_at: Micros(0),
        expires_at: None,
        ended_at: None,
        end: None,
        replaces: None,
        replaced_by: None,
    }
}

/// So many trading days, each `day_us` after the one before. The phases are moments of the first
/// day: extended hours begin, the session begins, the session ends, extended hours end.
pub fn days(count: i64, day_us: i64, phases: [Micros; 4]) -> Hours {
    let day = |number: i64| {
        let [extended_open, open, close, extended_close] =
            phases.map(|moment| moment.plus_us(number * day_us));
        TradingDay {
            extended_open,
            open,
            close,
            extended_close,
        }
    };
    Hours::new((0..count).map(day).collect())
}
