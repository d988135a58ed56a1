//! The memory of commands: their first decisions, so that a repeat gets the same answer and takes effect
//! once (I2).
//!
//! It is bounded in number and time. Every command that it may have forgotten is refused by its
//! stamp, so forgetting never lets a command in twice.

use std::collections::VecDeque;

use prepx_domain::{AccountId, Asset, Micros, OrderId, Reject};
use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::config::Config;
use crate::event::{Cause, Event};

/// The first decision on a command, short enough to keep many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// An account was opened.
    Opened(AccountId),
    /// Money was moved.
    Moved(Box<Moved>),
    /// An order was accepted.
    Order(OrderId),
    /// Cancels went to the market.
    Canceling(Box<[OrderId]>),
    /// It was carried out, and has no result.
    Done,
    /// It was refused.
    Rejected(Box<Reject>),
}

/// What a deposit or a withdrawal left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Of which asset.
    pub asset: Asset,
    /// What was available then, in minor units.
    pub available_minor: i64,
}

/// A remembered command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    command: Uuid,
    stamped_at: Micros,
    at: Micros,
}

/// The commands decided last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commands {
    decisions: FxHashMap<Uuid, Decision>,
    /// In the order of the decisions.
    known: VecDeque<Known>,
    /// The latest stamp of a command that was forgotten for want of room.
    horizon: Micros,
}

impl Commands {
    /// An empty memory with room for all that it may hold: growing a large table would stop the
    /// order path for milliseconds. The room is not touched, and so costs nothing, until it is used.
    pub(crate) fn new(config: &Config) -> Commands {
        let room = (config.commands_max as usize).saturating_add(1);
        Commands {
            decisions: FxHashMap::with_capacity_and_hasher(room, Default::default()),
            known: VecDeque::with_capacity(room),
            horizon: Micros::default(),
        }
    }

    /// The first decision on a command, if it is remembered.
    pub(crate) fn get(&self, command: Uuid) -> Option<&Decision> {
        self.decisions.get(&command)
    }

    /// Refuses a command that may have been decided and forgotten. It stays refused: it only gets
    /// older.
    pub(crate) fn check_stamp(
        &self,
        config: &Config,
        stamped_at: Micros,
        now: Micros,
    ) -> Result<(), Reject> {
        let age_us = now.0.saturating_sub(stamped_at.0);
        let reach_us = now.0.saturating_sub(self.horizon.0).min(config.commands_us);
        if age_us > config.commands_us || stamped_at <= self.horizon {
            return Err(Reject::Stale {
                age_s: age_us / 1_000_000,
                limit_s: reach_us / 1_000_000,
            });
        }
        Ok(())
    }

    /// Remembers a decision; forgets the oldest one when there is no room. A stamp further ahead than
    /// [`check_ahead`] allows was refused: it must not keep the memory for long, nor lift the
    /// horizon above honest stamps.
    pub(crate) fn remember(&mut self, config: &Config, cause: &Cause, decision: Decision) {
        self.decisions.insert(cause.command, decision);
        self.known.push_back(Known {
            command: cause.command,
            stamped_at: cause.stamped_at.min(cause.at.plus_us(config.ahead_us)),
            at: cause.at,
        });
        if self.known.len() > config.commands_max as usize
            && let Some(forgotten) = self.known.pop_front()
        {
            self.decisions.remove(&forgotten.command);
            self.horizon = self.horizon.max(forgotten.stamped_at);
        }
    }

    /// Whether the oldest decision has outlived its time.
    pub(crate) fn is_due(&self, config: &Config, now: Micros) -> bool {
        self.known.front().is_some_and(|known| {
            let since = known.at.max(known.stamped_at);
            since.plus_us(config.commands_us) < now
        })
    }

    /// Forgets the oldest decision if it has outlived its time: a repeat is too old by its stamp.
    pub(crate) fn forget_due(&mut self, config: &Config, now: Micros) {
        if self.is_due(config, now)
            && let Some(forgotten) = self.known.pop_front()
        {
            self.decisions.remove(&forgotten.command);
        }
    }

    /// Everything, as plain data in the order of the decisions.
    pub(crate) fn export(&self) -> (Vec<(Cause, Decision)>, Micros) {
        let decisions = self.known.iter().map(|known| {
            let cause = Cause {
                command: known.command,
                stamped_at: known.stamped_at,
                at: known.at,
            };
            (cause, self.decisions[&known.command].clone())
        });
        (decisions.collect(), self.horizon)
    }

    /// The memory that [`Commands::export`] was taken from.
    pub(crate) fn restore(
        config: &Config,
        decisions: Vec<(Cause, Decision)>,
        horizon: Micros,
    ) -> Commands {
        let mut commands = Commands::new(config);
        for (cause, decision) in decisions {
            commands.remember(config, &cause, decision);
        }
        commands.horizon = commands.horizon.max(horizon);
        commands
    }
}

/// Refuses a command that would have to be remembered for too long. The refusal is remembered like any
/// other: the same command would be accepted later, although its sender was told that it was refused.
pub(crate) fn check_ahead(config: &Config, stamped_at: Micros, now: Micros) -> Result<(), Reject> {
    let ahead_us = stamped_at.0.saturating_sub(now.0);
    match ahead_us > config.ahead_us {
        true => Err(Reject::Ahead {
            ahead_s: ahead_us / 1_000_000,
            limit_s: config.ahead_us / 1_000_000,
        }),
        false => Ok(()),
    }
}

/// What is remembered of an event that decides a command; `available_minor` is what the account has
/// available of an asset after the event.
pub(crate) fn decision_of(
    event: &Event,
    available_minor: impl Fn(AccountId, Asset) -> i64,
) -> Decision {
    match event {
        Event::Opened { account, .. } => Decision::Opened(*account),
        Event::Deposited { account, asset, .. } | Event::Withdrawn { account, asset, .. } => {
            Decision::Moved(Box::new(Moved {
                asset: *asset,
                available_minor: available_minor(*account, *asset),
            }))
        }
        Event::Placed { order, .. } => Decision::Order(order.order),
        Event::ReplaceSent { replace, .. } => Decision::Order(replace.new.order),
        Event::CancelSent { orders, .. } => Decision::Canceling(orders.as_slice().into()),
        Event::Rejected { reject, .. } => Decision::Rejected(reject.clone()),
        _ => Decision::Done,
    }
}
