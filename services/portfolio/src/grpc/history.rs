//! The history of an account's value over gRPC: the requests, and how it is shown.

use prepx_domain::decimal::format;
use prepx_domain::{FieldError, Micros};
use prepx_proto::portfolio::v1 as wire;

use super::activity::of_date;
use crate::domain::holdings::{CURRENCY_SCALE, RATIO_SCALE};
use crate::domain::points::{Asked, Points};
use crate::domain::worth::{Point, Worth};
use crate::error::Error;

const SECOND_US: i64 = 1_000_000;

/// The time that a request asks for.
pub fn asked(request: &wire::GetPortfolioHistoryRequest) -> Result<Asked<'_>, Error> {
    let only = [
        (
            "intraday_reporting",
            &request.intraday_reporting,
            "continuous",
        ),
        ("pnl_reset", &request.pnl_reset, "no_reset"),
        ("cashflow_types", &request.cashflow_types, "NONE"),
    ];
    for (field, given, known) in only {
        if !given.is_empty() && given != known {
            let given: String = given.chars().take(40).collect();
            let message = format!("{field} is {given:?}: give {known} or leave it out");
            return Err(FieldError { field, message }.into());
        }
    }
    let mut end = request.end.map(Micros);
    if !request.date_end.is_empty() {
        if end.is_some() {
            let message = "give end or date_end, not both".to_owned();
            let field = "date_end";
            return Err(FieldError { field, message }.into());
        }
        let (_, next) = of_date("date_end", &request.date_end)?;
        end = Some(next);
    }
    Ok(Asked {
        period: &request.period,
        timeframe: &request.timeframe,
        start: request.start.map(Micros),
        end,
    })
}

pub fn show(points: &Points, worth: &Worth) -> wire::PortfolioHistory {
    let money = |minor: i64| format(minor, CURRENCY_SCALE);
    let each = |value: fn(&Point) -> i64, scale: u32| {
        let shown = worth.points.iter().map(|point| format(value(point), scale));
        shown.collect::<Vec<String>>()
    };
    let starts = worth.points.iter().map(|point| point.at.0 / SECOND_US);
    wire::PortfolioHistory {
        timestamp: starts.collect(),
        equity: each(|point| point.equity_minor, CURRENCY_SCALE),
        profit_loss: each(|point| point.profit_minor, CURRENCY_SCALE),
        profit_loss_pct: each(|point| point.profit_ratio, RATIO_SCALE),
        base_value: money(worth.base_minor),
        timeframe: points.width.name.to_owned(),
    }
}
