//! One partition with its inbox: the loop that both drivers of partitions share.
//!
//! Owns how a transition is filled and how a panic of the machine is handled. Refuses: to know where inputs come from, and
//! what happens to a transition once the log has accepted it.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use prepx_bus::{AppendError, Log, Position};
use prepx_domain::Micros;
use prepx_trace::Trace;

use crate::codec::{Codec, Input};
use crate::command::ReplyTo;
use crate::decide::partition::Partition;
use crate::error::Error;
use crate::lane::Parcel;

/// An input for a partition.
pub(crate) enum Work<I> {
    /// A command that came directly from its sender.
    Command {
        token: u64,
        input: I,
        trace: Option<Trace>,
    },
    /// A command from the log, and who waits for its reply there.
    Recorded {
        offset: u64,
        reply_to: Option<ReplyTo>,
        input: I,
        trace: Option<Trace>,
    },
    /// Messages of a lane.
    Parcel(Parcel<I>),
    /// Time has passed.
    Timer,
}

/// The outcome of a step.
pub(crate) enum Step {
    /// The inbox was empty.
    Idle,
    /// The log is full. Nothing is lost: step again after the watermark has moved.
    Blocked,
    /// Inputs were taken; the position of their transition, if there was anything to record.
    Went(Option<Position>),
}

/// A partition and its inbox.
pub(crate) struct Cell<C: Codec> {
    pub partition: Partition<C>,
    pub inbox: VecDeque<Work<Input<C>>>,
    /// Whether a transition waits for room in the log.
    blocked: bool,
}

impl<C: Codec> Cell<C> {
    /// The cell of a partition that has just been opened, whose first transition, of the new epoch, must be appended.
    pub fn new(partition: Partition<C>, inbox: VecDeque<Work<Input<C>>>) -> Cell<C> {
        Cell {
            partition,
            inbox,
            blocked: true,
        }
    }

    /// Has the partition check its timers after its inbox. Repeated calls before that count once.
    pub fn tick(&mut self) {
        if !matches!(self.inbox.back(), Some(Work::Timer)) {
            self.inbox.push_back(Work::Timer);
        }
    }

    /// Fills one transition from the inbox and appends it.
    pub fn step(&mut self, log: &dyn Log, now: Micros) -> Result<Step, Error> {
        if !self.blocked && self.inbox.is_empty() && !self.partition.has_more() {
            return Ok(Step::Idle);
        }
        self.fill_or_stop(log, now)?;
        match self.partition.append(log) {
            Err(AppendError::Full { .. }) => Ok(Step::Blocked),
            appended => {
                self.blocked = false;
                Ok(Step::Went(appended?))
            }
        }
    }

    /// Fills the open transition. If the machine panics, its partition is damaged: the error says at which input, and ends
    /// the owner.
    fn fill_or_stop(&mut self, log: &dyn Log, now: Micros) -> Result<(), Error> {
        let filled = catch_unwind(AssertUnwindSafe(|| self.fill(log, now)));
        filled.unwrap_or_else(|panic| Err(self.partition.panicked(words_of(&*panic))))
    }

    /// Fills the open transition, unless one waits for room already.
    fn fill(&mut self, log: &dyn Log, now: Micros) -> Result<(), Error> {
        if std::mem::replace(&mut self.blocked, true) {
            return Ok(());
        }
        let partition = &mut self.partition;
        partition.begin(log, now)?;
        while !partition.is_full()
            && let Some(work) = self.inbox.pop_front()
        {
            match work {
                Work::Command {
                    token,
                    input,
                    trace,
                } => partition.take_command(token, &input, trace)?,
                Work::Recorded {
                    offset,
                    reply_to,
                    input,
                    trace,
                } => partition.take_recorded(offset, &input, reply_to.is_some(), trace)?,
                Work::Parcel(parcel) => {
                    if !partition.take_parcel(&parcel)? {
                        self.inbox.push_front(Work::Parcel(parcel));
                    }
                }
                Work::Timer => partition.take_timer()?,
            }
        }
        Ok(())
    }
}

/// The message of a panic, on one line.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let lines = text.unwrap_or("it panicked without a word").lines();
    lines.map(str::trim).collect::<Vec<_>>().join("; ")
}
