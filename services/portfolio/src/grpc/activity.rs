//! Activities over gRPC: the requests, and how activities are shown.

use jiff::civil::Date;
use prepx_domain::decimal::{div_half_even, format};
use prepx_domain::message::Fill;
use prepx_domain::update::{Change, OrderEvent, OrderView};
use prepx_domain::view::InstrumentView;
use prepx_domain::{AccountId, Asset, FieldError, Instrument, Micros};
use prepx_proto::convert;
use prepx_proto::portfolio::v1 as wire;
use prepx_proto::trading::v1::Sort;

use super::show::AMOUNT_SCALE;
use crate::domain::activity::{Activity, Kind, Place, Query, date_of, day};
use crate::error::Error;

const PAGE_SIZE_MAX: i32 = 100;
const EXECUTED: &str = "executed";

fn invalid(field: &'static str, message: String) -> Error {
    FieldError::new(field, message).into()
}

/// The query of a request.
pub fn query(account: AccountId, request: &wire::GetActivitiesRequest) -> Result<Query, Error> {
    let page_size = request.page_size.unwrap_or(PAGE_SIZE_MAX);
    if !(1..=PAGE_SIZE_MAX).contains(&page_size) {
        let message = format!("page_size is {page_size}: it must be from 1 to {PAGE_SIZE_MAX}");
        return Err(invalid("page_size", message));
    }
    let (mut after, mut until) = (request.after.map(Micros), request.until.map(Micros));
    if !request.date.is_empty() {
        let (first, next) = of_date("date", &request.date)?;
        // A day includes its first moment, but not that of the next day.
        after = after.max(Some(first.plus_us(-1)));
        let last = next.plus_us(-1);
        until = Some(until.map_or(last, |until| until.min(last)));
    }
    let past = match request.page_token.as_str() {
        "" => None,
        token => Some(Place::of_id(token).ok_or_else(|| {
            let message =
                format!("page_token {token:?} is not the id of the last activity of a page");
            invalid("page_token", message)
        })?),
    };
    Ok(Query {
        account,
        kinds: kinds(request)?,
        after,
        until,
        newest_first: request.direction() != Sort::Asc,
        past,
        limit: page_size.unsigned_abs(),
    })
}

/// The times from the beginning of one day until before the beginning of the day after the other, UTC.
pub(super) fn of_date(field: &'static str, text: &str) -> Result<(Micros, Micros), Error> {
    let date: Option<Date> = text.parse().ok();
    date.map(day).ok_or_else(|| {
        let message = format!("{field} {text:?} is not a day such as 2024-01-02");
        invalid(field, message)
    })
}

fn kinds(request: &wire::GetActivitiesRequest) -> Result<Vec<Kind>, Error> {
    let one = request.activity_type();
    let (listed, category) = (&request.activity_types, request.category());
    let given = [
        one != wire::ActivityType::Unspecified,
        !listed.is_empty(),
        category != wire::ActivityCategory::Unspecified,
    ];
    if given.iter().filter(|given| **given).count() > 1 {
        let message = "give activity_type, activity_types or category, not several of them";
        return Err(invalid("activity_types", message.into()));
    }
    let of_category = |kind: &Kind| match category {
        wire::ActivityCategory::Unspecified => true,
        wire::ActivityCategory::TradeActivity => *kind == Kind::Fill,
        wire::ActivityCategory::NonTradeActivity => *kind != Kind::Fill,
    };
    if one != wire::ActivityType::Unspecified {
        return Ok(kinds_of(one).to_vec());
    }
    if listed.is_empty() {
        return Ok(Kind::ALL.into_iter().filter(of_category).collect());
    }
    let mut kinds = Vec::new();
    for name in listed.split(',').map(str::trim) {
        let named = format!("ACTIVITY_TYPE_{}", name.to_ascii_uppercase());
        let named = wire::ActivityType::from_str_name(&named)
            .filter(|named| *named != wire::ActivityType::Unspecified);
        let named = named.ok_or_else(|| {
            let message =
                format!("activity_types has {name:?}: there are FILL, CSD, CSW, FEE, CFEE, JNLS");
            invalid("activity_types", message)
        })?;
        kinds.extend(kinds_of(named));
    }
    // Each kind once: as many as there are kinds mean all of them.
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

/// The kinds behind a type that clients know; for most types none.
const fn kinds_of(asked: wire::ActivityType) -> &'static [Kind] {
    match asked {
        wire::ActivityType::Fill => &[Kind::Fill],
        wire::ActivityType::Csd => &[Kind::CashDeposit],
        wire::ActivityType::Csw => &[Kind::CashWithdrawal],
        wire::ActivityType::Trans => &[Kind::CashDeposit, Kind::CashWithdrawal],
        wire::ActivityType::Fee => &[Kind::Fee],
        wire::ActivityType::Cfee => &[Kind::CryptoFee],
        wire::ActivityType::Jnls | wire::ActivityType::Jnl => &[Kind::Journal],
        _ => &[],
    }
}

