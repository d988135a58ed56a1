//! The owner of one stage partition: takes inputs, decides, and appends transitions.
//!
//! Owns the live state. Refuses: to take an input out of order; to continue after an error (every error except a full log
//! is final: the partition is damaged in memory and must be opened again); to release its decisions (its driver does when
//! they are durable, I8).

mod deciding;
mod open;
mod take;

use std::collections::VecDeque;
use std::sync::Arc;

use prepx_bus::{AppendError, Batch, Log, Owner, Position, TopicPartition};
use prepx_domain::{Machine, Micros};
use prepx_trace::Span;

use self::deciding::Deciding;
use self::open::Open;
use crate::codec::{Codec, Input, Output};
use crate::decide::outbox::Outbox;
use crate::error::{Error, FOLLOW_UPS_MAX};
use crate::journal::state::{Head, State};
use crate::journal::transition;
use crate::journal::wire::put_prefixed;
use crate::lane::Parcel;
use crate::recovery::takeover::Begun;
use crate::topology::{Seat, Topology};
use crate::traced::{self, Followed};

/// A transition takes no further input when its records have grown to this size.
const GROUP_BYTES: usize = 256 << 10;
/// Nor when it has taken this many inputs.
const GROUP_INPUTS: usize = 512;

/// The outcome of a command whose transition the log has accepted.
#[derive(Debug)]
pub struct Answer<O> {
    /// The token that the command was submitted with.
    pub token: u64,
    /// The reply, if the stage gave one.
    pub reply: Option<O>,
}

/// The live owner of one stage partition. See the module's documentation.
pub struct Partition<C: Codec> {
    pub(crate) codec: Arc<C>,
    pub(crate) seat: Seat,
    owner: Owner,
    pub(crate) state: State<C>,
    pub(crate) outbox: Outbox<C>,
    /// Records that may not have been sent before the takeover; they are appended first.
    pub(crate) backlog: VecDeque<Batch>,
    pub(crate) begun: Begun,
    open: Open<C>,
    /// The input from the log that is being decided.
    deciding: Option<Deciding>,
    /// A transition takes nothing more when its records have grown to this size.
    room_bytes: usize,
    /// How many follow-ups the last input has had so far.
    follow_ups: u32,
    /// The trace of the last input and its follow-ups, if it is sampled.
    followed: Option<Followed>,
}

impl<C: Codec> Partition<C> {
    /// A partition that has folded nothing beyond `state` yet.
    pub(crate) fn new(
        codec: Arc<C>,
        seat: Seat,
        topology: Topology,
        owner: Owner,
        state: State<C>,
    ) -> Partition<C> {
        Partition {
            outbox: Outbox::new(seat, topology, state.head.sent.clone()),
            codec,
            seat,
            owner,
            state,
            backlog: VecDeque::new(),
            begun: Begun::default(),
            open: Open::new(),
            deciding: None,
            room_bytes: GROUP_BYTES,
            follow_ups: 0,
            followed: None,
        }
    }

    /// Begins a transition that is recorded even if it takes no input.
    pub(crate) fn begin_epoch(&mut self, log: &dyn Log, now: Micros) -> Result<(), Error> {
        self.begin(log, now)?;
        self.open.begun = true;
        Ok(())
    }

    /// Which partition this is.
    pub fn seat(&self) -> Seat {
        self.seat
    }

    /// How it was taken over.
    pub fn begun(&self) -> Begun {
        self.begun
    }

