//! Metrics of order entry: commands that were accepted, and why others were not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use metrics::Counter;
use prepx_domain::message::Action;

/// The counters of order entry. They are made once and held: this is the order path.
pub struct Metrics {
    places: Counter,
    replacements: Counter,
    cancels: Counter,
    cancels_of_all: Counter,
    /// By the stable name of the reason, a closed list.
    rejects: Mutex<BTreeMap<&'static str, Counter>>,
}

/// A command of order entry, by what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderCommand {
    /// A new order.
    Place,
    /// An order instead of another.
    Replace,
    /// The end of an order.
    Cancel,
    /// The end of all orders of an account.
    CancelAll,
}

impl OrderCommand {
    /// The command of order entry with this action; none for the account stage's other commands.
    pub const fn of(action: &Action) -> Option<OrderCommand> {
        match action {
            Action::Place(_) => Some(OrderCommand::Place),
            Action::Replace(_) => Some(OrderCommand::Replace),
            Action::Cancel { .. } => Some(OrderCommand::Cancel),
            Action::CancelAll { .. } => Some(OrderCommand::CancelAll),
            _ => None,
        }
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        let accepted = |action: &'static str| {
            let counter = metrics::counter!("prepx_orders_accepted_total", "action" => action);
            // From the start on, so that a rate is there before the first order.
            counter.increment(0);
            counter
        };
        Metrics {
            places: accepted("place"),
            replacements: accepted("replace"),
            cancels: accepted("cancel"),
            cancels_of_all: accepted("cancel_all"),
            rejects: Mutex::default(),
        }
    }
}

impl Metrics {
    /// A command was decided, or refused for this reason.
    pub fn count(&self, command: Option<OrderCommand>, outcome: Result<(), &'static str>) {
        match (command, outcome) {
            (Some(command), Ok(())) => self.accepted(command).increment(1),
            (Some(_), Err(reason)) => self.reject(reason),
            (None, _) => {}
        }
    }

    const fn accepted(&self, command: OrderCommand) -> &Counter {
        match command {
            OrderCommand::Place => &self.places,
            OrderCommand::Replace => &self.replacements,
            OrderCommand::Cancel => &self.cancels,
            OrderCommand::CancelAll => &self.cancels_of_all,
        }
    }

    fn reject(&self, reason: &'static str) {
        let counter = || metrics::counter!("prepx_order_rejects_total", "reason" => reason);
        let mut rejects = self.rejects.lock().unwrap_or_else(PoisonError::into_inner);
        rejects.entry(reason).or_insert_with(counter).increment(1);
    }
}
