//! Opening accounts, money in and out, stops and limits of an account.

use prepx_domain::message::Limits;
use prepx_domain::reject::{Contradiction, Field};
use prepx_domain::{AccountId, Asset, Reject, Slot};
use uuid::Uuid;

use crate::event::{Cause, Event};
use crate::state::Stage;

impl Stage {
    pub(super) fn open_an_account(
        &self,
        cause: Cause,
        slot: Slot,
        user: Uuid,
        simulated: bool,
    ) -> Result<Event, Reject> {
        if slot != Slot::of_user(user) {
            return Err(Reject::Contradiction(Contradiction::ForeignSlot));
        }
        if self.users.contains_key(&user) {
            return Err(Reject::AccountExists);
        }
        let last = self.last_ids.get(&slot).and_then(|last| last.account);
        Ok(Event::Opened {
            cause,
            account: AccountId::next(slot, cause.at, last),
            user,
            simulated,
            limits: self.config.limits,
        })
    }

    /// Money may come in for a stopped account too: it has left where it was.
    pub(super) fn deposit(
        &self,
        cause: Cause,
        slot: Slot,
        (account, asset, amount_minor): (AccountId, Asset, i64),
    ) -> Result<Event, Reject> {
        self.named_account(account, slot)?;
        self.check_amount(asset, amount_minor)?;
        let outside_minor = self
            .books
            .get(&asset)
            .map_or(0, |books| books.outside_minor);
        let supply_minor = amount_minor.checked_sub(outside_minor);
        if supply_minor.is_none_or(|supply| supply > self.config.supply_minor_max) {
            return Err(Reject::TooLarge {
                field: Field::Amount,
            });
        }
        Ok(Event::Deposited {
            cause,
            account,
            asset,
            amount_minor,
        })
    }

    pub(super) fn withdraw(
        &self,
        cause: Cause,
        slot: Slot,
        (account, asset, amount_minor): (AccountId, Asset, i64),
    ) -> Result<Event, Reject> {
        let owner = self.named_account(account, slot)?;
        self.check_amount(asset, amount_minor)?;
        if owner.blocked {
            return Err(Reject::AccountBlocked);
        }
        let balance = owner.balance(asset);
        let available_minor = balance.available_minor;
        if amount_minor > available_minor {
            return Err(Reject::InsufficientBalance {
                asset,
                scale: self.scale(asset),
                needed_minor: amount_minor,
                available_minor,
            });
        }
        Ok(Event::Withdrawn {
            cause,
            account,
            asset,
            amount_minor,
            cost_minor: balance.cost_of_minor(amount_minor),
        })
    }

    pub(super) fn set_blocked(
        &self,
        cause: Cause,
        slot: Slot,
        account: AccountId,
        blocked: bool,
    ) -> Result<Event, Reject> {
        self.named_account(account, slot)?;
        Ok(Event::BlockSet {
            cause,
            account,
            blocked,
        })
    }

    /// Also of a stopped account: its owner's wish stands when an operator lets it trade again.
    pub(super) fn set_suspended(
        &self,
        cause: Cause,
        slot: Slot,
        account: AccountId,
        suspended: bool,
    ) -> Result<Event, Reject> {
        self.named_account(account, slot)?;
        Ok(Event::SuspensionSet {
            cause,
            account,
            suspended,
        })
    }

    /// Zero is a limit too: it closes what it limits.
    pub(super) fn set_limits(
        &self,
        cause: Cause,
        slot: Slot,
        account: AccountId,
        limits: Limits,
    ) -> Result<Event, Reject> {
        self.named_account(account, slot)?;
        let amounts = [
            limits.order_qty_minor,
            limits.order_notional_minor,
            limits.position_minor,
        ];
        if amounts.iter().any(|amount| amount.is_negative()) {
            return Err(Reject::Contradiction(Contradiction::NegativeLimit));
        }
        Ok(Event::LimitsSet {
            cause,
            account,
            limits,
        })
    }

    fn check_amount(&self, asset: Asset, amount_minor: i64) -> Result<(), Reject> {
        if amount_minor > 0 {
            return Ok(());
        }
        Err(Reject::NotPositive {
            field: Field::Amount,
            value_minor: amount_minor,
            scale: self.scale(asset),
        })
    }
}
