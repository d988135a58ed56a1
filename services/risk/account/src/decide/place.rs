//! Placing an order.

use std::sync::Arc;

use prepx_domain::message::{BookOrder, PlaceOrder};
use prepx_domain::reject::{Contradiction, Field};
use prepx_domain::{Micros, OrderId, Reject, Slot};

use super::price::{
    check_balance, check_form, check_limits, check_trading, hold_minor, whole_steps,
};
use crate::event::{Cause, Event};
use crate::order::buying_minor;
use crate::state::{Account, Market, Name, Stage};

impl Stage {
    pub(super) fn place(
        &self,
        cause: Cause,
        slot: Slot,
        ask: &PlaceOrder,
    ) -> Result<Event, Reject> {
        let account = self.named_account(ask.account, slot)?;
        check_form(
            ask.kind,
            ask.time_in_force,
            (ask.post_only, ask.extended_hours),
            &ask.client_order_id,
        )?;
        check_expiry(ask.expires_at, cause.at)?;
        account.check_unused(&ask.client_order_id)?;
        let market = self.named_market(ask.symbol)?;
        let instrument = &market.instrument;
        let steps = whole_steps(instrument, ask.side, ask.kind, ask.qty_minor)?;
        check_trading(account, market)?;
        let waits = waits_for_session(market, ask)?;
        let protect_ticks = steps.protect_ticks(market)?;
        self.check_open_orders(account)?;
        self.check_names(account)?;
        let buying_minor = buying_minor(instrument, ask.side, steps.qty_lots);
        check_limits(account, market, &steps, buying_minor)?;
        steps.check_collar(market)?;
        let worst_ticks = steps.kind.limit().or(protect_ticks).unwrap_or(i64::MAX);
        let hold = hold_minor(instrument, ask.side, worst_ticks, steps.qty_lots);
        let hold_minor = hold.ok_or(Reject::TooLarge { field: Field::Qty })?;
        check_balance(account, instrument, ask.side, hold_minor)?;
        let order = BookOrder {
            order: self.next_order_id(slot, cause.at),
            account: ask.account,
            instrument: instrument.id,
            side: ask.side,
            kind: steps.kind,
            time_in_force: ask.time_in_force,
            qty_lots: steps.qty_lots,
            protect_ticks,
            post_only: ask.post_only,
            extended_hours: ask.extended_hours,
            awaits_session: waits,
            expires_at: ask.expires_at,
        };
        Ok(Event::Placed {
            cause,
            order,
            client_order_id: Arc::from(ask.client_order_id.as_str()),
            hold_minor,
            buying_minor,
            created_at: self.next_moment(slot, cause.at),
        })
    }

    pub(super) fn next_order_id(&self, slot: Slot, now: Micros) -> OrderId {
        let last = self.last_ids.get(&slot).and_then(|last| last.order);
        OrderId::next(slot, now, last)
    }

    /// When an order that is accepted now is said to have come. A turn's orders are decided at one
    /// time; clients page by this one, and would miss an order that shares it with another.
    pub(super) fn next_moment(&self, slot: Slot, now: Micros) -> Micros {
        let last = self.last_ids.get(&slot).and_then(|last| last.order);
        let last = last.and_then(|last| self.orders.get(&last));
        last.map_or(now, |last| now.max(last.created_at.plus_us(1)))
    }

    /// A replacement under way does not count: it or the order that it replaces will live.
    fn check_open_orders(&self, account: &Account) -> Result<(), Reject> {
        let limit = account.limits.open_orders;
        let open = account.open.len().saturating_sub(account.pending);
        if open >= limit as usize {
            return Err(Reject::OpenOrdersLimit { limit });
        }
        Ok(())
    }

    pub(super) fn check_names(&self, account: &Account) -> Result<(), Reject> {
        let limit = self.config.client_order_ids_max;
        if account.names.len() >= limit as usize {
            return Err(Reject::TooManyClientOrderIds { limit });
        }
        Ok(())
    }
}

/// Whether the order waits for its session; one that has to trade at once cannot.
fn waits_for_session(market: &Market, ask: &PlaceOrder) -> Result<bool, Reject> {
    let waits = !market.phase.admits(ask.extended_hours);
    if waits && !ask.time_in_force.rests() {
        return Err(Reject::SessionClosed(market.instrument.symbol));
    }
    Ok(waits)
}

pub(super) fn check_expiry(expires_at: Option<Micros>, now: Micros) -> Result<(), Reject> {
    if expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(Reject::Contradiction(Contradiction::Expired));
    }
    Ok(())
}

impl Account {
    pub(super) fn check_unused(&self, client_order_id: &str) -> Result<(), Reject> {
        if self.names.contains_key(&Name::of(client_order_id)) {
            return Err(Reject::DuplicateClientOrderId(client_order_id.to_owned()));
        }
        Ok(())
    }
}
