//! The commands that one process has put on the log, and who waits for their replies.
//!
//! Owns: the ids of waiting commands, repeating those without a reply, and giving up. Bounded (I10).
//! A reply is passed on as it is read, so only what is durable is passed on (I8). Refuses: to know what a
//! command says, to read a clock, and to give up on a command while its reply may be at hand.
//!
//! A command that is given up may have taken effect, or may yet do so, or never; the caller is told just that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prepx_bus::{AppendError, Batch, Log, Poisoned, Progress, ReadError, TopicPartition};

use crate::DecodeError;
use crate::command::{self, ReplyTo};

/// How much of the replies is read at once.
const READ_BYTES: usize = 1 << 20;

/// The bounds of a desk.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most commands that may wait.
    pub waiting_max: usize,
    /// After this long without a reply a command that may be repeated is.
    pub repeat_after: Duration,
    /// After this long nobody waits any more.
    pub give_up_after: Duration,
    /// After this long without anybody who waits, replies need not be fetched: all of them are to others.
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
    /// Who waits.
    pub who: W,
    /// The commands of the partition that decides it.
    pub to: TopicPartition,
    /// What the stage's codec makes of it.
    pub input: Vec<u8>,
    /// Whether the stage knows a repeat of it and gives the first decision again.
    pub repeats: bool,
}

/// Why a command was not accepted. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Too many wait (I10).
    #[error("{0} commands wait for a reply, which is the limit")]
    Waiting(usize),
    /// The log does not take it.
    #[error(transparent)]
    Log(#[from] AppendError),
}

/// Why no reply will be heard here any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The replies could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log has failed.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// A record holds no replies.
    #[error("{partition} at offset {offset}: {source}")]
    Unreadable {
        /// Where.
        partition: TopicPartition,
        /// Which record.
        offset: u64,
        /// Why.
        source: DecodeError,
    },
}

/// See the module's documentation.
pub struct Desk<W> {
    log: Arc<dyn Log>,
    replies: TopicPartition,
    /// Where the replies are read on.
    next: u64,
    next_token: u64,
    bounds: Bounds,
    waiting: BTreeMap<u64, Waiting<W>>,
}

struct Waiting<W> {
    question: Question<W>,
    /// When it was put on the log first, and last.
    since: Duration,
    asked: Duration,
}

impl<W> Desk<W> {
    /// A desk whose replies come to `replies`. Its commands are named from `first_token` on: a random
    /// number, so that no reply to somebody before is taken for one of them.
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

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Puts a command on the log. Commands to one partition are decided in the order of these calls.
    ///
    /// # Errors
    /// Gives who asked back with the reason; nothing was accepted then.
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
        let (since, asked) = (now, now);
        let waiting = Waiting {
            question,
            since,
            asked,
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

    /// The replies that have come, each with who waited for it; without bytes where the stage gave none.
    ///
    /// # Errors
    /// When nothing more will be heard: all who wait are never answered.
    pub fn hear(&mut self) -> Result<Vec<(W, Option<Bytes>)>, Error> {
        // Looked at first: what was told before a failure is heard.
        let progress = self.log.watermark().progress();
        let (partition, mut heard) = (self.replies, Vec::new());
        for record in self.log.poll(partition, self.next, READ_BYTES)? {
            let offset = record.offset;
            let replies = command::decode_replies(&record.payload);
            let replies = replies.map_err(|source| Error::Unreadable {
                partition,
                offset,
                source,
            })?;
            for (token, reply) in replies {
                // Others read here too, and what was repeated is answered twice.
                if let Some(waiting) = self.waiting.remove(&token) {
                    let reply = reply.map(|bytes| record.payload.slice_ref(bytes));
                    heard.push((waiting.question.who, reply));
                }
            }
            self.next = offset + 1;
        }
        match progress {
            Progress::Failed(poisoned) if heard.is_empty() => Err(poisoned.into()),
            _ => Ok(heard),
        }
    }

    /// Goes on hearing at `end`, which was the end of the replies some time ago, unless somebody waits: whoever asks
    /// later is answered behind it.
    pub fn skip_to(&mut self, end: u64) {
        if self.waiting.is_empty() {
            self.next = end.max(self.next);
        }
    }

    /// Repeats what has waited long and gives up what has waited too long: those who asked for that.
    pub fn expire(&mut self, now: Duration) -> Vec<W> {
        let give_up = |since: Duration| now.saturating_sub(since) >= self.bounds.give_up_after;
        let old = self
            .waiting
            .extract_if(.., |_, waiting| give_up(waiting.since));
        let given_up = old.map(|(_, waiting)| waiting.question.who).collect();
        let mut repeated = Vec::new();
        for (&token, waiting) in &self.waiting {
            let long = now.saturating_sub(waiting.asked) >= self.bounds.repeat_after;
            // A log that does not take it now may take it the next time.
            if long && waiting.question.repeats && self.append(token, &waiting.question).is_ok() {
                repeated.push(token);
            }
        }
        for token in repeated {
            if let Some(waiting) = self.waiting.get_mut(&token) {
                waiting.asked = now;
            }
        }
        given_up
    }
}
