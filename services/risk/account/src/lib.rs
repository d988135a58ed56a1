//! The account stage: cash, holds, positions, limits and orders of accounts, pure.
//!
//! It owns what an account has, how much of that its open orders hold, and the state of each order. It decides whether a
//! command is accepted, and turns executions into cash and positions. Every refusal is a typed reason with numbers. It keeps
//! no history beyond a bound in number and time, and reads no clock: `now` and ids come with the input.
//!
//! Its invariants: the postings of every event add up to zero for each asset (I3); total = available + held, and an account
//! without open orders holds nothing (I4); a repeated command gets the first decision and changes nothing (I2).
//! [`Stage::check_invariants`] asserts them over a whole state.

#![deny(clippy::float_arithmetic)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod apply;
mod commands;
mod config;
mod decide;
mod event;
mod invariants;
mod order;
mod outputs;
mod postings;
mod read;
mod snapshot;
mod state;

use prepx_domain::message::{Command, ToAccount};
use prepx_domain::{Machine, Micros};

pub use commands::{Decision, Moved};
pub use config::Config;
pub use event::{Cause, Event};
pub use order::{Order, Phase};
pub use outputs::Output;
pub use read::PositionView;
pub use snapshot::{AccountRecord, Snapshot};
pub use state::{Balance, Books, LastIds, Market, Name, Stage};

/// What happens to the stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A client or an operator asks for something.
    Command(Command),
    /// The market says something.
    FromMatching(ToAccount),
    /// Time has passed.
    Timer,
}

impl Machine for Stage {
    type Input = Input;
    type Event = Event;
    type Output = Output;

    fn decide(&self, input: &Input, now: Micros, events: &mut Vec<Event>) {
        self.decide_input(input, now, events);
    }

    fn apply(&mut self, event: &Event) {
        self.fold(event);
    }

    fn follow_up(&self) -> Option<Input> {
        None
    }

    fn outputs(&self, event: &Event, now: Micros, outputs: &mut Vec<Output>) {
        self.emit(event, now, outputs);
    }
}
