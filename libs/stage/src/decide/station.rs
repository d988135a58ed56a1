//! One stage partition on a log that nobody runs ahead of: the counterpart of the [`Pipeline`](crate::Pipeline).
//!
//! Owns one partition, how far its inputs are read, and what it has decided but may not tell yet.
//! Inputs come from durable records only: commands of its own topic, lanes of the other stage, timers.
//! What is there becomes one transition with everything that follows from it. The next one may be
//! decided while that is in flight, because batches of one owner keep their order: if one is lost, all
//! behind it are, and this station with them. Replies go to `command-replies` when the transition that
//! they follow from is durable (I8).
//!
//! Refuses: to go on after an error. Its driver drops it then, with everything that was not durable; a new
//! station finds the journal as it is. No thread and no clock of its own: a process drives it when the log has
//! news, the simulation whenever it wants to.

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

/// What is read of each source before it is decided: about as much as a transition takes.
const READ_BYTES: usize = 256 << 10;
/// A turn decides no more transitions than this, so that reads of its memory have their turn.
const TRANSITIONS_MAX: usize = 16;
/// A record of replies is closed at this size.
const REPLIES_BYTES: usize = 64 << 10;

/// The owner of one partition. See the module's documentation.
pub struct Station<C: Codec> {
    log: Arc<dyn Log>,
    cell: Cell<C>,
    /// Where to read commands and lanes on; ahead of what is taken by what the inbox has.
    sources: [(TopicPartition, u64); 2],
    /// Who waits for the commands that are read and not decided, in the order of their offsets.
    asked: VecDeque<(u64, ReplyTo)>,
    /// What is decided and not told, in the order of positions.
    decided: VecDeque<PendingReply<C>>,
    /// The end of the last transition.
    head: Position,
    /// The end of the last replies.
    told: Position,
}

/// A reply that may be sent when its position is durable.
struct PendingReply<C: Codec> {
    position: Position,
    reply_to: ReplyTo,
    reply: Option<Output<C>>,
}

impl<C: Codec> Station<C> {
    /// Takes a partition over. The first [`Self::turn`] records the new epoch, and sends again what may
    /// not have left if `takeover` says so.
    ///
    /// `log` is a handle of its own: one whose batch is lost to a fence is good for nothing more.
    ///
    /// # Errors
    /// As [`Partition::open`].
    pub fn open(
        codec: Arc<C>,
        seat: Seat,
        topology: Topology,
        log: Arc<dyn Log>,
        origin: &impl Origin<C>,
        takeover: Takeover<'_>,
    ) -> Result<Station<C>, Error> {
        let partition = Partition::open(codec, seat, topology, &*log, origin, takeover)?;
        let source = |from| (from, partition.next_offset(from));
        Ok(Station {
            sources: [seat.commands(), seat.lanes()].map(source),
            head: log.durable(),
            told: log.durable(),
            cell: Cell::new(partition, VecDeque::new()),
            asked: VecDeque::new(),
            decided: VecDeque::new(),
            log,
        })
    }

    /// Lets the partition look whether something is due, at the next turn.
    pub fn tick(&mut self) {
        self.cell.tick();
    }

    /// Tells what has become durable, then decides what is at hand, in a bounded number of transitions.
    ///
    /// # Errors
    /// Whatever ends this owner: a fence, a failed log, a gap, an input that cannot be decided.
    pub fn turn(&mut self, now: Micros) -> Result<Turn, Error> {
        self.go_on(now).map_err(|error| self.judge(error))
    }

    /// Whoever has been fenced and does not know it reads answers to what only its successor has asked.
    /// Its machine cannot decide them, but nothing is wrong with them, and nobody is to skip one.
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
        self.tell()?;
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

    /// Tells what has become durable and decides nothing more: for an owner that is to let go. Whether all that
    /// it has decided is durable and told by now, and that too.
    ///
    /// # Errors
    /// As [`Self::turn`].
    pub fn settle(&mut self) -> Result<bool, Error> {
        self.tell()?;
        let last = self.head.max(self.told);
        Ok(self.decided.is_empty() && last <= self.log.durable())
    }

    /// As [`Partition::limit_room`].
    pub fn limit_room(&mut self, bytes: usize) {
        self.cell.partition.limit_room(bytes);
    }

    /// The partition as it is now: what is read from it may be told when [`Self::head`] is durable.
    pub fn partition(&self) -> &Partition<C> {
        &self.cell.partition
    }

    /// The end of the last transition.
    pub fn head(&self) -> Position {
        self.head
    }

    /// Takes what is at hand of each source, once all before it is decided.
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

    /// A transition is accepted: its answers wait for it to be durable.
    fn note(&mut self, position: Position) {
        self.head = position;
        for answer in self.cell.partition.drain_answers() {
            // Both are in the order of offsets, and whoever is answered has asked.
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

    /// Sends the replies to what is durable; those that find no room stay for the next turn.
    fn tell(&mut self) -> Result<(), Error> {
        let progress = self.log.watermark().progress();
        let durable = self.log.durable();
        loop {
            let due = self.decided.iter();
            let due = due.take_while(|told| told.position <= durable);
            let Some(to) = due.clone().next().map(|told| told.reply_to.partition) else {
                break;
            };
            let (batch, told) = self.replies(to, due);
            match self.log.append(None, &batch) {
                Err(AppendError::Full { .. }) => break,
                // Who waited hears of it by asking again: the decision stands.
                Err(AppendError::UnknownPartition(partition)) => {
                    tracing::error!(%partition, "replies are wanted where nothing can be");
                }
                sent => self.told = sent?,
            }
            self.decided.drain(..told);
        }
        match progress {
            Progress::Failed(poisoned) => Err(AppendError::Poisoned(poisoned).into()),
            Progress::Durable(_) => Ok(()),
        }
    }

    /// One record with the neighbouring replies that go to the same partition, and how many they are.
    fn replies<'a>(
        &'a self,
        partition: u32,
        due: impl Iterator<Item = &'a PendingReply<C>>,
    ) -> (Batch, usize) {
        let codec = self.cell.partition.codec();
        let (mut bytes, mut replies) = (0, Vec::new());
        for told in due {
            if told.reply_to.partition != partition || bytes > REPLIES_BYTES {
                break;
            }
            let mut reply = Vec::new();
            if let Some(output) = &told.reply {
                codec.encode_output(output, &mut reply);
            }
            bytes += reply.len();
            replies.push((told.reply_to.token, told.reply.as_ref().map(|_| reply)));
        }
        let mut batch = Batch::new();
        batch.push_with(Topic::CommandReplies.partition(partition), |to| {
            command::encode_replies(&replies, to);
        });
        (batch, replies.len())
    }
}
