//! The state of a stage partition: the fold of its journal and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use prepx_bus::TopicPartition;
use prepx_domain::{Machine, Micros};

use crate::DecodeError;
use crate::codec::Codec;
use crate::decide::outbox::Outbox;
use crate::journal::transition::{Taken, Transition};
use crate::lane::Gap;
use crate::topology::Seat;

/// How far a stage partition has come: what its journal says besides the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The owner's epoch in the last transition.
    pub epoch: u32,
    /// The number of the last transition; 0 before the first.
    pub seq: u64,
    /// The time of the last transition. It never goes back.
    pub now: Micros,
    /// The hash over all events.
    pub state_hash: u64,
    /// The number of events so far.
    pub events: u64,
    /// The last number received on each lane, by the journal of its source.
    pub received: BTreeMap<TopicPartition, u64>,
    /// The last number sent on each lane, by its destination.
    pub sent: BTreeMap<TopicPartition, u64>,
    /// The next offset to read in each partition from which inputs are read.
    pub consumed: BTreeMap<TopicPartition, u64>,
    /// Messages that will be skipped when they come because an operator said so, by the journal of their
    /// source.
    pub skips: BTreeSet<(TopicPartition, u64)>,
}

impl Head {
    /// The numbers of the messages after `last` of a lane that are to be skipped.
    pub(crate) fn skips_after(&self, source: TopicPartition, last: u64) -> Vec<u64> {
        let from = (source, last.saturating_add(1))..=(source, u64::MAX);
        self.skips.range(from).map(|skip| skip.1).collect()
    }

    /// Notes an input, and checks that it is the next one.
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
                // The rest is found by reading the record again.
                self.consumed.insert(from, offset + u64::from(whole));
            }
        }
        Ok(())
    }
}

/// Why a journal record does not follow from those that were folded before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The bytes are not a transition, or an event in them is unknown.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A transition is missing or repeated.
    #[error("transition {found} follows transition {last}")]
    Sequence {
        /// The last one that was folded.
        last: u64,
        /// The one that was read.
        found: u64,
    },
    /// A transition of a stale owner comes after one of its successor.
    #[error("a transition of epoch {found} follows one of epoch {last}")]
    Epoch {
        /// The epoch of the last one that was folded.
        last: u32,
        /// The epoch of the one that was read.
        found: u32,
    },
    /// A transition has an earlier time than the one before it.
    #[error("a transition at {found} follows one at {last}; time never goes back")]
    Time {
        /// The time of the last one that was folded.
        last: Micros,
        /// The time of the one that was read.
        found: Micros,
    },
    /// The events are not those that the owner decided.
    #[error(
        "the events of transition {seq} give the hash {computed:016x}; {recorded:016x} was recorded"
    )]
    Hash {
        /// The transition.
        seq: u64,
        /// The hash over the events as they are.
        computed: u64,
        /// The hash in the record.
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

    /// Folds the next journal record, and derives again the outputs of its events.
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

    /// Checks everything that can be checked before anything is changed.
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
    /// The partition.
    pub seat: Seat,
    /// The offset of the record.
    pub offset: u64,
    /// The cause.
    pub source: FoldError,
}
