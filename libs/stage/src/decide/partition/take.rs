//! What a partition takes: commands, messages of lanes, timers, an operator's skips. Each is noted in the open
//! transition, and refused out of its order (I2).

use prepx_bus::Log;
use prepx_domain::Machine as _;
use prepx_trace::Trace;

use super::deciding::Deciding;
use super::{Answer, Partition};
use crate::codec::{Codec, Input};
use crate::command;
use crate::decide::feed;
use crate::error::Error;
use crate::journal::transition::Taken;
use crate::lane::{self, Gap, Message, Parcel};
use crate::traced;

impl<C: Codec> Partition<C> {
    /// Takes a command that came directly from its sender; it is recorded with the transition. For logs that run ahead
    /// ([`Log::runs_ahead`]), where its offset is known in advance.
    pub fn take_command(
        &mut self,
        token: u64,
        input: &Input<C>,
        trace: Option<Trace>,
    ) -> Result<(), Error> {
        let (to, offset) = (self.seat.commands(), self.open.command_next);
        let codec = &*self.codec;
        let batch = &mut self.open.batch;
        let encode = |bytes: &mut Vec<u8>| codec.encode_input(input, bytes);
        batch.push_with(to, |bytes| command::encode(None, encode, bytes));
        self.open.command_next += 1;
        self.open.answers.push(Answer { token, reply: None });
        self.note(Taken::Recorded {
            from: to,
            offset,
            count: 1,
        })?;
        self.decide(input, true, traced::At(trace, to, offset))
    }

    /// Takes the next command of the log. If `answered`, its answer is named by its offset.
    pub(crate) fn take_recorded(
        &mut self,
        offset: u64,
        input: &Input<C>,
        answered: bool,
        trace: Option<Trace>,
    ) -> Result<(), Error> {
        let from = self.seat.commands();
        let consumed = self.state.head.consumed.get(&from).copied();
        assert!(
            consumed.unwrap_or(0) <= offset,
            "I2: a command is never read twice"
        );
        if answered {
            let (token, reply) = (offset, None);
            self.open.answers.push(Answer { token, reply });
        }
        self.note(Taken::Recorded {
            from,
            offset,
            count: 1,
        })?;
        self.deciding = Some(Deciding::Command(from, offset));
        self.decide(input, answered, traced::At(trace, from, offset))?;
        self.deciding = None;
        Ok(())
    }

    /// Takes messages of a lane, as many as the open transition has room for, but at least one; repeats change nothing.
    /// Returns whether none are left; if some are, pass the same parcel again.
    pub fn take_parcel(&mut self, parcel: &Parcel<Input<C>>) -> Result<bool, Error> {
        let last = self.state.head.received.get(&parcel.source).copied();
        let last = last.unwrap_or_default();
        let count = parcel.inputs.len() as u64;
        let repeats =
            lane::repeats(parcel.source, last, parcel.first, count).map_err(|gap| self.gap(gap))?;
        let skips = self.state.head.skips_after(parcel.source, last);
        let Parcel {
            source,
            from,
            offset,
            ..
        } = *parcel;
        let inputs = &parcel.inputs[repeats as usize..];
        let mut taken = 0;
        for (at, input) in inputs.iter().enumerate() {
            if taken > 0 && !self.has_room() {
                break;
            }
            taken += 1;
            let number = last + 1 + at as u64;
            if skips.contains(&number) {
                tracing::warn!(%source, number, to = %self.seat, "a message is skipped, as an operator said");
                continue;
            }
            self.state.machine.prefetch(inputs, at);
            let message = Message { source, number };
            self.deciding = Some(Deciding::Message(message, from, offset));
            let trace = parcel.traces.of(repeats as usize + at);
            self.decide(input, false, traced::At(trace, from, offset))?;
        }
        self.deciding = None;
        let whole = taken == inputs.len() as u64;
        self.note(Taken::Lane {
            source,
            from,
            offset,
            first: last + 1,
            count: taken,
            whole,
        })?;
        Ok(whole)
    }

    /// Records an operator's decision that a message of a lane, which has yet to be taken, will
    /// not be decided when it comes. What it would have done is missing from then on.
    ///
    /// # Errors
    /// [`Error::NothingToSkip`] when no such message stands before the partition.
    pub fn skip(&mut self, log: &dyn Log, message: Message, reason: &str) -> Result<(), Error> {
        let is_next = !self
            .state
            .head
            .skips
            .contains(&(message.source, message.number))
            && feed::stands_before(self, log, message)?;
        if !is_next {
            let seat = self.seat;
            return Err(Error::NothingToSkip { seat, message });
        }
        self.note(Taken::Skip {
            source: message.source,
            number: message.number,
            reason: reason.to_owned(),
        })
    }

    /// Has the machine check its timers. Recorded only if something was due.
    pub fn take_timer(&mut self) -> Result<(), Error> {
        let before = self.open.event_count;
        let timer = self.codec.timer();
        let at = traced::At(None, self.seat.journal(), 0);
        self.decide(&timer, false, at)?;
        self.open.inputs += 1;
        if self.open.event_count > before {
            self.open.begun = true;
            self.open.note(Taken::Timer);
        }
        Ok(())
    }

    fn note(&mut self, taken: Taken) -> Result<(), Error> {
        debug_assert!(!self.open.sealed, "a sealed transition takes nothing");
        self.state.head.take(&taken).map_err(|gap| self.gap(gap))?;
        self.open.begun = true;
        self.open.inputs += 1;
        self.open.note(taken);
        Ok(())
    }

    fn gap(&self, source: Gap) -> Error {
        Error::Gap {
            journal: self.seat.journal(),
            source,
        }
    }
}
