//! Transfers in and out under idempotency keys, so that a repeat books nothing.

use prepx_domain::message::{Action, Command};
use prepx_domain::{AccountId, Asset, Micros};
use uuid::Uuid;

/// The direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the outside world.
    Incoming,
    /// To the outside world.
    Outgoing,
}

impl Direction {
    /// Its number in the store.
    pub const fn code(self) -> i64 {
        match self {
            Direction::Incoming => 1,
            Direction::Outgoing => 2,
        }
    }

    /// The direction with this number.
    pub const fn of_code(code: i64) -> Option<Direction> {
        match code {
            1 => Some(Direction::Incoming),
            2 => Some(Direction::Outgoing),
            _ => None,
        }
    }
}

/// A requested movement of an account's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The account.
    pub account: AccountId,
    /// The direction.
    pub direction: Direction,
    /// The asset.
    pub asset: Asset,
    /// The amount, in minor units of the asset; positive.
    pub amount_minor: i64,
}

/// A transfer under its idempotency key, with the command that carries it out. The command's id and stamp
/// are drawn once, so that every repeat is the same command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The request.
    pub wanted: Wanted,
    /// The caller's idempotency key.
    pub idempotency_key: String,
    /// The command.
    pub command: Uuid,
    /// When it was first requested.
    pub stamped_at: Micros,
    /// Whether the account stage's decision is known to be durable.
    pub settled: bool,
}

impl Transfer {
    /// The command that carries it out.
    pub fn command(&self) -> Command {
        let Wanted {
            account,
            direction,
            asset,
            amount_minor,
        } = self.wanted;
        let action = match direction {
            Direction::Incoming => Action::Deposit {
                account,
                asset,
                amount_minor,
            },
            Direction::Outgoing => Action::Withdraw {
                account,
                asset,
                amount_minor,
            },
        };
        Command {
            id: self.command,
            stamped_at: self.stamped_at,
            slot: account.slot(),
            action,
        }
    }
}