    /// The owner in whose name it appends.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    pub(crate) fn codec(&self) -> &C {
        &self.codec
    }

    /// The machine's current state, which may not be durable yet.
    pub fn machine(&self) -> &C::Machine {
        &self.state.machine
    }

    /// How far the partition has come, which may not be durable yet.
    pub fn head(&self) -> &Head {
        &self.state.head
    }

    /// The current state, which may not be durable yet.
    pub fn state(&self) -> &State<C> {
        &self.state
    }

    /// Begins a transition at `now`, or at the time of the last one if that is later, with the follow-ups that had no room
    /// in the last one. Does nothing if one is open.
    ///
    /// # Errors
    /// When the follow-ups do not end.
    pub fn begin(&mut self, log: &dyn Log, now: Micros) -> Result<(), Error> {
        if self.open.begun {
            return Ok(());
        }
        self.outbox.drain().for_each(drop);
        self.open.now = now.max(self.state.head.now);
        // Elsewhere commands come through the log, and its end is a question to the brokers.
        if log.runs_ahead() {
            self.open.command_next = log.accepted_end(self.seat.commands());
        }
        self.open.begun = self.has_more();
        self.go_on(false)
    }

    /// Whether there are follow-ups to decide. They come before the next input, in this transition or the next.
    pub(crate) fn has_more(&self) -> bool {
        self.state.machine.follow_up().is_some()
    }

    /// Whether the open transition must be appended before it takes more.
    pub fn is_full(&self) -> bool {
        let open = &self.open;
        open.sealed || open.inputs >= GROUP_INPUTS || !self.has_room()
    }

    /// Limits transitions to so many bytes, for simulations of work that takes more than one.
    pub fn limit_room(&mut self, bytes: usize) {
        self.room_bytes = bytes.clamp(1, GROUP_BYTES);
    }

    fn has_room(&self) -> bool {
        let open = &self.open;
        let bytes = open.event_bytes.len() + open.batch.payload_bytes() + self.outbox.bytes();
        bytes < self.room_bytes
    }

    /// What stopped the partition when deciding an input panicked.
    pub(crate) fn panicked(&self, why: String) -> Error {
        let seat = self.seat;
        match self.deciding {
            Some(deciding) => deciding.poison(seat, why),
            None => Error::Panicked { seat, why },
        }
    }

    fn decide(&mut self, input: &Input<C>, answering: bool, at: traced::At) -> Result<(), Error> {
        debug_assert!(!self.has_more(), "what follows comes before the next input");
        // Without a trace this is all that it costs.
        let span = at.0.and_then(Span::under);
        self.followed = at.0.map(|trace| Followed {
            trace: span.as_ref().map_or(trace, Span::trace),
            subject: self.codec.input_subject(input),
        });
        let events_before = self.open.event_count;
        self.decide_once(input, answering);
        let decided = self.go_on(answering);
        if let Some(span) = span {
            let events = self.open.event_count - events_before;
            let (seq, subject) = (self.state.head.seq + 1, self.subject());
            span.end(None, || at.decided(self.seat, seq, events, subject));
        }
        decided
    }

    /// The subject of the current input, if it is traced.
    fn subject(&self) -> Option<String> {
        self.followed.as_ref()?.subject.clone()
    }

    /// Decides follow-ups, as far as the open transition has room.
    fn go_on(&mut self, answering: bool) -> Result<(), Error> {
        while self.has_room() {
            let Some(next) = self.state.machine.follow_up() else {
                self.follow_ups = 0;
                return Ok(());
            };
            self.follow_ups += 1;
            if self.follow_ups > FOLLOW_UPS_MAX {
                let endless = Error::Endless {
                    journal: self.seat.journal(),
                };
                return Err(match self.deciding {
                    Some(deciding) => deciding.poison(self.seat, endless.to_string()),
                    None => endless,
                });
            }
            self.decide_once(&next, answering);
        }
        Ok(())
    }

    fn decide_once(&mut self, input: &Input<C>, answering: bool) {
        let (codec, machine, open) = (&*self.codec, &mut self.state.machine, &mut self.open);
        let trace = self.followed.as_ref().map(|followed| followed.trace);
        machine.decide(input, open.now, &mut open.events);
        open.event_count += open.events.len();
        for event in open.events.drain(..) {
            put_prefixed(&mut open.event_bytes, |to| codec.encode_event(&event, to));
            machine.apply(&event);
            machine.outputs(&event, open.now, &mut open.outputs);
            for output in open.outputs.drain(..) {
                if let Some(followed) = &mut self.followed {
                    followed.name(|| codec.output_subject(&output));
                }
                let Some(reply) = self.outbox.push(codec, output, trace) else {
                    continue;
                };
                // What is answered to nobody here was answered when the command came, or will be
                // when it is repeated.
                if let Some(answer) = open.answers.last_mut().filter(|_| answering) {
                    answer.reply.get_or_insert(reply);
                }
            }
        }
    }

    /// Appends the open transition, if there is anything to record. After
    /// [`AppendError::Full`] nothing is lost: call again when the log has room. Every other error
    /// is final.
    pub fn append(&mut self, log: &dyn Log) -> Result<Option<Position>, AppendError> {
        while let Some(batch) = self.backlog.front() {
            log.append(Some(self.owner), batch)?;
            self.backlog.pop_front();
        }
        if !self.open.begun {
            self.open.clear();
            return Ok(None);
        }
        self.seal();
        if log.runs_ahead() {
            self.outbox.assign_offsets(log);
        }
        let position = log.append(Some(self.owner), &self.open.batch)?;
        self.open.clear();
        Ok(Some(position))
    }

    fn seal(&mut self) {
        let open = &mut self.open;
        if std::mem::replace(&mut open.sealed, true) {
            return;
        }
        let head = &mut self.state.head;
        head.epoch = self.owner.epoch;
        head.seq += 1;
        head.now = open.now;
        head.events += open.event_count as u64;
        let sent: Vec<_> = self.outbox.sent().collect();
        head.sent.extend(sent.iter().copied());
        let header = transition::Header {
            epoch: head.epoch,
            seq: head.seq,
            now: head.now,
            inputs: &open.taken,
            sent: &sent,
            event_count: open.event_count,
        };
        let (hash_before, events) = (head.state_hash, &open.event_bytes);
        let hash = &mut head.state_hash;
        open.batch.push_with(self.seat.journal(), |to| {
            *hash = transition::encode(&header, events, hash_before, to);
        });
        self.outbox.encode(head.seq, &mut open.batch);
    }

    /// The commands of the transitions appended since the last call, in their order.
    pub fn drain_answers(&mut self) -> impl Iterator<Item = Answer<Output<C>>> {
        debug_assert!(!self.open.begun, "answers come after the append");
        self.open.answers.drain(..)
    }

    /// What the last appended transition sent to the other stage, for handing it over within this process on a log that
    /// runs ahead. Whatever is not drained before the next transition is dropped: its records are on the log.
    pub fn drain_sent<I>(
        &mut self,
        mut hand_over: impl FnMut(TopicPartition, Parcel<I>),
        receive: impl Fn(C::Sends) -> I,
    ) {
        debug_assert!(!self.open.begun, "what is sent is known after the append");
        let source = self.seat.journal();
        for run in self.outbox.drain().filter(|run| !run.typed.is_empty()) {
            let parcel = Parcel {
                source,
                from: run.to,
                offset: run.offset,
                first: run.first,
                inputs: run.typed.into_iter().map(&receive).collect(),
                traces: run.traces,
            };
            hand_over(parcel.from, parcel);
        }
    }
}
