//! What an order may cost at worst, and the checks that a new order and a replacement share.

use prepx_domain::instrument::StepError;
use prepx_domain::reject::{Contradiction, Field};
use prepx_domain::{Instrument, OrderKind, Reject, Side, TimeInForce};

use crate::order::qty_minor;
use crate::state::{Account, Market};

/// An order in the instrument's steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub(super) side: Side,
    /// With prices in ticks.
    pub(super) kind: OrderKind,
    pub(super) qty_lots: i64,
}

/// Refuses combinations that make no sense.
pub(super) fn check_form(
    kind: OrderKind,
    time_in_force: TimeInForce,
    (post_only, extended_hours): (bool, bool),
    client_order_id: &str,
) -> Result<(), Reject> {
    let why = if client_order_id.is_empty() || client_order_id.chars().count() > 128 {
        Contradiction::ClientOrderIdLength
    } else if post_only && !matches!(kind, OrderKind::Limit { .. }) {
        Contradiction::PostOnlyType
    } else if post_only && !time_in_force.rests() {
        Contradiction::PostOnlyTimeInForce
    } else if extended_hours && !(matches!(kind, OrderKind::Limit { .. }) && time_in_force.rests())
    {
        Contradiction::ExtendedHours
    } else if kind.stop().is_some() && !time_in_force.rests() {
        Contradiction::StopTimeInForce
    } else {
        return Ok(());
    };
    Err(Reject::Contradiction(why))
}

/// An order's numbers as whole steps, or which of them is not.
pub(super) fn whole_steps(
    instrument: &Instrument,
    side: Side,
    kind_minor: OrderKind,
    qty_minor: i64,
) -> Result<Steps, Reject> {
    let price = |field, minor| {
        let (step, scale) = (instrument.tick_minor, instrument.quote_scale);
        let ticks = instrument.price_ticks(minor);
        ticks.map_err(|error| step_reject(error, field, (minor, step, scale)))
    };
    let kind = match kind_minor {
        OrderKind::Market => OrderKind::Market,
        OrderKind::Limit { limit } => OrderKind::Limit {
            limit: price(Field::LimitPrice, limit)?,
        },
        OrderKind::Stop { stop } => OrderKind::Stop {
            stop: price(Field::StopPrice, stop)?,
        },
        OrderKind::StopLimit { stop, limit } => OrderKind::StopLimit {
            stop: price(Field::StopPrice, stop)?,
            limit: price(Field::LimitPrice, limit)?,
        },
    };
    let qty_lots = whole_lots(instrument, qty_minor)?;
    Ok(Steps {
        side,
        kind,
        qty_lots,
    })
}

/// A quantity as whole lots.
pub(super) fn whole_lots(instrument: &Instrument, qty_minor: i64) -> Result<i64, Reject> {
    let (step, scale) = (instrument.lot_minor, instrument.base_scale);
    let lots = instrument.qty_lots(qty_minor);
    lots.map_err(|error| step_reject(error, Field::Qty, (qty_minor, step, scale)))
}

/// A price in ticks from a field.
pub(super) fn whole_ticks(
    instrument: &Instrument,
    field: Field,
    price_minor: i64,
) -> Result<i64, Reject> {
    let (step, scale) = (instrument.tick_minor, instrument.quote_scale);
    let ticks = instrument.price_ticks(price_minor);
    ticks.map_err(|error| step_reject(error, field, (price_minor, step, scale)))
}

fn step_reject(
    error: StepError,
    field: Field,
    (value_minor, step_minor, scale): (i64, i64, u32),
) -> Reject {
    match error {
        StepError::NotPositive => Reject::NotPositive {
            field,
            value_minor,
            scale,
        },
        StepError::OffStep => Reject::OffStep {
            field,
            value_minor,
            step_minor,
            scale,
        },
        StepError::TooLarge => Reject::TooLarge { field },
    }
}

/// A stopped account, one that its owner has suspended, and a halted instrument take cancels only.
pub(super) fn check_trading(account: &Account, market: &Market) -> Result<(), Reject> {
    if account.blocked {
        return Err(Reject::AccountBlocked);
    }
    if account.suspended {
        return Err(Reject::TradeSuspended);
    }
    if market.halted {
        return Err(Reject::Halted(market.instrument.symbol));
    }
    Ok(())
}

