//! Messages of order entry as the application takes them.

use jiff::civil::Date;
use prepx_domain::{AssetClass, Code, Micros, OrderId, SessionCalendar, Side, TimeInForce};
use prepx_proto::trading::v1 as wire;
use prepx_runtime::status::{self, invalid};
use tonic::Status;

use crate::app::{OrderQuery, QueryStatus};
use crate::domain::form::{InstrumentForm, Intent, Lifetime, OrderForm, ReplaceForm, Type};

/// What a listing shows at most.
const LIMIT_MAX: i32 = 500;
/// What it shows when nothing is said.
const LIMIT_DEFAULT: i32 = 50;

/// An order's id from its UUID. One that is not an order's UUID is an order that does not exist.
pub fn order_id(text: &str) -> Result<OrderId, Status> {
    let order = OrderId::parse("order_id", text);
    let order = order.map_err(|wrong| invalid(wrong.field, wrong.message))?;
    order.ok_or_else(|| {
        let message = format!("order not found for {text}");
        status::of(&status::Error::new(
            Code::NotFound,
            "UNKNOWN_ORDER",
            message,
        ))
    })
}

pub fn side(side: wire::OrderSide) -> Option<Side> {
    match side {
        wire::OrderSide::Unspecified => None,
        wire::OrderSide::Buy => Some(Side::Buy),
        wire::OrderSide::Sell => Some(Side::Sell),
    }
}

pub fn lifetime(tif: wire::TimeInForce) -> Option<Lifetime> {
    Some(match tif {
        wire::TimeInForce::Unspecified => return None,
        wire::TimeInForce::Day => Lifetime::Known(TimeInForce::Day),
        wire::TimeInForce::Gtc => Lifetime::Known(TimeInForce::GoodTilCanceled),
        wire::TimeInForce::Ioc => Lifetime::Known(TimeInForce::ImmediateOrCancel),
        wire::TimeInForce::Fok => Lifetime::Known(TimeInForce::FillOrKill),
        wire::TimeInForce::Opg => Lifetime::Auction("opg"),
        wire::TimeInForce::Cls => Lifetime::Auction("cls"),
    })
}

fn order_type(r#type: wire::OrderType) -> Option<Type> {
    Some(match r#type {
        wire::OrderType::Unspecified => return None,
        wire::OrderType::Market => Type::Market,
        wire::OrderType::Limit => Type::Limit,
        wire::OrderType::Stop => Type::Stop,
        wire::OrderType::StopLimit => Type::StopLimit,
        wire::OrderType::TrailingStop => Type::TrailingStop,
    })
}

fn intent(intent: wire::PositionIntent) -> Option<Intent> {
    Some(match intent {
        wire::PositionIntent::Unspecified => return None,
        wire::PositionIntent::BuyToOpen => Intent::BuyToOpen,
        wire::PositionIntent::SellToClose => Intent::SellToClose,
        wire::PositionIntent::BuyToClose => Intent::Short("buy_to_close"),
        wire::PositionIntent::SellToOpen => Intent::Short("sell_to_open"),
    })
}

/// The field that makes an order more than a simple one.
fn not_simple(request: &wire::SubmitOrderRequest) -> Option<&'static str> {
    let class = request.order_class();
    let simple = matches!(
        class,
        wire::OrderClass::Unspecified | wire::OrderClass::Simple
    );
    [
        ("order_class", !simple),
        ("take_profit", request.take_profit.is_some()),
        ("stop_loss", request.stop_loss.is_some()),
        ("legs", !request.legs.is_empty()),
        ("trail_price", request.trail_price.is_some()),
        ("trail_percent", request.trail_percent.is_some()),
    ]
    .into_iter()
    .find_map(|(field, given)| given.then_some(field))
}

