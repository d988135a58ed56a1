//! What operators are told of order entry: commands that were accepted, and why others were not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use metrics::Counter;
use prepx_domain::message::Action;

/// The counters of order entry. They are made once and held: this is the order path.
pub struct Counted {
    places: Counter,
    replacements: Counter,
    cancels: Counter,
    cancels_of_all: Counter,
    /// By the stable name of the reason, a closed list.
    rejects: Mutex<BTreeMap<&'static str, Counter>>,
}

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A new order.
    Place,
    /// An order instead of another.
    Replace,
    /// The end of an order.
    Cancel,
    /// The end of all orders of an account.
    CancelAll,
}

impl Asked {
    /// What a command of the account stage asks for; none for those that are not of order entry.
    pub const fn by(action: &Action) -> Option<Asked> {
        match action {
            Action::Place(_) => Some(Asked::Place),
            Action::Replace(_) => Some(Asked::Replace),
            Action::Cancel { .. } => Some(Asked::Cancel),
            Action::CancelAll { .. } => Some(Asked::CancelAll),
            _ => None,
        }
    }
}

impl Default for Counted {
    fn default() -> Counted {
        let accepted = |action: &'static str| {
            let counter = metrics::counter!("prepx_orders_accepted_total", "action" => action);
            // From the start on, so that a rate is there before the first order.
            counter.increment(0);
            counter
        };
        Counted {
            places: accepted("place"),
            replacements: accepted("replace"),
            cancels: accepted("cancel"),
            cancels_of_all: accepted("cancel_all"),
            rejects: Mutex::default(),
        }
    }
}

impl Counted {
    /// A command was decided, or refused for this reason.
    pub fn count(&self, asked: Option<Asked>, outcome: Result<(), &'static str>) {
        match (asked, outcome) {
            (Some(asked), Ok(())) => self.accepted(asked).increment(1),
            (Some(_), Err(reason)) => self.reject(reason),
            (None, _) => {}
        }
    }

    const fn accepted(&self, asked: Asked) -> &Counter {
        match asked {
            Asked::Place => &self.places,
            Asked::Replace => &self.replacements,
            Asked::Cancel => &self.cancels,
            Asked::CancelAll => &self.cancels_of_all,
        }
    }

    fn reject(&self, reason: &'static str) {
        let counter = || metrics::counter!("prepx_order_rejects_total", "reason" => reason);
        let mut rejects = self.rejects.lock().unwrap_or_else(PoisonError::into_inner);
        rejects.entry(reason).or_insert_with(counter).increment(1);
    }
}
