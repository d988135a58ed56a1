//! Accounts, positions and transfers as the public API shows them.

use prepx_domain::ascii::without_slash;
use prepx_domain::decimal::format;
use prepx_domain::{Asset, Instrument};
use prepx_proto::convert;
use prepx_proto::portfolio::v1 as wire;

use crate::app::{Closed, LastEquity};
use crate::audit::{Audit, Counts, Total};
use crate::domain::activity::date_of;
use crate::domain::holdings::{CURRENCY, CURRENCY_SCALE, Gain, Holdings, Position, RATIO_SCALE};
use crate::domain::transfer::{Direction, Transfer};

/// Decimal places of the amounts of transfers.
pub const AMOUNT_SCALE: u32 = 8;

pub fn account(holdings: &Holdings, last: &LastEquity) -> wire::Account {
    let money = |minor: i64| format(minor, CURRENCY_SCALE);
    let buying_power = money(holdings.buying_power_minor);
    let (positions, equity) = (
        money(holdings.positions_minor()),
        money(holdings.equity_minor()),
    );
    let none = || "0".to_owned();
    let id = holdings.account.account;
    wire::Account {
        id: id.to_string(),
        account_number: id.raw().to_string(),
        status: wire::AccountStatus::Active.into(),
        crypto_status: wire::AccountStatus::Active.into(),
        currency: CURRENCY.to_owned(),
        buying_power: buying_power.clone(),
        regt_buying_power: buying_power.clone(),
        daytrading_buying_power: buying_power.clone(),
        non_marginable_buying_power: buying_power,
        cash: money(holdings.cash_minor),
        accrued_fees: none(),
        pending_transfer_out: none(),
        pending_transfer_in: none(),
        portfolio_value: equity.clone(),
        pattern_day_trader: false,
        trading_blocked: holdings.account.blocked,
        transfers_blocked: false,
        account_blocked: false,
        created_at: holdings.opened_at.0,
        trade_suspended_by_user: holdings.account.suspended,
        multiplier: "1".to_owned(),
        shorting_enabled: false,
        equity,
        last_equity: last.minor.map(money),
        long_market_value: positions.clone(),
        short_market_value: none(),
        position_market_value: positions.clone(),
        initial_margin: positions,
        maintenance_margin: none(),
        last_maintenance_margin: none(),
        sma: none(),
        daytrade_count: 0,
        options_buying_power: none(),
        balance_asof: date_of(last.midnight.plus_us(-1)),
    }
}

/// With yesterday's last price, and the profit since then.
pub fn position(
    position: &Position,
    last_day_minor: Option<i64>,
    today: Option<Gain>,
) -> wire::Position {
    let instrument = &position.instrument;
    let money = |minor: i64| format(minor, instrument.quote_scale);
    let quantity = |minor: i64| format(minor, instrument.base_scale);
    let ratio = |ratio: i64| format(ratio, RATIO_SCALE);
    let average = convert::average_price_minor(
        position.cost_minor,
        position.qty_minor,
        instrument.base_scale,
    );
    wire::Position {
        asset_id: instrument.id.to_string(),
        symbol: position_symbol(instrument),
        exchange: convert::exchange(instrument.class).to_owned(),
        asset_class: convert::asset_class(instrument.class).into(),
        asset_marginable: false,
        qty: quantity(position.qty_minor),
        qty_available: quantity(position.available_minor),
        side: wire::PositionSide::Long.into(),
        avg_entry_price: money(average.unwrap_or(0)),
        cost_basis: money(position.cost_minor),
        market_value: position.value_minor.map(money),
        unrealized_pl: position.profit_minor().map(money),
        unrealized_plpc: position.profit_ratio().map(ratio),
        unrealized_intraday_pl: today.map(|gain| money(gain.profit_minor)),
        unrealized_intraday_plpc: today.and_then(|gain| gain.ratio).map(ratio),
        current_price: position.price_minor.map(money),
        lastday_price: last_day_minor.map(money),
        change_today: last_day_minor
            .and_then(|before_minor| position.change_ratio(before_minor))
            .map(ratio),
    }
}

/// Positions name a pair without its slash: clients of the API look for `BTCUSD` among them.
fn position_symbol(instrument: &Instrument) -> String {
    without_slash(instrument.symbol.as_str())
}

pub fn closed(closed: &Closed) -> wire::ClosePositionResult {
    use wire::close_position_outcome::Outcome;
    let instrument = &closed.position.instrument;
    let (order_id, status, outcome) = match &closed.outcome {
        Ok(order) => (
            Some(order.id.to_string()),
            200,
            Outcome::Order(convert::order(order, instrument)),
        ),
        Err(error) => {
            let code = error.code();
            let refusal = wire::ClosePositionError {
                code: i32::try_from(code.number()).unwrap_or(i32::MAX),
                message: error.to_string(),
            };
            (None, i32::from(code.http_status()), Outcome::Error(refusal))
        }
    };
    wire::ClosePositionResult {
        order_id,
        status,
        symbol: position_symbol(instrument),
        body: Some(wire::ClosePositionOutcome {
            outcome: Some(outcome),
        }),
    }
}

pub fn transfer(transfer: &Transfer) -> wire::Transfer {
    let wanted = &transfer.wanted;
    wire::Transfer {
        id: transfer.command.to_string(),
        account_id: wanted.account.to_string(),
        direction: match wanted.direction {
            Direction::Incoming => wire::TransferDirection::Incoming,
            Direction::Outgoing => wire::TransferDirection::Outgoing,
        }
        .into(),
        asset: wanted.asset.to_string(),
        amount: format(wanted.amount_minor, AMOUNT_SCALE),
        created_at: transfer.stamped_at.0,
    }
}

pub fn audit(audit: &Audit) -> wire::BooksAudit {
    let amount = |minor: i64| format(minor, AMOUNT_SCALE);
    let total = |(asset, total): (&Asset, &Total)| wire::BooksTotal {
        asset: asset.to_string(),
        available: amount(total.available_minor),
        held: amount(total.held_minor),
        clearing: amount(total.clearing_minor),
        fees: amount(total.fees_minor),
        outside: amount(total.outside_minor),
    };
    wire::BooksAudit {
        positions: audit.positions.clone(),
        totals: audit.totals.0.iter().map(total).collect(),
        accounts: audit.accounts,
        postings: audit.postings,
        difference: audit.difference.clone(),
    }
}

pub fn tables(compared: Result<Counts, String>) -> wire::CompareTablesResponse {
    let counts = compared.as_ref().copied().unwrap_or_default();
    wire::CompareTablesResponse {
        compared: counts.compared,
        beyond: counts.beyond,
        difference: compared.err(),
    }
}
