//! The commands that one process has put on the log, and their replies.
//!
//! Owns: the tokens of waiting commands, repeating those without a reply, and giving up. Bounded (I10). A
//! reply is passed on as it is read, so only what is durable is passed on (I8). Refuses: to know what a
//! command says, to read a clock, and to give up on a command while its reply may be at hand.
//!
//! A command that was given up may have taken effect, may do so later, or never; that is what its caller is
//! told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prepx_bus::{AppendError, Batch, Log, Poisoned, Progress, ReadError, TopicPartition};

use crate::DecodeError;
use crate::command::{self, ReplyTo};

/// How much of the replies is read at a time.
const READ_BYTES: usize = 1 << 20;

/// The bounds of a desk.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most commands that may wait.
    pub waiting_max: usize,
    /// A command without a reply is repeated after this time, if it may be.
    pub repeat_after: Duration,
    /// A command without a reply is given up after this time.
    pub give_up_after: Duration,
    /// After this time without waiting commands, replies need not be fetched: all of them are for other
    /// processes.
    pub rest_after: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            waiting_max: 16_384,
            repeat_after: Duration::from_secs(2),
            give_up_after: Duration::from_secs(12),
            rest_after: Duration::from_secs(10),
        }
    }
}

/// A command to be put on the log.
pub struct Question<W> {
    /// The caller that waits for the reply.
    pub who: W,
    /// The command topic of the partition that decides it.
    pub to: TopicPartition,
    /// The command as the stage's codec encodes it.
    pub input: Vec<u8>,
    /// Whether it may be repeated: the stage recognises the repeat and gives the first decision again.
    pub repeats: bool,
}

/// Why a command was not accepted. It had no effect.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Too many commands wait (I10).
    #[error("{0} commands wait for a reply, which is the limit")]
    Waiting(usize),
    /// The log refuses it.
    #[error(transparent)]
    Log(#[from] AppendError),
}

/// Why no more replies can be received.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The replies could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log has failed.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// A record is not a record of replies.
    #[error("{partition} at offset {offset}: {source}")]
    Unreadable {
        /// The partition of the record.
        partition: TopicPartition,
        /// The offset of the record.
        offset: u64,
        /// The cause.
        source: DecodeError,
    },
}

/// See the module's documentation.
pub struct Desk<W> {
    log: Arc<dyn Log>,
    replies: TopicPartition,
    /// The offset to read replies from next.
    next: u64,
    next_token: u64,
    bounds: Bounds,
    waiting: BTreeMap<u64, Waiting<W>>,
}

struct Waiting<W> {
    question: Question<W>,
    /// When it was first put on the log, and when last.
    since: Duration,
    last_sent: Duration,
}

impl<W> Desk<W> {
    /// A desk whose replies arrive on `replies`. Its tokens begin at `first_token`, a random number, so
    /// that no reply to an earlier process is taken for one of its own.
    pub fn open(
        log: Arc<dyn Log>,
        replies: TopicPartition,
        first_token: u64,
        bounds: Bounds,
    ) -> Desk<W> {
        Desk {
            next: log.end(replies),
            log,
            replies,
            next_token: first_token >> 1,
            bounds,
            waiting: BTreeMap::new(),
        }
    }

    /// The number of commands that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Puts a command on the log. Commands to one partition are decided in the order of these calls.
    ///
    /// # Errors
    /// Returns the caller with the reason; nothing was accepted then.
    pub fn ask(&mut self, question: Question<W>, now: Duration) -> Result<(), (W, Refused)> {
        if self.waiting.len() >= self.bounds.waiting_max {
            let refused = Refused::Waiting(self.waiting.len());
            return Err((question.who, refused));
        }
        let token = self.next_token;
        match self.append(token, &question) {
            Ok(()) => {}
            Err(error) => return Err((question.who, error.into())),
        }
        self.next_token += 1;
        let (since, last_sent) = (now, now);
        let waiting = Waiting {
            question,
            since,
            last_sent,
        };
        self.waiting.insert(token, waiting);
        Ok(())
    }

    fn append(&self, token: u64, question: &Question<W>) -> Result<(), AppendError> {
        let reply_to = Some(ReplyTo {
            partition: self.replies.partition,
            token,
        });
        let mut batch = Batch::new();
        let input = |to: &mut Vec<u8>| to.extend_from_slice(&question.input);
        batch.push_with(question.to, |to| command::encode(reply_to, input, to));
        self.log.append(None, &batch).map(drop)
    }

    /// The replies that have arrived, each with the caller that waited for it; without bytes if the stage
    /// gave none.
    ///
    /// # Errors
    /// When no more replies can be received: the commands that wait are never answered.
    pub fn hear(&mut self) -> Result<Vec<(W, Option<Bytes>)>, Error> {
        // Read first, so that replies from before a failure are still received.
        let progress = self.log.watermark().progress();
        let (partition, mut received) = (self.replies, Vec::new());
        for record in self.log.poll(partition, self.next, READ_BYTES)? {
            let offset = record.offset;
            let replies = command::decode_replies(&record.payload);
            let replies = replies.map_err(|source| Error::Unreadable {
                partition,
                offset,
                source,
            })?;
            for (token, reply) in replies {
                // The topic has replies for other processes too, and a repeated command is answered twice.
                if let Some(waiting) = self.waiting.remove(&token) {
                    let reply = reply.map(|bytes| record.payload.slice_ref(bytes));
                    received.push((waiting.question.who, reply));
                }
            }
            self.next = offset + 1;
        }
        match progress {
            Progress::Failed(poisoned) if received.is_empty() => Err(poisoned.into()),
            _ => Ok(received),
        }
    }

    /// Continues at `end`, which was the end of the replies a while ago, unless a command waits: the replies to
    /// later commands come after it.
    pub fn skip_to(&mut self, end: u64) {
        if self.waiting.is_empty() {
            self.next = end.max(self.next);
        }
    }

    /// Repeats commands that have waited long, and gives up those that have waited too long; returns the
    /// callers of the latter.
    pub fn expire(&mut self, now: Duration) -> Vec<W> {
        let give_up = |since: Duration| now.saturating_sub(since) >= self.bounds.give_up_after;
        let old = self
            .waiting
            .extract_if(.., |_, waiting| give_up(waiting.since));
        let given_up = old.map(|(_, waiting)| waiting.question.who).collect();
        let mut repeated = Vec::new();
        for (&token, waiting) in &self.waiting {
            let long = now.saturating_sub(waiting.last_sent) >= self.bounds.repeat_after;
            // If the log refuses it now, it is tried again next time.
            if long && waiting.question.repeats && self.append(token, &waiting.question).is_ok() {
                repeated.push(token);
            }
        }
        for token in repeated {
            if let Some(waiting) = self.waiting.get_mut(&token) {
                waiting.last_sent = now;
            }
        }
        given_up
    }
}
