//! Decides again what a journal has recorded, to see whether this version of the program would have decided
//! the same.
//!
//! It takes each transition's inputs from the log, in order, at the transition's `now`. Differences are
//! reported and not built on: the next transition is decided from what was recorded. A transition whose inputs
//! the log has dropped is only folded, which checks its hash and its place. Refuses to write anything.

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

/// How much of a journal is read at once.
const READ_BYTES: usize = 1 << 20;

/// Follows one partition's journal and decides it again.
pub struct Shadow<C: Codec> {
    codec: Arc<C>,
    seat: Seat,
    /// What was recorded comes to.
    recorded: State<C>,
    /// What is decided here comes to: the same, unless it is behind.
    machine: C::Machine,
    /// Whether something was recorded that was not decided here, or otherwise.
    behind: bool,
    next_offset: u64,
    /// Where the journal ended when this was opened: what comes later may be without end.
    end: u64,
    /// Journal records that were read and not taken.
    read: std::vec::IntoIter<Record>,
    inputs: Inputs,
}

/// One event that is not what was recorded: another one, one more, or one less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference<E> {
    /// The transition.
    pub seq: u64,
    /// Which of its events, from 1.
    pub event: usize,
    /// What the journal has there.
    pub recorded: Option<E>,
    /// What was decided instead.
    pub decided: Option<E>,
}

/// A transition that was decided again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again<E> {
    /// Which.
    pub seq: u64,
    /// How many events it has on the journal.
    pub events: u64,
    /// Whether its inputs are still there. It was only folded if they are not.
    pub decided: bool,
    /// What differs.
    pub differences: Vec<Difference<E>>,
}

impl<C: Codec> Shadow<C> {
    /// Stands before transition `from`, or as far back as the journal goes: at its beginning, or where the
    /// oldest snapshot does.
    ///
    /// # Errors
    /// When the journal does not go back so far, or does not fold.
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
        let machine = same(&*codec, &state.machine);
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

    /// The number of the last transition that was passed.
    pub fn seq(&self) -> u64 {
        self.recorded.head.seq
    }

    /// How many records of the journal are left, about.
    pub fn left(&self) -> u64 {
        self.end.saturating_sub(self.next_offset)
    }

    /// Decides the next transition; none where the journal ended when this was opened.
    ///
    /// # Errors
    /// When something cannot be read, or does not follow.
    pub fn decide(&mut self, log: &dyn Log) -> Result<Option<Again<Event<C>>>, Error> {
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
        let mut again = Again {
            seq,
            events,
            decided: decided.is_some(),
            differences: Vec::new(),
        };
        if let Some(decided) = decided {
            again.differences = self.differences(seq, recorded, decided);
        }
        self.behind = !again.decided || !again.differences.is_empty();
        Ok(Some(again))
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

    /// Goes on from what was recorded.
    fn agree(&mut self) {
        if std::mem::replace(&mut self.behind, false) {
            self.machine = same(&*self.codec, &self.recorded.machine);
        }
    }

    /// Decides the inputs in their order. What follows from one comes before the next; what follows from
    /// the last is in this transition as far as the journal has room for it here.
    fn decide_all(
        &mut self,
        inputs: &[Input<C>],
        now: Micros,
        room: usize,
    ) -> Result<Vec<Event<C>>, Error> {
        self.agree();
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

    /// Where two lists of events differ, when what is alike at both ends is left out.
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

/// The same state once more.
fn same<C: Codec>(codec: &C, machine: &C::Machine) -> C::Machine {
    let mut bytes = Vec::new();
    codec.encode_state(machine, &mut bytes);
    let again = codec.decode_state(C::STATE_VERSION, &bytes);
    again.expect("this version reads the states that it writes")
}
