//! Replacing an order by a new one, which the market confirms or refuses.

use std::sync::Arc;

use prepx_domain::message::{BookOrder, BookReplace, ReplaceOrder};
use prepx_domain::reject::{Contradiction, Field};
use prepx_domain::{Instrument, OrderKind, Reject, Slot};

use super::place::check_expiry;
use super::price::{
    Steps, check_balance, check_form, check_limits, check_trading, hold_minor, whole_lots,
    whole_ticks,
};
use crate::event::{Cause, Event};
use crate::order::{Order, Phase, buying_minor, qty_minor};
use crate::state::{Market, Stage};

impl Stage {
    pub(super) fn replace_order(
        &self,
        cause: Cause,
        slot: Slot,
        ask: &ReplaceOrder,
    ) -> Result<Event, Reject> {
        let account = self.named_account(ask.account, slot)?;
        let old = self.own_order(ask.account, ask.order)?;
        check_replaceable(old)?;
        let market = self.market(old.book.instrument);
        let new = self.replacement(cause, slot, ask, old, market)?;
        let steps = Steps {
            side: new.side,
            kind: new.kind,
            qty_lots: new.qty_lots,
        };
        check_form(
            new.kind,
            new.time_in_force,
            (new.post_only, new.extended_hours),
            &ask.client_order_id,
        )?;
        check_expiry(new.expires_at, cause.at)?;
        account.check_unused(&ask.client_order_id)?;
        check_trading(account, market)?;
        self.check_names(account)?;
        let growth_lots = new.qty_lots.saturating_sub(old.book.qty_lots).max(0);
        let buying_minor = buying_minor(&market.instrument, new.side, growth_lots);
        check_limits(account, market, &steps, buying_minor)?;
        if ask.limit_minor.is_some() {
            steps.check_collar(market)?;
        }
        let hold = extra_hold_minor(&market.instrument, old, &new);
        let hold_minor = hold.ok_or(Reject::TooLarge { field: Field::Qty })?;
        check_balance(account, &market.instrument, new.side, hold_minor)?;
        let old = old.book.order;
        Ok(Event::ReplaceSent {
            cause,
            replace: BookReplace { old, new },
            client_order_id: Arc::from(ask.client_order_id.as_str()),
            hold_minor,
            buying_minor,
            created_at: self.next_moment(slot, cause.at),
        })
    }

    /// The new order: the old one with what changes.
    fn replacement(
        &self,
        cause: Cause,
        slot: Slot,
        ask: &ReplaceOrder,
        old: &Order,
        market: &Market,
    ) -> Result<BookOrder, Reject> {
        let instrument = &market.instrument;
        let kind = changed_kind(instrument, old, ask)?;
        let qty_lots = match ask.qty_minor {
            Some(qty_minor) => whole_lots(instrument, qty_minor)?,
            None => old.book.qty_lots,
        };
        if qty_lots <= old.cum_lots {
            return Err(Reject::QuantityTraded {
                asked_minor: qty_minor(instrument, qty_lots),
                traded_minor: qty_minor(instrument, old.cum_lots),
                scale: instrument.base_scale,
            });
        }
        let side = old.book.side;
        let steps = Steps {
            side,
            kind,
            qty_lots,
        };
        let protect_ticks = match kind {
            OrderKind::Market => old.book.protect_ticks,
            _ => steps.protect_ticks(market)?,
        };
        let (time_in_force, expires_at) = ask
            .time_in_force
            .unwrap_or((old.book.time_in_force, old.book.expires_at));
        Ok(BookOrder {
            order: self.next_order_id(slot, cause.at),
            kind,
            qty_lots,
            protect_ticks,
            time_in_force,
            expires_at,
            awaits_session: false,
            ..old.book
        })
    }
}

fn check_replaceable(old: &Order) -> Result<(), Reject> {
    match old.phase {
        Phase::Ended { .. } | Phase::Replaced { .. } => Err(Reject::OrderEnded),
        Phase::Pending => Err(Reject::ReplacePending),
        Phase::Open if old.has_traded_whole() => Err(Reject::OrderEnded),
        Phase::Open if old.cancel_requested => Err(Reject::CancelPending),
        Phase::Open if old.replaced_by.is_some() => Err(Reject::ReplacePending),
        Phase::Open => Ok(()),
    }
}

/// The kind with its changed prices. A stop that was set off stays set off, at the price it had.
fn changed_kind(
    instrument: &Instrument,
    old: &Order,
    ask: &ReplaceOrder,
) -> Result<OrderKind, Reject> {
    let kind = old.book.kind;
    if old.triggered && ask.stop_minor.is_some() {
        return Err(Reject::Contradiction(Contradiction::StopSetOff));
    }
    let changed = |field, asked: Option<i64>, now: Option<i64>| match (asked, now) {
        (Some(_), None) => Err(Reject::NoSuchPrice { field }),
        (Some(minor), Some(_)) => whole_ticks(instrument, field, minor).map(Some),
        (None, now) => Ok(now),
    };
    let limit = changed(Field::LimitPrice, ask.limit_minor, kind.limit())?;
    let stop = changed(Field::StopPrice, ask.stop_minor, kind.stop())?;
    Ok(match (stop, limit) {
        (None, None) => OrderKind::Market,
        (None, Some(limit)) => OrderKind::Limit { limit },
        (Some(stop), None) => OrderKind::Stop { stop },
        (Some(stop), Some(limit)) => OrderKind::StopLimit { stop, limit },
    })
}

/// What must be held beyond what the old order holds, so that the pair is covered whatever the
/// market answers and whatever trades until then.
///
/// Until the answer the old order may trade any part of its rest at its own worst price; after it
/// the new order may trade what is then left at its own. The worst is at one of the ends: nothing
/// more trades before (the whole new order at its price), or all of the old order's rest does and
/// the new one has only the growth left. See ADR 0004.
fn extra_hold_minor(instrument: &Instrument, old: &Order, new: &BookOrder) -> Option<i64> {
    let side = new.side;
    let worst = new.kind.limit().or(new.protect_ticks)?;
    let rest_lots = new.qty_lots.saturating_sub(old.cum_lots);
    let mut needed = hold_minor(instrument, side, worst, rest_lots)?;
    let growth_lots = new.qty_lots.saturating_sub(old.book.qty_lots);
    if growth_lots > 0 {
        let old_rest_lots = old.book.qty_lots.saturating_sub(old.cum_lots);
        let old_rest = hold_minor(instrument, side, old.worst_ticks(), old_rest_lots)?;
        let growth = hold_minor(instrument, side, worst, growth_lots)?;
        needed = needed.max(old_rest.checked_add(growth)?);
    }
    Some(needed.saturating_sub(old.held_minor).max(0))
}