pub fn order_form(request: &wire::SubmitOrderRequest) -> OrderForm<'_> {
    OrderForm {
        qty: request.qty.as_deref(),
        notional: request.notional.as_deref(),
        side: side(request.side()),
        r#type: order_type(request.r#type()),
        time_in_force: lifetime(request.time_in_force()),
        limit_price: request.limit_price.as_deref(),
        stop_price: request.stop_price.as_deref(),
        not_simple: not_simple(request),
        intent: intent(request.position_intent()),
        extended_hours: request.extended_hours.unwrap_or(false),
        post_only: request.post_only.unwrap_or(false),
        client_order_id: &request.client_order_id,
    }
}

pub fn replace_form(request: &wire::ReplaceOrderRequest) -> ReplaceForm<'_> {
    ReplaceForm {
        qty: request.qty.as_deref(),
        limit_price: request.limit_price.as_deref(),
        stop_price: request.stop_price.as_deref(),
        trail: request.trail.as_deref(),
        time_in_force: lifetime(request.time_in_force()),
        client_order_id: &request.client_order_id,
    }
}

pub fn order_query(request: &wire::GetOrdersRequest) -> Result<OrderQuery, Status> {
    let limit = request.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let message = format!("limit is {limit}: it must be from 1 to {LIMIT_MAX}");
        return Err(invalid("limit", message));
    }
    Ok(OrderQuery {
        status: match request.status() {
            wire::QueryOrderStatus::Unspecified | wire::QueryOrderStatus::Open => QueryStatus::Open,
            wire::QueryOrderStatus::Closed => QueryStatus::Closed,
            wire::QueryOrderStatus::All => QueryStatus::All,
        },
        limit: usize::try_from(limit).unwrap_or(1),
        after: request.after.map(Micros),
        until: request.until.map(Micros),
        newest_first: request.direction() != wire::Sort::Asc,
        side: side(request.side()),
        symbols: symbols(&request.symbols),
    })
}

/// Symbols separated by commas.
pub fn symbols(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The classes of a list, of which some do not occur here; `None` for all.
pub fn classes(text: &str) -> Result<Option<Vec<AssetClass>>, Status> {
    let mut classes = Vec::new();
    for name in text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        match name {
            "all" => return Ok(None),
            "us_equity" => classes.push(AssetClass::UsEquity),
            "crypto" => classes.push(AssetClass::Crypto),
            "us_option" | "crypto_perp" => {}
            _ => {
                let message = format!(
                    "asset_class has {name:?}: give us_equity, crypto, us_option, crypto_perp or all"
                );
                return Err(invalid("asset_class", message));
            }
        }
    }
    Ok((!text.is_empty()).then_some(classes))
}

/// The days from `start` to `end`; what is absent is the end of what is known.
pub fn days(
    request: &wire::GetCalendarRequest,
    known: (Date, Date),
) -> Result<(Date, Date), Status> {
    let day = |field: &'static str, text: &str, otherwise: Date| match text {
        "" => Ok(otherwise),
        text => text.parse::<Date>().map_err(|_| {
            invalid(
                field,
                format!("{field} {text:?} is not a day such as 2024-01-02"),
            )
        }),
    };
    let first = day("start", &request.start, known.0)?.clamp(known.0, known.1);
    let last = day("end", &request.end, known.1)?.clamp(known.0, known.1);
    if last < first {
        return Err(invalid(
            "end",
            format!("end {last} is before start {first}"),
        ));
    }
    Ok((first, last))
}

pub fn instrument_form(request: &wire::AddInstrumentRequest) -> InstrumentForm<'_> {
    InstrumentForm {
        symbol: &request.symbol,
        class: match request.class() {
            wire::AssetClass::Unspecified
            | wire::AssetClass::UsOption
            | wire::AssetClass::CryptoPerp => None,
            wire::AssetClass::UsEquity => Some(AssetClass::UsEquity),
            wire::AssetClass::Crypto => Some(AssetClass::Crypto),
        },
        quote: &request.quote,
        tick_size: &request.tick_size,
        lot_size: &request.lot_size,
        calendar: match request.calendar() {
            wire::TradingCalendar::Unspecified => None,
            wire::TradingCalendar::Always => Some(SessionCalendar::Always),
            wire::TradingCalendar::Nyse => Some(SessionCalendar::Nyse),
        },
        reference_price: request.reference_price.as_deref(),
    }
}
