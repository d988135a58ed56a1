//! What to send so that the engine lives through a recording, and what must come of it. Pure: a
//! recording in, steps out.
//!
//! The recording hides a part of the market, so the plan knows three kinds of orders:
//! - **recorded** ones, from the message that adds them to the one that ends them;
//! - **fillers**, at most one a level: what rests there by the book's row and was never added by a
//!   message (it rested before, or came while its level was outside of the recorded ones). Their
//!   place in the queue is not recorded, so a filler goes behind whatever the recording says trades
//!   first; what happens to unknown orders is taken from the filler;
//! - orders that **left unseen**: when a level leaves the view of the book, orders on it that the
//!   recording never speaks of again are cancelled; without a book, at their last message.
//!
//! The rule of the comparison is: row i−1 and message i give row i. A side of the book is derived
//! when the row followed without a filler or an order that left unseen.

mod executions;
mod market;
mod rows;
pub mod step;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::recording::{Kind, Level, Message, Recording};
use market::Market;

pub use step::{Command, Counts, Hit, Needs, Ref, State, Step, Take};

/// The steps of a recording.
#[derive(Debug, Default)]
pub struct Plan {
    /// In their order.
    pub steps: Vec<Step>,
    /// What the messages were.
    pub counts: Counts,
    /// What the accounts need.
    pub needs: Needs,
    /// How many orders the resting account places.
    pub orders: usize,
}

impl Plan {
    /// Plans a recording.
    pub fn of(recording: &Recording) -> Plan {
        let mut planner = Planner::default();
        for (index, message) in recording.messages.iter().enumerate() {
            planner.last.insert(message.order, index);
        }
        let (mut steps, mut first) = (Vec::new(), 0);
        while first < recording.messages.len() {
            let run = run_from(&recording.messages, first);
            let last = first + run.len() - 1;
            let mut step = planner.step(run, last);
            match recording.rows.get(last) {
                Some(row) => step.book = planner.follow(row, last),
                None => planner.forget(run, last),
            }
            step.after = std::mem::take(&mut planner.market.commands);
            step.states = std::mem::take(&mut planner.market.states);
            steps.push(step);
            first = last + 1;
        }
        Plan {
            steps,
            counts: planner.counts,
            needs: planner.market.needs,
            orders: planner.market.orders.len(),
        }
    }
}

/// The messages of one aggressor: executions of one time and side; otherwise one message.
fn run_from(messages: &[Message], first: usize) -> &[Message] {
    let rest = &messages[first..];
    let same = |message: &&Message| {
        let head = &rest[0];
        (message.kind, message.at_us, message.side) == (Kind::Execute, head.at_us, head.side)
    };
    &rest[..rest.iter().take_while(same).count().max(1)]
}

/// The recording as it was understood so far.
#[derive(Default)]
struct Planner {
    market: Market,
    /// The last message that speaks of an order.
    last: HashMap<u64, usize>,
    counts: Counts,
}

impl Planner {
    fn step(&mut self, run: &[Message], last: usize) -> Step {
        let message = &run[0];
        let (mut take, mut halted) = (None, None);
        match message.kind {
            Kind::Add => {
                self.counts.added += 1;
                let Message { price, size, .. } = *message;
                let at = Level { price, size };
                self.market.place(Some(message.order), message.side, at);
            }
            Kind::Shrink => {
                self.counts.shrunk += 1;
                self.cancel(message, message.size);
            }
            Kind::Delete => {
                self.counts.deleted += 1;
                self.cancel(message, i64::MAX);
            }
            Kind::Execute => take = self.execute(run),
            Kind::Hidden => self.counts.hidden += 1,
            Kind::Cross => self.counts.crossed += 1,
            Kind::Halt | Kind::Quoting | Kind::Resume => {
                self.counts.halts += 1;
                halted = Some(message.kind != Kind::Resume);
            }
        }
        Step {
            message: last,
            at_us: message.at_us,
            before: std::mem::take(&mut self.market.commands),
            take,
            after: Vec::new(),
            halted,
            states: Vec::new(),
            book: None,
        }
    }

    fn cancel(&mut self, message: &Message, size: i64) {
        match self.market.known(message.order) {
            Some(order) => self.market.shrink(order, size),
            None => {
                self.counts.cancels_unknown += 1;
                self.take_from_filler(message);
            }
        }
    }

    /// What happened to an unknown order happens to the unknown part of its level.
    fn take_from_filler(&mut self, message: &Message) {
        if let Some(filler) = self.market.filler(message.side, message.price) {
            self.market.shrink(filler, message.size);
        }
    }
}