impl Steps {
    /// The price that an order without a limit never trades beyond: the far end of the band around
    /// its stop price, else around the reference.
    pub(super) fn protect_ticks(&self, market: &Market) -> Result<Option<i64>, Reject> {
        if self.kind.limit().is_some() {
            return Ok(None);
        }
        let around = self.around_ticks(market)?;
        let (low, high) = market.instrument.band_ticks(around);
        Ok(Some(match self.side {
            Side::Buy => high,
            Side::Sell => low,
        }))
    }

    /// The price that says what the order is worth: its limit, its stop, or the reference.
    fn around_ticks(&self, market: &Market) -> Result<i64, Reject> {
        let own = self.kind.limit().or(self.kind.stop());
        own.or(market.reference_ticks)
            .ok_or(Reject::NoReferencePrice(market.instrument.symbol))
    }

    /// What the order is worth, in quote minor units.
    pub(super) fn value_minor(&self, market: &Market) -> Result<i64, Reject> {
        let ticks = self.around_ticks(market)?;
        let value = market.instrument.hold_minor(ticks, self.qty_lots);
        value.ok_or(Reject::TooLarge { field: Field::Qty })
    }

    /// A limit must not give away what the market would not take: a buy above the band and a sell
    /// below it are refused. Without a reference there is no band.
    pub(super) fn check_collar(&self, market: &Market) -> Result<(), Reject> {
        let (OrderKind::Limit { limit }, Some(reference)) = (self.kind, market.reference_ticks)
        else {
            return Ok(());
        };
        let (low, high) = market.instrument.band_ticks(reference);
        let outside = match self.side {
            Side::Buy => limit > high,
            Side::Sell => limit < low,
        };
        if !outside {
            return Ok(());
        }
        let instrument = &market.instrument;
        let minor = |ticks| instrument.price_minor(ticks).unwrap_or(i64::MAX);
        Err(Reject::OutsideCollar {
            price_minor: minor(limit),
            low_minor: minor(low),
            high_minor: minor(high),
            scale: instrument.quote_scale,
        })
    }
}

/// What `lots` of an order may take from its account at worst: a buy's exact cost rounded up with
/// the worst fee, a sell's quantity. `None` when it leaves 64 bits.
pub(super) fn hold_minor(
    instrument: &Instrument,
    side: Side,
    worst_ticks: i64,
    lots: i64,
) -> Option<i64> {
    match side {
        Side::Buy => {
            let cost = instrument.hold_minor(worst_ticks, lots)?;
            cost.checked_add(instrument.worst_fee_minor(cost)?)
        }
        Side::Sell => instrument.qty_minor(lots),
    }
}

/// The account's limits on one order: its quantity, its money, and what open buys may add up to.
pub(super) fn check_limits(
    account: &Account,
    market: &Market,
    steps: &Steps,
    buying_minor: i64,
) -> Result<(), Reject> {
    let (instrument, limits) = (&market.instrument, &account.limits);
    let asked_minor = qty_minor(instrument, steps.qty_lots);
    if asked_minor > limits.order_qty_minor {
        return Err(Reject::OrderQuantityLimit {
            asked_minor,
            limit_minor: limits.order_qty_minor,
            scale: instrument.base_scale,
        });
    }
    let value_minor = steps.value_minor(market)?;
    if value_minor > limits.order_notional_minor {
        return Err(Reject::OrderNotionalLimit {
            asked_minor: value_minor,
            limit_minor: limits.order_notional_minor,
            scale: instrument.quote_scale,
        });
    }
    let balance = account.balance(instrument.base);
    let position_minor = balance
        .total_minor()
        .saturating_add(balance.buying_minor)
        .saturating_add(buying_minor);
    if buying_minor > 0 && position_minor > limits.position_minor {
        return Err(Reject::PositionLimit {
            asset: instrument.base,
            asked_minor: position_minor,
            limit_minor: limits.position_minor,
            scale: instrument.base_scale,
        });
    }
    Ok(())
}

/// What the account must have available of what the order holds.
pub(super) fn check_balance(
    account: &Account,
    instrument: &Instrument,
    side: Side,
    needed_minor: i64,
) -> Result<(), Reject> {
    let (asset, scale) = match side {
        Side::Buy => (instrument.quote, instrument.quote_scale),
        Side::Sell => (instrument.base, instrument.base_scale),
    };
    let available_minor = account.balance(asset).available_minor;
    if needed_minor <= available_minor {
        return Ok(());
    }
    Err(Reject::InsufficientBalance {
        asset,
        scale,
        needed_minor,
        available_minor,
    })
}
