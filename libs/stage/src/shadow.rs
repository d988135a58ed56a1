//! Deciding again what a journal says was decided, to see whether this version of the program would have
//! decided the same.
//!
//! Takes each transition's inputs from the log, in their order, at its `now`. A difference is shown and
//! not built on: the next transition is decided from what was recorded. Refuses to write anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use prepx_bus::{Log, ReadError, Record, TopicPartition};
use prepx_domain::{Machine, Micros};

use crate::DecodeError;
use crate::codec::{Codec, Event, Input};
use crate::command;
use crate::error::{Error, FOLLOW_UPS_MAX};
use crate::folded::Folded;
use crate::lane::Run;
use crate::snapshot::Snapshots;
use crate::state::{BadRecord, FoldError, Head, State};
use crate::topology::Seat;
use crate::transition::{Taken, Transition};

/// How much of a journal is read at once.
const READ_BYTES: usize = 1 << 20;

/// Follows one partition's journal and decides it again.
pub struct Shadow<C: Codec> {
    codec: Arc<C>,
    seat: Seat,
    /// What was recorded comes to.
    recorded: State<C>,
    /// What is decided here comes to: the same, as long as nothing differs.
    machine: C::Machine,
    next_offset: u64,
    /// Journal records that were read and not taken.
    read: std::vec::IntoIter<Record>,
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
    /// What differs.
    pub differences: Vec<Difference<E>>,
}

impl<C: Codec> Shadow<C> {
    /// Stands before transition `from`, or where the oldest snapshot does.
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
        // What a snapshot's successors took must be there still.
        let reaches = |head: &Head, next_offset: u64| {
            let consumed = |from| head.consumed.get(from).copied().unwrap_or_default();
            let inputs = [seat.commands(), seat.lanes()];
            next_offset >= log.start(seat.journal())
                && inputs.iter().all(|from| consumed(from) >= log.start(*from))
        };
        let found = match from {
            None => snapshots.find(&*codec, seat, |_| (), reaches),
            Some(from) => {
                let before = |head: &Head, next| head.seq < from && reaches(head, next);
                snapshots.find(&*codec, seat, |generations| generations.reverse(), before)
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
            next_offset,
            read: Vec::new().into_iter(),
        };
        while from.is_some_and(|from| shadow.recorded.head.seq + 1 < from) {
            let Some(record) = shadow.next(log)? else {
                break;
            };
            shadow.fold(&record)?;
        }
        shadow.agree();
        Ok(shadow)
    }

    /// The number of the last transition that was passed.
    pub fn seq(&self) -> u64 {
        self.recorded.head.seq
    }

    /// How many records of the journal are left.
    pub fn left(&self, log: &dyn Log) -> u64 {
        log.end(self.seat.journal())
            .saturating_sub(self.next_offset)
    }

    /// Decides the next transition; none at the journal's end.
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
        let inputs = self.inputs(log, &transition.inputs)?;
        let decided = self.decide_all(&inputs, transition.now, recorded.len())?;
        self.fold(&record)?;
        let (seq, events) = (transition.seq, recorded.len() as u64);
        let differences = self.differences(seq, recorded, decided);
        if !differences.is_empty() {
            self.agree();
        }
        Ok(Some(Again {
            seq,
            events,
            differences,
        }))
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
        self.machine = same(&*self.codec, &self.recorded.machine);
    }

    /// What a transition took, as it was decided about: messages that an operator has skipped are not.
    fn inputs(&self, log: &dyn Log, taken: &[Taken]) -> Result<Vec<Input<C>>, Error> {
        let mut skips = self.recorded.head.skips.clone();
        let mut inputs = Vec::new();
        for taken in taken {
            match *taken {
                Taken::Timer => inputs.push(self.codec.timer()),
                Taken::Skip { source, number, .. } => {
                    skips.insert((source, number));
                }
                Taken::Recorded {
                    from,
                    offset,
                    count,
                } => {
                    for record in records(log, from, offset, count)? {
                        inputs.push(self.command(from, &record)?);
                    }
                }
                Taken::Lane {
                    from,
                    offset,
                    first,
                    count,
                    ..
                } => {
                    for record in records(log, from, offset, count.min(1))? {
                        let numbers = first..first + count;
                        inputs.extend(self.messages(from, &record, numbers, &skips)?);
                    }
                }
            }
        }
        Ok(inputs)
    }

    fn unreadable(&self, from: TopicPartition, offset: u64, source: DecodeError) -> Error {
        Error::Unreadable {
            journal: self.seat.journal(),
            from,
            offset,
            source,
        }
    }

    fn command(&self, from: TopicPartition, record: &Record) -> Result<Input<C>, Error> {
        let input = command::decode(&record.payload)
            .and_then(|(_, input)| self.codec.decode_input(from.topic, input));
        input.map_err(|source| self.unreadable(from, record.offset, source))
    }

    fn messages(
        &self,
        from: TopicPartition,
        record: &Record,
        numbers: std::ops::Range<u64>,
        skips: &BTreeSet<(TopicPartition, u64)>,
    ) -> Result<Vec<Input<C>>, Error> {
        let unreadable = |source| self.unreadable(from, record.offset, source);
        let run = Run::decode(&record.payload).map_err(unreadable)?;
        let mut inputs = Vec::new();
        for message in run.messages() {
            let (number, bytes) = message.map_err(unreadable)?;
            if numbers.contains(&number) && !skips.contains(&(run.source, number)) {
                let input = self.codec.decode_input(from.topic, bytes);
                inputs.push(input.map_err(unreadable)?);
            }
        }
        Ok(inputs)
    }

    /// Decides the inputs in their order. What follows from one comes before the next; what follows from
    /// the last is in this transition as far as the journal has room for it here.
    fn decide_all(
        &mut self,
        inputs: &[Input<C>],
        now: Micros,
        room: usize,
    ) -> Result<Vec<Event<C>>, Error> {
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

/// `count` records, one offset after the other.
fn records(
    log: &dyn Log,
    from: TopicPartition,
    offset: u64,
    count: u64,
) -> Result<Vec<Record>, ReadError> {
    let (mut found, end) = (Vec::new(), offset + count);
    while (found.len() as u64) < count {
        let next = offset + found.len() as u64;
        let more = log.read(from, next, READ_BYTES)?;
        if more.first().is_none_or(|first| first.offset != next) {
            return Err(ReadError::Damaged(format!(
                "{from} has no record at offset {next}"
            )));
        }
        found.extend(more.into_iter().take_while(|record| record.offset < end));
    }
    Ok(found)
}
