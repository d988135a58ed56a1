//! The state of a stage partition: the fold of its journal, and of nothing else.

use std::collections::{BTreeMap, BTreeSet};

use prepx_bus::TopicPartition;
use prepx_domain::{Machine, Micros};

use crate::DecodeError;
use crate::codec::Codec;
use crate::decide::outbox::Outbox;
use crate::journal::transition::{Taken, Transition};
use crate::lane::Gap;
use crate::topology::Seat;

/// How far a stage partition has come: what its journal says beside the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Of the last transition.
    pub epoch: u32,
    /// Of the last transition; 0 before the first.
    pub seq: u64,
    /// Of the last transition. Time never goes back.
    pub now: Micros,
    /// The hash over all events.
    pub state_hash: u64,
    /// How many events there have been in all.
    pub events: u64,
    /// The last number taken on each lane, by the journal of its source.
    pub received: BTreeMap<TopicPartition, u64>,
    /// The last number sent on each lane, by where it goes.
    pub sent: BTreeMap<TopicPartition, u64>,
    /// The next offset to take of each partition that inputs are read from.
    pub consumed: BTreeMap<TopicPartition, u64>,
    /// Messages that will not be decided when they come, by the journal of their source: an
    /// operator has said so.
    pub skips: BTreeSet<(TopicPartition, u64)>,
}

impl Head {
    /// The numbers of the messages after `last` of a lane that are to be skipped.
    pub(crate) fn skips_after(&self, source: TopicPartition, last: u64) -> Vec<u64> {
        let from = (source, last.saturating_add(1))..=(source, u64::MAX);
        self.skips.range(from).map(|skip| skip.1).collect()
    }

    /// Takes note of an input, and finds out whether it is the next one.
    pub(crate) fn take(&mut self, taken: &Taken) -> Result<(), Gap> {
        match *taken {
            Taken::Timer => {}
            Taken::Skip { source, number, .. } => {
                self.skips.insert((source, number));
            }
            Taken::Recorded {
                from,
                offset,
                count,
            } => {
                self.consumed.insert(from, offset + count);
            }
            Taken::Lane {
                source,
                from,
                offset,
                first,
                count,
                whole,
            } => {
                let last = self.received.entry(source).or_default();
                if count > 0 && first != *last + 1 {
                    return Err(Gap {
                        source_journal: source,
                        last: *last,
                        found: first,
                    });
                }
                *last += count;
                let last = *last;
                self.skips.retain(|skip| skip.0 != source || skip.1 > last);
                // What is left is found by reading the record again.
                self.consumed.insert(from, offset + u64::from(whole));
            }
        }
        Ok(())
    }
}

/// Why a journal record does not follow what was folded before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The bytes are no transition, or an event in them is unknown.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A transition is missing or comes twice.
    #[error("transition {found} follows transition {last}")]
    Sequence {
        /// The last one folded.
        last: u64,
        /// The one that came.
        found: u64,
    },
    /// A stale owner's transition after its successor's.
    #[error("a transition of epoch {found} follows one of epoch {last}")]
    Epoch {
        /// Of the last one folded.
        last: u32,
        /// Of the one that came.
        found: u32,
    },
    /// A transition that was decided before the one that it follows.
    #[error("a transition at {found} follows one at {last}; time never goes back")]
    Time {
        /// Of the last one folded.
        last: Micros,
        /// Of the one that came.
        found: Micros,
    },
    /// The events are not those that the owner had decided.
    #[error(
        "the events of transition {seq} give the hash {computed:016x}; {recorded:016x} was recorded"
    )]
    Hash {
        /// Which transition.
        seq: u64,
        /// Over the events as they are.
        computed: u64,
        /// In the record.
        recorded: u64,
    },
    /// A message of a lane was not taken.
    #[error(transparent)]
    Gap(#[from] Gap),
}

/// A machine with its head.
pub struct State<C: Codec> {
    /// The pure part.
    pub machine: C::Machine,
    /// How far it has come.
    pub head: Head,
}

impl<C: Codec> State<C> {
    /// The state before the first transition.
    pub fn initial(codec: &C) -> State<C> {
        State {
            machine: codec.initial(),
            head: Head::default(),
        }
    }

    /// Folds the next journal record.
    pub fn fold(&mut self, codec: &C, record: &[u8]) -> Result<(), FoldError> {
        self.fold_with(codec, record, |_, _, _| {})
    }

    /// Folds the next journal record and derives again what its events told others.
    pub(crate) fn fold_into(
        &mut self,
        codec: &C,
        record: &[u8],
        outbox: &mut Outbox<C>,
    ) -> Result<(), FoldError> {
        let mut outputs = Vec::new();
        self.fold_with(codec, record, |machine, event, now| {
            machine.outputs(event, now, &mut outputs);
            for output in outputs.drain(..) {
                outbox.push(codec, output, None);
            }
        })
    }

    fn fold_with(
        &mut self,
        codec: &C,
        record: &[u8],
        mut applied: impl FnMut(&C::Machine, &crate::Event<C>, Micros),
    ) -> Result<(), FoldError> {
        let transition = Transition::decode(record)?;
        self.check(&transition)?;
        for event in transition.events() {
            let event = codec.decode_event(event?)?;
            self.machine.apply(&event);
            applied(&self.machine, &event, transition.now);
        }
        for taken in &transition.inputs {
            self.head.take(taken)?;
        }
        self.head.sent.extend(transition.sent);
        self.head.epoch = transition.epoch;
        self.head.seq = transition.seq;
        self.head.now = transition.now;
        self.head.state_hash = transition.state_hash;
        self.head.events += transition.event_count as u64;
        Ok(())
    }

    /// Everything that can be checked before anything is changed.
    fn check(&self, transition: &Transition<'_>) -> Result<(), FoldError> {
        let head = &self.head;
        if transition.seq != head.seq + 1 {
            return Err(FoldError::Sequence {
                last: head.seq,
                found: transition.seq,
            });
        }
        if transition.epoch < head.epoch {
            return Err(FoldError::Epoch {
                last: head.epoch,
                found: transition.epoch,
            });
        }
        if transition.now < head.now {
            return Err(FoldError::Time {
                last: head.now,
                found: transition.now,
            });
        }
        let computed = transition.hash_after(head.state_hash);
        if computed != transition.state_hash {
            return Err(FoldError::Hash {
                seq: transition.seq,
                computed,
                recorded: transition.state_hash,
            });
        }
        Ok(())
    }
}

/// A record of a journal that could not be folded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} at offset {offset}: {source}", seat.journal())]
pub struct BadRecord {
    /// Whose journal.
    pub seat: Seat,
    /// Which record.
    pub offset: u64,
    /// Why.
    pub source: FoldError,
}
