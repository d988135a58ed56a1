//! Orders, instruments, bars and levels as the public API shows them: one form for every service that
//! does.

use prepx_domain::decimal::{div_half_even, format, power_of_ten};
use prepx_domain::instrument::Instrument;
use prepx_domain::market::{Bar, Level};
use prepx_domain::message::{End, Refusal};
use prepx_domain::order::{OrderKind, OrderStatus, Side, TimeInForce};
use prepx_domain::update::OrderView;
use prepx_domain::view::InstrumentView;
use prepx_domain::{AssetClass, Micros};

use crate::market_data::v1 as data;
use crate::trading::v1 as wire;

/// The venue that every equity is listed at here.
const EQUITY_EXCHANGE: &str = "NASDAQ";
/// The venue of every crypto pair.
const CRYPTO_EXCHANGE: &str = "CRYPTO";
/// The letter by which market data names the venue of equities.
const EQUITY_EXCHANGE_LETTER: &str = "Q";
/// The tape of what is listed at that venue.
const EQUITY_TAPE: &str = "C";
/// The condition of a regular sale on that tape.
const REGULAR_SALE: &str = "@";
/// The condition of a regular quote on that tape.
const REGULAR_QUOTE: &str = "R";

/// The venue of an instrument.
pub const fn exchange(class: AssetClass) -> &'static str {
    match class {
        AssetClass::UsEquity => EQUITY_EXCHANGE,
        AssetClass::Crypto => CRYPTO_EXCHANGE,
    }
}

/// The letter of an instrument's venue in market data; pairs have none.
pub fn exchange_letter(class: AssetClass) -> String {
    match class {
        AssetClass::UsEquity => EQUITY_EXCHANGE_LETTER.to_owned(),
        AssetClass::Crypto => String::new(),
    }
}

/// The letter of an instrument's tape in market data; pairs have none.
pub fn tape(class: AssetClass) -> String {
    match class {
        AssetClass::UsEquity => EQUITY_TAPE.to_owned(),
        AssetClass::Crypto => String::new(),
    }
}

/// The conditions of a trade; pairs have none.
pub fn trade_conditions(class: AssetClass) -> Vec<String> {
    conditions(class, REGULAR_SALE)
}

/// The conditions of a quote; pairs have none.
pub fn quote_conditions(class: AssetClass) -> Vec<String> {
    conditions(class, REGULAR_QUOTE)
}

fn conditions(class: AssetClass, regular: &str) -> Vec<String> {
    match class {
        AssetClass::UsEquity => vec![regular.to_owned()],
        AssetClass::Crypto => Vec::new(),
    }
}

/// The class of an instrument.
pub const fn asset_class(class: AssetClass) -> wire::AssetClass {
    match class {
        AssetClass::UsEquity => wire::AssetClass::UsEquity,
        AssetClass::Crypto => wire::AssetClass::Crypto,
    }
}

/// Cost over quantity in quote minor units, for show: never stored, never computed with.
pub fn average_price_minor(cost_minor: i64, qty_minor: i64, base_scale: u32) -> Option<i64> {
    let scaled = i128::from(cost_minor).checked_mul(i128::from(power_of_ten(base_scale)))?;
    div_half_even(scaled, i128::from(qty_minor))
}

/// An instrument as traders see it.
pub fn asset(view: &InstrumentView) -> wire::Asset {
    let instrument = &view.instrument;
    let lot = format(instrument.lot_minor, instrument.base_scale);
    wire::Asset {
        id: instrument.id.to_string(),
        class: asset_class(instrument.class).into(),
        exchange: exchange(instrument.class).to_owned(),
        symbol: instrument.symbol.to_string(),
        name: instrument.symbol.to_string(),
        status: wire::AssetStatus::Active.into(),
        tradable: !view.halted,
        marginable: false,
        shortable: false,
        easy_to_borrow: false,
        fractionable: instrument.lot_minor < power_of_ten(instrument.base_scale),
        min_order_size: Some(lot.clone()),
        min_trade_increment: Some(lot),
        price_increment: Some(format(instrument.tick_minor, instrument.quote_scale)),
        attributes: Vec::new(),
    }
}

/// An order as its owner sees it.
pub fn order(view: &OrderView, instrument: &Instrument) -> wire::Order {
    let money = |minor: i64| format(minor, instrument.quote_scale);
    let quantity = |minor: i64| format(minor, instrument.base_scale);
    let average = average_price_minor(
        view.filled_notional_minor,
        view.filled_minor,
        instrument.base_scale,
    );
    let ended_as = |status: OrderStatus| match view.ended_at {
        Some(Micros(at_us)) if view.status == status => at_us,
        _ => 0,
    };
    let kind = order_type(view.kind);
    wire::Order {
        id: view.id.to_string(),
        client_order_id: view.client_order_id.clone(),
        created_at: view.created_at.0,
        updated_at: view.updated_at.0,
        submitted_at: view.created_at.0,
        filled_at: ended_as(OrderStatus::Filled),
        expired_at: ended_as(OrderStatus::Expired),
        expires_at: view.expires_at.map_or(0, |at| at.0),
        canceled_at: ended_as(OrderStatus::Canceled),
        failed_at: ended_as(OrderStatus::Rejected),
        replaced_at: ended_as(OrderStatus::Replaced),
        replaced_by: view.replaced_by.map(|id| id.to_string()),
        replaces: view.replaces.map(|id| id.to_string()),
        asset_id: view.instrument.to_string(),
        symbol: view.symbol.to_string(),
        asset_class: asset_class(instrument.class).into(),
        notional: None,
        qty: Some(quantity(view.qty_minor)),
        filled_qty: quantity(view.filled_minor),
        filled_avg_price: average.map(money),
        order_class: wire::OrderClass::Simple.into(),
        order_type: kind.into(),
        r#type: kind.into(),
        side: side(view.side).into(),
        time_in_force: time_in_force(view.time_in_force).into(),
        limit_price: view.kind.limit().map(money),
        stop_price: view.kind.stop().map(money),
        status: order_status(view.status).into(),
        extended_hours: view.extended_hours,
        legs: Vec::new(),
        trail_percent: None,
        trail_price: None,
        hwm: None,
        position_intent: intent(view.side).into(),
        post_only: view.post_only,
        reject_reason: match view.end {
            Some(End::Rejected(refusal)) => Some(refusal_reason(refusal).to_owned()),
            _ => None,
        },
    }
}