const fn wire_of(kind: Kind) -> wire::ActivityType {
    match kind {
        Kind::Fill => wire::ActivityType::Fill,
        Kind::CashDeposit => wire::ActivityType::Csd,
        Kind::CashWithdrawal => wire::ActivityType::Csw,
        Kind::Fee => wire::ActivityType::Fee,
        Kind::CryptoFee => wire::ActivityType::Cfee,
        Kind::Journal => wire::ActivityType::Jnls,
    }
}

/// An activity as its owner sees it. `None` if its instrument is unknown, which does not happen:
/// definitions are never removed.
pub fn show(activity: &Activity, instruments: &[InstrumentView]) -> Option<wire::Activity> {
    let place = &activity.place;
    let base = wire::Activity {
        id: place.id(),
        account_id: activity.update.account.to_string(),
        activity_type: wire_of(place.kind).into(),
        ..wire::Activity::default()
    };
    match &activity.update.change {
        Change::Order {
            order,
            event: OrderEvent::Fill { fill, .. },
        } => {
            let known = instruments
                .iter()
                .find(|view| view.instrument.id == fill.instrument)?;
            Some(match place.kind {
                Kind::Fill => trade(base, place, order, fill, &known.instrument),
                _ => fee(base, place, fill, &known.instrument),
            })
        }
        Change::Deposited {
            asset,
            amount_minor,
            ..
        } => Some(moved(base, place, *asset, *amount_minor)),
        Change::Withdrawn {
            asset,
            amount_minor,
            ..
        } => Some(moved(base, place, *asset, -*amount_minor)),
        _ => None,
    }
}

fn trade(
    base: wire::Activity,
    place: &Place,
    order: &OrderView,
    fill: &Fill,
    instrument: &Instrument,
) -> wire::Activity {
    let quantity = |minor: i64| format(minor, instrument.base_scale);
    let cum_minor = fill.cum_lots * instrument.lot_minor;
    let ended = cum_minor >= order.qty_minor;
    wire::Activity {
        transaction_time: place.at.0,
        r#type: if ended {
            wire::FillType::Fill.into()
        } else {
            wire::FillType::PartialFill.into()
        },
        price: Some(format(
            fill.price_ticks * instrument.tick_minor,
            instrument.quote_scale,
        )),
        qty: Some(quantity(fill.qty_lots * instrument.lot_minor)),
        side: convert::side(fill.side).into(),
        symbol: Some(instrument.symbol.to_string()),
        leaves_qty: Some(quantity(order.qty_minor - cum_minor)),
        order_id: Some(fill.order.to_string()),
        cum_qty: Some(quantity(cum_minor)),
        order_status: convert::order_status(order.status).into(),
        ..base
    }
}

fn fee(
    base: wire::Activity,
    place: &Place,
    fill: &Fill,
    instrument: &Instrument,
) -> wire::Activity {
    let side = if fill.maker { "maker" } else { "taker" };
    let rate_ppm = div_half_even(
        i128::from(fill.fee_minor) * 1_000_000,
        i128::from(fill.notional_minor),
    );
    wire::Activity {
        date: date_of(place.at),
        net_amount: Some(format(-fill.fee_minor, instrument.quote_scale)),
        symbol: Some(instrument.symbol.to_string()),
        description: Some(format!(
            "{side} fee of {} ppm on order {}",
            rate_ppm.unwrap_or(0),
            fill.order
        )),
        status: Some(EXECUTED.to_owned()),
        ..base
    }
}

fn moved(base: wire::Activity, place: &Place, asset: Asset, amount_minor: i64) -> wire::Activity {
    let amount = format(amount_minor, AMOUNT_SCALE);
    let cash = place.kind != Kind::Journal;
    wire::Activity {
        date: date_of(place.at),
        net_amount: Some(if cash { amount.clone() } else { "0".to_owned() }),
        qty: (!cash).then_some(amount),
        symbol: (!cash).then(|| asset.to_string()),
        status: Some(EXECUTED.to_owned()),
        ..base
    }
}
