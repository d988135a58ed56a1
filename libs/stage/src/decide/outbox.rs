//! The messages of one transition: outputs collected into runs, lane by lane.

use prepx_bus::{Batch, Log, TopicPartition};
use prepx_trace::{Trace, Traces};

use crate::codec::{Codec, Output, Route};
use crate::journal::wire::put_prefixed;
use crate::lane;
use crate::topology::{Seat, Topology};

/// A run ends at this size, which bounds what a receiver has to take at once.
const RUN_BYTES: usize = 64 << 10;

/// Messages of one transition on one lane, as bytes and as typed values.
pub(crate) struct Run<S> {
    pub to: TopicPartition,
    /// The offset that the record will have.
    pub offset: u64,
    pub first: u64,
    pub count: u64,
    bytes: Vec<u8>,
    pub typed: Vec<S>,
    pub traces: Traces,
}

struct Lane {
    to: TopicPartition,
    /// The last number given out.
    last: u64,
    /// The run of this lane that is still open.
    open: Option<usize>,
}

pub(crate) struct Outbox<C: Codec> {
    seat: Seat,
    topology: Topology,
    lanes: Vec<Lane>,
    runs: Vec<Run<C::Sends>>,
    /// The bytes of all runs.
    bytes: usize,
    scratch: Vec<u8>,
    spare: Vec<Vec<u8>>,
}

impl<C: Codec> Outbox<C> {
    /// An empty outbox that continues after the last numbers of `sent`.
    pub fn new(
        seat: Seat,
        topology: Topology,
        sent: impl IntoIterator<Item = (TopicPartition, u64)>,
    ) -> Outbox<C> {
        let mut outbox = Outbox {
            seat,
            topology,
            lanes: Vec::new(),
            runs: Vec::new(),
            bytes: 0,
            scratch: Vec::new(),
            spare: Vec::new(),
        };
        outbox.go_on_after(sent);
        outbox
    }

    /// Sets the last number of each lane.
    pub fn go_on_after(&mut self, sent: impl IntoIterator<Item = (TopicPartition, u64)>) {
        let lane = |(to, last)| Lane {
            to,
            last,
            open: None,
        };
        self.lanes = sent.into_iter().map(lane).collect();
    }

    /// Takes an output, which belongs to `trace` if given; returns it if it is a reply, which has no lane.
    pub fn push(
        &mut self,
        codec: &C,
        output: Output<C>,
        trace: Option<Trace>,
    ) -> Option<Output<C>> {
        let (topic, only) = match codec.route(&output) {
            Route::Reply => return Some(output),
            Route::Own(topic) => (topic, Some(self.seat.partition)),
            Route::Every(topic) => (topic, None),
            Route::Slot(topic, slot) => {
                let partitions = self.topology.partitions(topic);
                (topic, Some(slot.partition(partitions)))
            }
        };
        self.scratch.clear();
        let mut scratch = std::mem::take(&mut self.scratch);
        put_prefixed(&mut scratch, |to| {
            prepx_trace::put(trace, to);
            codec.encode_output(&output, to);
        });
        let typed = codec.forward(output);
        match only {
            Some(partition) => self.send(topic.partition(partition), &scratch, typed, trace),
            None => {
                for partition in 0..self.topology.partitions(topic) {
                    self.send(topic.partition(partition), &scratch, typed.clone(), trace);
                }
            }
        }
        self.scratch = scratch;
        None
    }

    fn send(
        &mut self,
        to: TopicPartition,
        message: &[u8],
        typed: Option<C::Sends>,
        trace: Option<Trace>,
    ) {
        let at = self.lanes.iter().position(|lane| lane.to == to);
        let at = at.unwrap_or_else(|| {
            self.lanes.push(Lane {
                to,
                last: 0,
                open: None,
            });
            self.lanes.len() - 1
        });
        let lane = &mut self.lanes[at];
        lane.last += 1;
        let open = lane
            .open
            .filter(|&run| self.runs[run].bytes.len() < RUN_BYTES);
        let run = open.unwrap_or_else(|| {
            self.runs.push(Run {
                to,
                offset: 0,
                first: lane.last,
                count: 0,
                bytes: self.spare.pop().unwrap_or_default(),
                typed: Vec::new(),
                traces: Traces::default(),
            });
            self.runs.len() - 1
        });
        lane.open = Some(run);
        let run = &mut self.runs[run];
        self.bytes += message.len();
        run.traces.push(run.count as usize, trace);
        run.count += 1;
        run.bytes.extend_from_slice(message);
        run.typed.extend(typed);
    }

    /// The size of what the open transition sends.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The last number of every lane that was ever sent on.
    pub fn lanes(&self) -> impl Iterator<Item = (TopicPartition, u64)> {
        self.lanes.iter().map(|lane| (lane.to, lane.last))
    }

    /// The last number of each lane that the open transition sends on.
    pub fn sent(&self) -> impl Iterator<Item = (TopicPartition, u64)> {
        let open = self.lanes.iter().filter(|lane| lane.open.is_some());
        open.map(|lane| (lane.to, lane.last))
    }

    /// Adds a record for each run.
    pub fn encode(&self, seq: u64, batch: &mut Batch) {
        for run in &self.runs {
            let header = lane::Header {
                source: self.seat.journal(),
                seq,
                first: run.first,
                count: run.count,
            };
            batch.push_with(run.to, |to| lane::encode(&header, &run.bytes, to));
        }
    }

    /// Determines which offsets the records will have if they are appended now.
    pub fn assign_offsets(&mut self, log: &dyn Log) {
        for at in 0..self.runs.len() {
            let to = self.runs[at].to;
            let before = self.runs[..at].iter().filter(|run| run.to == to).count();
            self.runs[at].offset = log.accepted_end(to) + before as u64;
        }
    }

    /// Empties the outbox for the next transition. The runs come in the order of their records.
    pub fn drain(&mut self) -> impl Iterator<Item = Run<C::Sends>> {
        for lane in &mut self.lanes {
            lane.open = None;
        }
        self.bytes = 0;
        let spare = &mut self.spare;
        self.runs.drain(..).map(|mut run| {
            let mut bytes = std::mem::take(&mut run.bytes);
            bytes.clear();
            spare.push(bytes);
            run
        })
    }
}
