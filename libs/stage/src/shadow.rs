//! Decides again what a journal has recorded, to check whether this version of the program would decide the
//! same.
//!
//! Each transition's inputs are read from the log and decided in order, at the transition's `now`. Differences
//! are reported, but the next transition is decided from what was recorded. A transition whose inputs the log
//! has dropped is only folded, which checks its hash and its place. Refuses to write anything.

mod inputs;

use std::sync::Arc;

use prepx_bus::{Log, Record};
use prepx_domain::{Machine, Micros};

use crate::DecodeError;
use crate::codec::{Codec, Event, Input};
use crate::error::{Error, FOLLOW_UPS_MAX};
use crate::journal::state::{BadRecord, FoldError, Head, State};
use crate::journal::transition::Transition;
use crate::recovery::folded::Folded;
use crate::snapshot::Snapshots;
use crate::topology::Seat;
use inputs::Inputs;

/// How much of a journal is read at a time.
const READ_BYTES: usize = 1 << 20;

/// Follows the journal of one partition and decides it again.
pub struct Shadow<C: Codec> {
    codec: Arc<C>,
    seat: Seat,
    /// The state by the recorded events.
    recorded: State<C>,
    /// The state by the events decided here. Equal to the recorded one unless `behind`.
    machine: C::Machine,
    /// Whether the recorded events of the last transition were not decided here, or differed.
    behind: bool,
    next_offset: u64,
    /// The end of the journal when this was opened; it may grow without end.
    end: u64,
    /// Journal records that were read but not yet processed.
    read: std::vec::IntoIter<Record>,
    inputs: Inputs,
}

/// An event that differs from what was recorded, is missing, or is additional.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference<E> {
    /// The transition.
    pub seq: u64,
    /// The place of the event in it, from 1.
    pub event: usize,
    /// The recorded event.
    pub recorded: Option<E>,
    /// The event that was decided instead.
    pub decided: Option<E>,
}

/// A transition that was decided again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison<E> {
    /// The transition.
    pub seq: u64,
    /// The number of its recorded events.
    pub events: u64,
    /// Whether its inputs are still on the log. If not, it was only folded.
    pub decided: bool,
    /// The events that differ.
    pub differences: Vec<Difference<E>>,
}

impl<C: Codec> Shadow<C> {
    /// Begins before transition `from`, or as far back as the journal goes: at its beginning or at the
    /// oldest snapshot.
    ///
    /// # Errors
    /// When the journal does not go back far enough, or cannot be folded.
    pub fn open(
        codec: Arc<C>,
        seat: Seat,
        log: &dyn Log,
        snapshots: &Snapshots,
        from: Option<u64>,
    ) -> Result<Shadow<C>, Error> {
        let found = match from {
            None => snapshots.oldest(&*codec, seat, log),
            Some(from) => {
                let start = log.start(seat.journal());
                let wanted = |head: &Head, next| head.seq < from && next >= start;
                snapshots.find(&*codec, seat, |generations| generations.reverse(), wanted)
            }
        };
        let Folded {
            state, next_offset, ..
        } = found?;
        let machine = copy(&*codec, &state.machine);
        let mut shadow = Shadow {
            codec,
            seat,
            recorded: state,
            machine,
            behind: false,
            next_offset,
            end: log.end(seat.journal()),
            read: Vec::new().into_iter(),
            inputs: Inputs::of(seat),
        };
        while from.is_some_and(|from| shadow.recorded.head.seq + 1 < from) {
            let Some(record) = shadow.next(log)? else {
                break;
            };
            shadow.fold(&record)?;
            shadow.behind = true;
        }
        Ok(shadow)
    }

    /// The number of the last transition that was processed.
    pub fn seq(&self) -> u64 {
        self.recorded.head.seq
    }

    /// About how many records of the journal are left.
    pub fn left(&self) -> u64 {
        self.end.saturating_sub(self.next_offset)
    }

    /// Decides the next transition; none at the end that the journal had when this was opened.
    ///
    /// # Errors
    /// When something cannot be read, or does not follow.
    pub fn decide(&mut self, log: &dyn Log) -> Result<Option<Comparison<Event<C>>>, Error> {
        let Some(record) = self.next(log)? else {
            return Ok(None);
        };
        let bad = |source: FoldError| self.bad(&record, source);
        let transition = Transition::decode(&record.payload).map_err(|error| bad(error.into()))?;
        let recorded: Result<Vec<_>, DecodeError> = transition
            .events()
            .map(|bytes| self.codec.decode_event(bytes?))
            .collect();
        let recorded = recorded.map_err(|error| bad(error.into()))?;
        let skips = self.recorded.head.skips.clone();
        let taken = &transition.inputs;
        let inputs = self.inputs.read::<C>(&self.codec, log, taken, skips)?;
        let decide = |inputs: Vec<_>| self.decide_all(&inputs, transition.now, recorded.len());
        let decided = inputs.map(decide).transpose()?;
        self.fold(&record)?;
        let (seq, events) = (transition.seq, recorded.len() as u64);
        let mut comparison = Comparison {
            seq,
            events,
            decided: decided.is_some(),
            differences: Vec::new(),
        };
        if let Some(decided) = decided {
            comparison.differences = self.differences(seq, recorded, decided);
        }
        self.behind = !comparison.decided || !comparison.differences.is_empty();
        Ok(Some(comparison))
    }