/// Which way.
pub const fn side(side: Side) -> wire::OrderSide {
    match side {
        Side::Buy => wire::OrderSide::Buy,
        Side::Sell => wire::OrderSide::Sell,
    }
}

/// Accounts hold no short positions, so a buy opens or extends and a sell closes or reduces.
const fn intent(side: Side) -> wire::PositionIntent {
    match side {
        Side::Buy => wire::PositionIntent::BuyToOpen,
        Side::Sell => wire::PositionIntent::SellToClose,
    }
}

const fn order_type(kind: OrderKind) -> wire::OrderType {
    match kind {
        OrderKind::Market => wire::OrderType::Market,
        OrderKind::Limit { .. } => wire::OrderType::Limit,
        OrderKind::Stop { .. } => wire::OrderType::Stop,
        OrderKind::StopLimit { .. } => wire::OrderType::StopLimit,
    }
}

const fn time_in_force(tif: TimeInForce) -> wire::TimeInForce {
    match tif {
        TimeInForce::Day => wire::TimeInForce::Day,
        TimeInForce::GoodTilCanceled => wire::TimeInForce::Gtc,
        TimeInForce::ImmediateOrCancel => wire::TimeInForce::Ioc,
        TimeInForce::FillOrKill => wire::TimeInForce::Fok,
    }
}

/// Where an order stands.
pub const fn order_status(status: OrderStatus) -> wire::OrderStatus {
    match status {
        OrderStatus::New => wire::OrderStatus::New,
        OrderStatus::PartiallyFilled => wire::OrderStatus::PartiallyFilled,
        OrderStatus::Filled => wire::OrderStatus::Filled,
        OrderStatus::Canceled => wire::OrderStatus::Canceled,
        OrderStatus::Expired => wire::OrderStatus::Expired,
        OrderStatus::Replaced => wire::OrderStatus::Replaced,
        OrderStatus::PendingCancel => wire::OrderStatus::PendingCancel,
        OrderStatus::PendingReplace => wire::OrderStatus::PendingReplace,
        OrderStatus::Accepted => wire::OrderStatus::Accepted,
        OrderStatus::PendingNew => wire::OrderStatus::PendingNew,
        OrderStatus::Rejected => wire::OrderStatus::Rejected,
    }
}

/// Why the market refused an order, as an upper-case word.
pub const fn refusal_reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::PostOnlyWouldTrade => "POST_ONLY_WOULD_TRADE",
        Refusal::OutsideCollar { .. } => "OUTSIDE_COLLAR",
        Refusal::Halted => "HALTED",
        Refusal::SessionClosed => "SESSION_CLOSED",
        Refusal::UnknownInstrument => "UNKNOWN_INSTRUMENT",
        Refusal::NotLiving => "NOT_LIVING",
        Refusal::QuantityTraded { .. } => "QUANTITY_TRADED",
    }
}

/// A bar; its average price is rounded half to even, to the quote asset's minor unit.
pub fn bar(instrument: &Instrument, bar: &Bar) -> data::Bar {
    // The average price of all lots, in quote minor units.
    let average = bar
        .turnover
        .checked_mul(i128::from(instrument.tick_minor))
        .and_then(|cost| div_half_even(cost, i128::from(bar.volume_lots)));
    data::Bar {
        timestamp: bar.start.0,
        open: price(instrument, bar.open_ticks),
        high: price(instrument, bar.high_ticks),
        low: price(instrument, bar.low_ticks),
        close: price(instrument, bar.close_ticks),
        volume: size(instrument, bar.volume_lots),
        trade_count: i64::try_from(bar.trades).unwrap_or(i64::MAX),
        vwap: average.map(|minor| format(minor, instrument.quote_scale)),
    }
}

/// A price level of a book.
pub fn book_level(instrument: &Instrument, level: Level) -> data::BookLevel {
    data::BookLevel {
        price: price(instrument, level.price_ticks),
        size: size(instrument, level.qty_lots),
    }
}

/// A price in ticks as a decimal number of the quote asset.
pub fn price(instrument: &Instrument, ticks: i64) -> String {
    exact(ticks, instrument.tick_minor, instrument.quote_scale)
}

/// A quantity in lots as a decimal number of the base asset.
pub fn size(instrument: &Instrument, lots: i64) -> String {
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
