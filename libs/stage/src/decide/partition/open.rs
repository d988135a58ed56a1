//! The open transition of a partition: what it has taken and decided since the last append. Its buffers are
//! reused.

use prepx_bus::Batch;
use prepx_domain::Micros;

use super::Answer;
use crate::codec::{Codec, Event, Output};
use crate::journal::transition::Taken;

/// The transition that takes inputs or waits to be appended. Kept for its buffers.
pub(super) struct Open<C: Codec> {
    /// Whether there is something that must be recorded.
    pub begun: bool,
    /// Whether it is encoded and takes nothing more.
    pub sealed: bool,
    pub now: Micros,
    /// The offset of the next command that is recorded with this transition.
    pub command_next: u64,
    pub taken: Vec<Taken>,
    pub inputs: usize,
    pub event_count: usize,
    pub event_bytes: Vec<u8>,
    pub batch: Batch,
    pub answers: Vec<Answer<Output<C>>>,
    pub events: Vec<Event<C>>,
    pub outputs: Vec<Output<C>>,
}

impl<C: Codec> Open<C> {
    pub(super) fn new() -> Open<C> {
        Open {
            begun: false,
            sealed: false,
            now: Micros(0),
            command_next: 0,
            taken: Vec::new(),
            inputs: 0,
            event_count: 0,
            event_bytes: Vec::new(),
            batch: Batch::new(),
            answers: Vec::new(),
            events: Vec::new(),
            outputs: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.begun = false;
        self.sealed = false;
        self.taken.clear();
        self.inputs = 0;
        self.event_count = 0;
        self.event_bytes.clear();
        self.batch.clear();
    }

    /// Notes an input, together with its neighbour if that is what came before.
    pub(super) fn note(&mut self, taken: Taken) {
        if let (
            Some(Taken::Recorded {
                from,
                offset,
                count,
            }),
            Taken::Recorded {
                from: next_from,
                offset: next_offset,
                count: more,
            },
        ) = (self.taken.last_mut(), &taken)
            && *from == *next_from
            && *offset + *count == *next_offset
        {
            *count += more;
            return;
        }
        self.taken.push(taken);
    }
}
