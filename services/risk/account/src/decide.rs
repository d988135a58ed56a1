//! What the stage decides, a use case each. Everything is looked at and nothing is changed.
//!
//! A command is checked in one order, whatever it asks: form, instrument, steps, stops, limits,
//! collar, balance. So the same mistake always gets the same answer.

mod cancel;
mod market;
mod money;
mod place;
mod price;
mod replace;

use prepx_domain::message::{Action, Command};
use prepx_domain::{Micros, Reject};

use crate::Input;
use crate::commands::check_ahead;
use crate::event::{Cause, Event};
use crate::state::Stage;

impl Stage {
    /// Appends what an input causes.
    pub(crate) fn decide_input(&self, input: &Input, now: Micros, events: &mut Vec<Event>) {
        match input {
            Input::Command(command) => events.push(self.decide_command(command, now)),
            Input::FromMatching(message) => events.extend(self.decide_message(message, now)),
            Input::Timer => {
                if self.is_due(now) {
                    events.push(Event::TimePassed { at: now });
                }
            }
        }
    }

    fn decide_command(&self, command: &Command, now: Micros) -> Event {
        if self.commands.get(command.id).is_some() {
            let command = command.id;
            return Event::Repeated { command };
        }
        let stamp = self
            .commands
            .check_stamp(&self.config, command.stamped_at, now);
        if let Err(reject) = stamp {
            let reject = Box::new(reject);
            return Event::Refused {
                command: command.id,
                reject,
            };
        }
        let cause = Cause {
            command: command.id,
            stamped_at: command.stamped_at,
            at: now,
        };
        let ahead = check_ahead(&self.config, command.stamped_at, now);
        let decided = ahead.and_then(|()| self.decide_action(cause, command));
        decided.unwrap_or_else(|reject| {
            let reject = Box::new(reject);
            Event::Rejected { cause, reject }
        })
    }

    fn decide_action(&self, cause: Cause, command: &Command) -> Result<Event, Reject> {
        let slot = command.slot;
        match &command.action {
            Action::OpenAccount { user, simulated } => {
                self.open_an_account(cause, slot, *user, *simulated)
            }
            Action::Deposit {
                account,
                asset,
                amount_minor,
            } => self.deposit(cause, slot, (*account, *asset, *amount_minor)),
            Action::Withdraw {
                account,
                asset,
                amount_minor,
            } => self.withdraw(cause, slot, (*account, *asset, *amount_minor)),
            Action::Place(ask) => self.place(cause, slot, ask),
            Action::Replace(ask) => self.replace_order(cause, slot, ask),
            Action::Cancel { account, order } => self.cancel(cause, slot, *account, *order),
            Action::EndOrder { order, reason } => self.end_by_operator(cause, slot, *order, reason),
            Action::CancelAll { account } => self.cancel_all(cause, slot, *account),
            Action::SetAccountBlocked { account, blocked } => {
                self.set_blocked(cause, slot, *account, *blocked)
            }
            Action::SetTradeSuspended { account, suspended } => {
                self.set_suspended(cause, slot, *account, *suspended)
            }
            Action::SetLimits { account, limits } => {
                self.set_limits(cause, slot, *account, *limits)
            }
        }
    }
}
