//! Cancels: always taken, from a stopped account and in a halted instrument too.

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
        })
    }

    pub(super) fn cancel_all(
        &self,
        cause: Cause,
        slot: Slot,
        account: AccountId,
    ) -> Result<Event, Reject> {
        let owner = self.named_account(account, slot)?;
        // A replacement under way goes with the order that it replaces.
        let alone = |id: &OrderId| self.living(account, *id) == Ok(*id);
        let mut orders: Vec<OrderId> = owner.open.iter().copied().filter(alone).collect();
        orders.sort_unstable();
        Ok(Event::CancelSent {
            cause,
            account,
            orders,
        })
    }

    /// The order of a chain of replacements that lives: either id of a pair stands for it.
    fn living(&self, account: AccountId, id: OrderId) -> Result<OrderId, Reject> {
        let mut order = self.own_order(account, id)?;
        loop {
            let next = match order.phase {
                Phase::Open if order.has_traded_whole() => return Err(Reject::OrderEnded),
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
