//! Cancels: always accepted, also from a stopped account and in a halted instrument.

use prepx_domain::{AccountId, OrderId, Reject, Slot};

use crate::event::{Cause, Event};
use crate::order::Phase;
use crate::state::Stage;

impl Stage {
    pub(super) fn cancel(
        &self,
        cause: Cause,
        slot: Slot,
        account: AccountId,
        order: OrderId,
    ) -> Result<Event, Reject> {
        self.named_account(account, slot)?;
        let living = self.living(account, order)?;
        Ok(Event::CancelSent {
            cause,
            account,
            orders: vec![living],
            reason: None,
        })
    }

    /// An operator ends an order of any account. Its hold is released when the market has said that the
    /// order ended, or is unknown there.
    pub(super) fn end_by_operator(
        &self,
        cause: Cause,
        slot: Slot,
        order: OrderId,
        reason: &str,
    ) -> Result<Event, Reject> {
        let found = self.orders.get(&order).filter(|_| order.slot() == slot);
        let account = found.ok_or(Reject::UnknownOrder)?.book.account;
        Ok(Event::CancelSent {
            cause,
            account,
            orders: vec![self.open_of(account, order)?],
            reason: Some(reason.into()),
        })
    }

    pub(super) fn cancel_all(
        &self,
        cause: Cause,
        slot: Slot,
        account: AccountId,
    ) -> Result<Event, Reject> {
        let owner = self.named_account(account, slot)?;
        // A pending replacement is cancelled with the order that it replaces.
        let alone = |id: &OrderId| self.living(account, *id) == Ok(*id);
        let mut orders: Vec<OrderId> = owner.open.iter().copied().filter(alone).collect();
        orders.sort_unstable();
        Ok(Event::CancelSent {
            cause,
            account,
            orders,
            reason: None,
        })
    }

    /// The live order of a chain of replacements; either id of a pair stands for it. An order that has
    /// traded whole has ended in the market, which will say so next.
    fn living(&self, account: AccountId, id: OrderId) -> Result<OrderId, Reject> {
        let is_pending = self.own_order(account, id)?.phase == Phase::Pending;
        let open = self.open_of(account, id)?;
        let ended = !is_pending && self.order_of(open).has_traded_whole();
        if ended {
            Err(Reject::OrderEnded)
        } else {
            Ok(open)
        }
    }

    /// The order of a chain of replacements that has not ended here.
    fn open_of(&self, account: AccountId, id: OrderId) -> Result<OrderId, Reject> {
        let mut order = self.own_order(account, id)?;
        loop {
            let next = match order.phase {
                Phase::Open => return Ok(order.book.order),
                Phase::Ended { .. } => return Err(Reject::OrderEnded),
                Phase::Replaced { .. } => order.replaced_by,
                Phase::Pending => {
                    let old = order.replaces.and_then(|old| self.orders.get(&old));
                    let living = old.filter(|old| old.is_open());
                    return Ok(living.map_or(order.book.order, |old| old.book.order));
                }
            };
            order = next
                .and_then(|next| self.orders.get(&next))
                .ok_or(Reject::OrderEnded)?;
        }
    }
}