    fn bad(&self, record: &Record, source: FoldError) -> Error {
        let (seat, offset) = (self.seat, record.offset);
        BadRecord {
            seat,
            offset,
            source,
        }
        .into()
    }

    fn next(&mut self, log: &dyn Log) -> Result<Option<Record>, Error> {
        if self.next_offset >= self.end {
            return Ok(None);
        }
        if self.read.len() == 0 {
            let journal = self.seat.journal();
            self.read = log.read(journal, self.next_offset, READ_BYTES)?.into_iter();
        }
        let next = self.read.next();
        if let Some(record) = &next {
            self.next_offset = record.offset + 1;
        }
        Ok(next)
    }

    fn fold(&mut self, record: &Record) -> Result<(), Error> {
        let folded = self.recorded.fold(&self.codec, &record.payload);
        folded.map_err(|source| self.bad(record, source))
    }

    /// Continues from the recorded state.
    fn reset(&mut self) {
        if std::mem::replace(&mut self.behind, false) {
            self.machine = copy(&*self.codec, &self.recorded.machine);
        }
    }

    /// Decides the inputs in order. The follow-ups of one come before the next input; those of the last one
    /// belong to this transition as far as the recorded one has events.
    fn decide_all(
        &mut self,
        inputs: &[Input<C>],
        now: Micros,
        room: usize,
    ) -> Result<Vec<Event<C>>, Error> {
        self.reset();
        let mut decided = Vec::new();
        for input in inputs {
            self.follow_up(now, usize::MAX, &mut decided)?;
            self.decide_once(input, now, &mut decided);
        }
        self.follow_up(now, room, &mut decided)?;
        Ok(decided)
    }

    fn follow_up(
        &mut self,
        now: Micros,
        room: usize,
        decided: &mut Vec<Event<C>>,
    ) -> Result<(), Error> {
        for _ in 0..FOLLOW_UPS_MAX {
            match self.machine.follow_up() {
                Some(next) if decided.len() < room => self.decide_once(&next, now, decided),
                _ => return Ok(()),
            }
        }
        Err(Error::Endless {
            journal: self.seat.journal(),
        })
    }

    fn decide_once(&mut self, input: &Input<C>, now: Micros, decided: &mut Vec<Event<C>>) {
        let first = decided.len();
        self.machine.decide(input, now, decided);
        for event in &decided[first..] {
            self.machine.apply(event);
        }
    }

    /// The events in which two lists differ, without the common ones at both ends.
    fn differences(
        &self,
        seq: u64,
        recorded: Vec<Event<C>>,
        decided: Vec<Event<C>>,
    ) -> Vec<Difference<Event<C>>> {
        let bytes = |event: &Event<C>| {
            let mut bytes = Vec::new();
            self.codec.encode_event(event, &mut bytes);
            bytes
        };
        let alike = |(one, other): &(&Event<C>, &Event<C>)| bytes(one) == bytes(other);
        let front = recorded.iter().zip(&decided).take_while(alike).count();
        let behind = recorded[front..]
            .iter()
            .rev()
            .zip(decided[front..].iter().rev());
        let behind = behind.take_while(alike).count();
        let middle = |events: Vec<Event<C>>| {
            let count = events.len() - front - behind;
            events.into_iter().skip(front).take(count)
        };
        let (mut recorded, mut decided) = (middle(recorded), middle(decided));
        let pairs = std::iter::from_fn(move || match (recorded.next(), decided.next()) {
            (None, None) => None,
            pair => Some(pair),
        });
        let difference = |(event, (recorded, decided))| Difference {
            seq,
            event,
            recorded,
            decided,
        };
        (front + 1..).zip(pairs).map(difference).collect()
    }
}

/// A copy of a state.
fn copy<C: Codec>(codec: &C, machine: &C::Machine) -> C::Machine {
    let mut bytes = Vec::new();
    codec.encode_state(machine, &mut bytes);
    let copy = codec.decode_state(C::STATE_VERSION, &bytes);
    copy.expect("this version reads the states that it writes")
}
