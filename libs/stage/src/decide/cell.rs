//! One partition with its inbox: the loop that both drivers of partitions share.
//!
//! Owns how a transition is filled and what a panic of the machine means. Refuses: to know where inputs come
//! from, and what happens to a transition once the log has accepted it.

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

/// What a partition is to take.
pub(crate) enum Work<I> {
    /// A command that came straight from its sender.
    Command {
        token: u64,
        input: I,
        trace: Option<Trace>,
    },
    /// A command that is on the log, and who waits for its reply there.
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

/// What one step has come to.
pub(crate) enum Step {
    /// There was nothing to take.
    Idle,
    /// The log has no room. Nothing is lost: step again when the watermark has moved.
    Blocked,
    /// Inputs were taken; the position of their transition, if anything was to be recorded.
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
    /// The cell of a partition that has just been opened: the transition of the new epoch is to be appended.
    pub fn new(partition: Partition<C>, inbox: VecDeque<Work<Input<C>>>) -> Cell<C> {
        Cell {
            partition,
            inbox,
            blocked: true,
        }
    }

    /// Lets the partition look whether something is due, once its inbox is taken. Asked again
    /// before that, it looks once.
    pub fn tick(&mut self) {
        if !matches!(self.inbox.back(), Some(Work::Timer)) {
            self.inbox.push_back(Work::Timer);
        }
    }

    /// Takes as much of the inbox as one transition holds and appends that.
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

    /// Fills the open transition. A machine that panics is damaged and so is its partition: this
    /// says at which input, and the owner ends with it.
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

/// What a panic said, on one line.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let lines = text.unwrap_or("it panicked without a word").lines();
    lines.map(str::trim).collect::<Vec<_>>().join("; ")
}
