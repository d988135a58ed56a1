//! One stage partition on a log that nobody runs ahead of: the counterpart of the [`Pipeline`](crate::Pipeline).
//!
//! Owns one partition, how far its inputs are read, and the decisions that it may not release yet. Inputs come from durable
//! records only (commands of its own topic, lanes of the other stage) and from timers. The inputs at hand become one
//! transition with everything that follows from them. The next one may be decided while that is in flight, because batches
//! of one owner keep their order: if one is lost, so are all behind it, and this station with them. A reply goes to
//! `command-replies` when its transition is durable (I8).
//!
//! Refuses to continue after an error: its driver then drops it, with everything that was not durable, and a new station
//! continues from the journal. It has no thread and no clock of its own: a process drives it when the log has news, the
//! simulation whenever it wants to.

use std::collections::VecDeque;
use std::sync::Arc;

use prepx_bus::{AppendError, Batch, Log, Position, Progress, Topic, TopicPartition};
use prepx_domain::Micros;

use crate::codec::{Codec, Output};
use crate::command::{self, ReplyTo};
use crate::decide::cell::{Cell, Step, Work};
use crate::decide::feed;
use crate::decide::partition::Partition;
use crate::decide::pipeline::Turn;
use crate::error::Error;
use crate::recovery::standby::Origin;
use crate::recovery::takeover::Takeover;
use crate::topology::{Seat, Topology};

/// How much is read of each source at once: about as much as a transition takes.
const READ_BYTES: usize = 256 << 10;
/// The most transitions of a turn, so that reads of its memory get their turn.
const TRANSITIONS_MAX: usize = 16;
/// A record of replies ends at this size.
const REPLIES_BYTES: usize = 64 << 10;

/// How a station reaches the log.
pub struct Handles {
    /// Of its own: a handle one of whose batches is lost to a fence is good for nothing more.
    pub own: Arc<dyn Log>,
    /// Where it sends replies. A handle that outlives the station: what it made durable before it was fenced is answered
    /// all the same.
    pub replies: Arc<dyn Log>,
}

/// The owner of one partition. See the module's documentation.
pub struct Station<C: Codec> {
    log: Arc<dyn Log>,
    /// See [`Handles::replies`].
    replies: Arc<dyn Log>,
    cell: Cell<C>,
    /// The next offsets to read of commands and lanes; ahead of what is taken by the contents of the inbox.
    sources: [(TopicPartition, u64); 2],
    /// Who waits for the commands that are read but not decided, in the order of their offsets.
    asked: VecDeque<(u64, ReplyTo)>,
    /// Replies that are decided but not sent, in the order of positions.
    decided: VecDeque<PendingReply<C>>,
    /// The end of the last transition.
    head: Position,
    /// The end of the last replies, on their handle.
    replied: Position,
}

/// A reply that may be sent when its position is durable.
struct PendingReply<C: Codec> {
    position: Position,
    reply_to: ReplyTo,
    reply: Option<Output<C>>,
}

impl<C: Codec> Station<C> {
    /// Takes a partition over. The first [`Self::turn`] records the new epoch and, if `takeover` says so, sends again what
    /// may not have been sent.
    ///
    /// # Errors
    /// As [`Partition::open`].
    pub fn open(
        codec: Arc<C>,
        seat: Seat,
        topology: Topology,
        handles: Handles,
        origin: &impl Origin<C>,
        takeover: Takeover<'_>,
    ) -> Result<Station<C>, Error> {
        let Handles { own: log, replies } = handles;
        // The first look at a partition only has it fetched, while the owner before is fenced.
        for (from, next) in origin.inputs() {
            // Whatever is wrong is met again when it is read.
            let _ = log.poll(from, next, 0);
        }
        let partition = Partition::open(codec, seat, topology, &*log, origin, takeover)?;
        let source = |from| (from, partition.next_offset(from));
        Ok(Station {
            sources: [seat.commands(), seat.lanes()].map(source),
            head: log.durable(),
            replied: replies.durable(),
            cell: Cell::new(partition, VecDeque::new()),
            asked: VecDeque::new(),
            decided: VecDeque::new(),
            log,
            replies,
        })
    }

    /// Has the partition check its timers at the next turn.
    pub fn tick(&mut self) {
        self.cell.tick();
    }

    /// Sends the replies of what has become durable, then decides the inputs at hand, in a bounded number of transitions.
    ///
    /// # Errors
    /// Whatever ends this owner: a fence, a failed log, a gap, an input that cannot be decided.
    pub fn turn(&mut self, now: Micros) -> Result<Turn, Error> {
        self.go_on(now).map_err(|error| self.judge(error))
    }

    /// An owner that has been fenced without knowing it reads answers to requests of its successor. Its machine cannot
    /// decide them, but they are not poison, and nobody must skip one.
    fn judge(&self, error: Error) -> Error {
        let owner = self.cell.partition.owner();
        match error {
            Error::Append(_) => error,
            _ if matches!(self.log.holds(owner), Ok(false)) => {
                let current = owner.epoch + 1;
                Error::Append(AppendError::Fenced { owner, current })
            }
            error => error,
        }
    }

    fn go_on(&mut self, now: Micros) -> Result<Turn, Error> {
        // Looked at first: what became durable before a failure is answered.
        let progress = self.log.watermark().progress();
        self.send_replies()?;
        if let Progress::Failed(poisoned) = progress {
            return Err(AppendError::Poisoned(poisoned).into());
        }
        for _ in 0..TRANSITIONS_MAX {
            self.read()?;
            match self.cell.step(&*self.log, now)? {
                Step::Idle => return Ok(Turn::Idle),
                Step::Blocked => return Ok(Turn::Blocked),
                Step::Went(None) => {}
                Step::Went(Some(position)) => self.note(position),
            }
        }
        Ok(Turn::More)
    }

    /// Sends the replies of what has become durable and decides nothing more: for an owner that gives its partition up, or
    /// has been fenced. Returns whether everything it has decided is now durable or lost, and what is durable is answered.
    ///
    /// # Errors
    /// When replies cannot be sent.
    pub fn settle(&mut self) -> Result<bool, Error> {
        let is_lost = self.log.watermark().failure().is_some();
        self.send_replies()?;
        let is_durable = self.decided.is_empty() && self.head <= self.log.durable();
        Ok((is_durable || is_lost) && self.replied <= self.replies.durable())
    }

    /// As [`Partition::limit_room`].
    pub fn limit_room(&mut self, bytes: usize) {
        self.cell.partition.limit_room(bytes);
    }

    /// The current partition: what is read from it may be shown once [`Self::head`] is durable.
    pub fn partition(&self) -> &Partition<C> {
        &self.cell.partition
    }

    /// The end of the last transition.
    pub fn head(&self) -> Position {
        self.head
    }

    /// Reads each source, once everything read before is decided.
    fn read(&mut self) -> Result<(), Error> {
        let Cell {
            partition, inbox, ..
        } = &mut self.cell;
        if !inbox.is_empty() {
            return Ok(());
        }
        for (from, next) in &mut self.sources {
            for record in self.log.poll(*from, *next, READ_BYTES)? {
                let work = feed::decode(partition, *from, &record)?;
                if let Work::Recorded {
                    offset,
                    reply_to: Some(reply_to),
                    ..
                } = work
                {
                    self.asked.push_back((offset, reply_to));
                }
                *next = record.offset + 1;
                inbox.push_back(work);
            }
        }
        Ok(())
    }

    /// Queues the answers of an accepted transition until it is durable.
    fn note(&mut self, position: Position) {
        self.head = position;
        for answer in self.cell.partition.drain_answers() {
            // Both are in the order of offsets.
            let asked = self.asked.pop_front();
            let asked = asked.filter(|(offset, _)| *offset == answer.token);
            let (_, reply_to) = asked.expect("an answer is to a command that was read");
            self.decided.push_back(PendingReply {
                position,
                reply_to,
                reply: answer.reply,
            });
        }
    }

    /// Sends the replies of durable transitions; those that do not fit into the log stay for the next turn.
    fn send_replies(&mut self) -> Result<(), Error> {
        let durable = self.log.durable();
        loop {
            let due = self.decided.iter();
            let due = due.take_while(|reply| reply.position <= durable);
            let Some(to) = due.clone().next().map(|reply| reply.reply_to.partition) else {
                break;
            };
            let (batch, count) = self.reply_batch(to, due);
            match self.replies.append(None, &batch) {
                Err(AppendError::Full { .. }) => break,
                // The caller gets the decision by asking again.
                Err(AppendError::UnknownPartition(partition)) => {
                    tracing::error!(%partition, "replies are wanted in a partition that does not exist");
                }
                sent => self.replied = sent?,
            }
            self.decided.drain(..count);
        }
        Ok(())
    }

    /// One record with the consecutive replies to the same partition, and how many they are.
    fn reply_batch<'a>(
        &'a self,
        partition: u32,
        due: impl Iterator<Item = &'a PendingReply<C>>,
    ) -> (Batch, usize) {
        let codec = self.cell.partition.codec();
        let (mut bytes, mut replies) = (0, Vec::new());
        for pending in due {
            if pending.reply_to.partition != partition || bytes > REPLIES_BYTES {
                break;
            }
            let mut reply = Vec::new();
            if let Some(output) = &pending.reply {
                codec.encode_output(output, &mut reply);
            }
            bytes += reply.len();
            replies.push((
                pending.reply_to.token,
                pending.reply.as_ref().map(|_| reply),
            ));
        }
        let mut batch = Batch::new();
        batch.push_with(Topic::CommandReplies.partition(partition), |to| {
            command::encode_replies(&replies, to);
        });
        (batch, replies.len())
    }
}
