//! How consumers that are not stages (projections, streams, sinks) follow the stages' outputs.
//!
//! Owns reading the durable records of partitions in order, splitting lane records into messages, and waiting for more
//! without polling. Refuses: to remember how far a consumer has come (that belongs into one transaction with the
//! consumer's effects, I2), and to show what is not durable (I8).
//!
//! A consumer keeps, for each partition, the offset to read from next, and for each lane the last number that it took.
//! [`consume`](crate::consume) is the loop around it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use prepx_bus::{Log, Poisoned, Position, ReadError, TopicPartition};
use prepx_trace::Traces;
use tokio::sync::{oneshot, watch};

use crate::DecodeError;
use crate::lane::Run as Record;

/// How much is read at once, unless one record alone is larger.
const BATCH_BYTES: usize = 1 << 20;

/// Why following has to stop. None of these resolves itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be read, or no longer has the records.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log has failed.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// A record is not a lane record.
    #[error(transparent)]
    Poison(#[from] Poison<DecodeError>),
}

/// A record that cannot be decoded: a newer version wrote it, or it is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{partition} at offset {offset}: {source}")]
pub struct Poison<E> {
    /// Its partition.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: u64,
    /// Why it cannot be decoded.
    pub source: E,
}

/// One message of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The transition that caused it, in the sender's journal.
    pub seq: u64,
    /// The offset of its record in the followed partition.
    pub offset: u64,
    /// The bytes that the stage's codec wrote.
    pub payload: Bytes,
}

/// Messages of one lane with consecutive numbers. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The journal of the stage partition that sent them: the lane's name.
    pub source: TopicPartition,
    /// The lane number of the first.
    pub first: u64,
    /// In the order of their numbers.
    pub messages: Vec<Message>,
    /// The sampled traces that they belong to.
    pub traces: Traces,
}

impl Run {
    /// The lane number of the last.
    pub fn last(&self) -> u64 {
        self.first + self.messages.len() as u64 - 1
    }
}

/// Durable records of one partition, split into messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Which partition.
    pub partition: TopicPartition,
    /// The offset that was read from.
    pub from: u64,
    /// The offset to read from when this batch has taken effect.
    pub next: u64,
    /// The messages. A number that does not follow the previous one begins a new run: it is a repeat after a takeover, or
    /// a gap, and the consumer finds out which.
    pub runs: Vec<Run>,
}

impl Batch {
    /// The number of messages.
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.messages.len()).sum()
    }

    /// The error for a message that cannot be decoded.
    pub fn poison<E>(&self, message: &Message, source: E) -> Poison<E> {
        Poison {
            partition: self.partition,
            offset: message.offset,
            source,
        }
    }

    /// Whether it has no messages. Even then `next` must be recorded.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

/// The moving end of a log. Clones share it. A process makes one for each handle, because a subscription to a log
/// lasts as long as the log.
#[derive(Clone)]
pub struct Tail {
    log: Arc<dyn Log>,
    news: watch::Receiver<()>,
}

impl Tail {
    /// The end of `log`.
    pub fn new(log: Arc<dyn Log>) -> Tail {
        let (sender, news) = watch::channel(());
        log.on_news(Box::new(move || {
            sender.send_replace(());
        }));
        Tail { log, news }
    }

    /// One past the last durable offset of a partition.
    pub fn end(&self, partition: TopicPartition) -> u64 {
        self.log.end(partition)
    }

    /// For each partition, an offset past every record acknowledged to anybody so far: how far to read in order to miss
    /// nothing. `None` if the log cannot find it out. See [`Log::acknowledged_ends`].
    pub async fn acknowledged_ends(&self, partitions: &[TopicPartition]) -> Option<Vec<u64>> {
        let (sender, ends) = oneshot::channel();
        // The caller may have gone by then.
        let callback = Box::new(move |ends| drop(sender.send(ends)));
        self.log.acknowledged_ends(partitions, callback);
        ends.await.ok()
    }

    /// The last durable position.
    pub fn durable(&self) -> Position {
        self.log.durable()
    }

    /// Follows partitions, each from an offset on: a consumer's position, or [`Self::end`] for only new records.
    pub fn follow(&self, from: impl IntoIterator<Item = (TopicPartition, u64)>) -> Follower {
        Follower {
            tail: self.clone(),
            partitions: from.into_iter().collect(),
            turn: 0,
        }
    }
}

/// Partitions, each with an offset before which there are no more records.
pub type Blanks = Vec<(TopicPartition, u64)>;

/// Reads partitions in turns.
pub struct Follower {
    tail: Tail,
    partitions: Vec<(TopicPartition, u64)>,
    turn: usize,
}

impl Follower {
    /// The next durable records of the partition whose turn it is among those that have some; waits
    /// until one has. At most about a mebibyte, so a consumer that lags catches up in bounded
    /// steps.
    ///
    /// Cancel-safe. Reads the log on the calling thread, so a busy consumer needs a thread of its own.
    pub async fn next(&mut self) -> Result<Batch, Error> {
        loop {
            // Marked before looking, so that news after the look wake this.
            self.tail.news.mark_unchanged();
            let failed = self.tail.log.watermark().failure().cloned();
            if let Some(batch) = self.look()? {
                return Ok(batch);
            }
            if let Some(poisoned) = failed {
                return Err(poisoned.into());
            }
            if self.tail.news.changed().await.is_err() {
                // The log has been dropped: nothing will ever move.
                std::future::pending::<()>().await;
            }
        }
    }

    /// As [`Self::next`], but `None` when no durable record is at hand.
    pub fn look(&mut self) -> Result<Option<Batch>, Error> {
        for _ in 0..self.partitions.len() {
            let (partition, from) = self.next_turn();
            let records = self.tail.log.poll(partition, from, BATCH_BYTES)?;
            if let Some(batch) = self.taken_apart(partition, from, &records)? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// As [`Self::look`], but for the `wanted` partitions it asks the log, so that `None` is certain for those. Also
    /// returns up to which offset each of those was found to have no records: transaction markers take offsets on Kafka.
    pub(crate) fn search(
        &mut self,
        wanted: &BTreeSet<TopicPartition>,
    ) -> Result<(Blanks, Option<Batch>), Error> {
        let mut blanks = Blanks::new();
        for _ in 0..self.partitions.len() {
            let (partition, from) = self.next_turn();
            let (log, is_wanted) = (&*self.tail.log, wanted.contains(&partition));
            let (records, next) = match is_wanted {
                true => log.search(partition, from, BATCH_BYTES)?,
                false => (log.poll(partition, from, BATCH_BYTES)?, from),
            };
            let batch = self.taken_apart(partition, from, &records)?;
            if batch.is_some() {
                return Ok((blanks, batch));
            }
            if is_wanted {
                blanks.push((partition, next));
            }
        }
        Ok((blanks, None))
    }

    /// Continues a followed partition from another offset.
    pub(crate) fn resume(&mut self, partition: TopicPartition, from: u64) {
        let mut all = self.partitions.iter_mut();
        if let Some(followed) = all.find(|(of, _)| *of == partition) {
            followed.1 = from;
        }
    }

    /// The partition whose turn it is, and the offset to read from.
    fn next_turn(&mut self) -> (TopicPartition, u64) {
        self.turn = self.turn % self.partitions.len() + 1;
        self.partitions[self.turn - 1]
    }

    /// The batch of the partition whose turn it is, unless there are no records; reading continues behind them.
    fn taken_apart(
        &mut self,
        partition: TopicPartition,
        from: u64,
        records: &[prepx_bus::Record],
    ) -> Result<Option<Batch>, Error> {
        let Some(last) = records.last() else {
            return Ok(None);
        };
        let batch = take_apart(partition, from, last.offset + 1, records)?;
        self.partitions[self.turn - 1].1 = batch.next;
        Ok(Some(batch))
    }
}

fn take_apart(
    partition: TopicPartition,
    from: u64,
    next: u64,
    records: &[prepx_bus::Record],
) -> Result<Batch, Error> {
    let mut batch = Batch {
        partition,
        from,
        next,
        runs: Vec::new(),
    };
    for record in records {
        let poison = |source| Poison {
            partition,
            offset: record.offset,
            source,
        };
        take(record.offset, &record.payload, &mut batch.runs).map_err(poison)?;
    }
    Ok(batch)
}

/// Appends the messages of a record, to the last run if they continue it.
fn take(offset: u64, payload: &Bytes, runs: &mut Vec<Run>) -> Result<(), DecodeError> {
    let record = Record::decode(payload)?;
    for message in record.traced() {
        let (number, trace, bytes) = message?;
        let message = Message {
            seq: record.seq,
            offset,
            payload: payload.slice_ref(bytes),
        };
        match runs.last_mut() {
            Some(run) if run.source == record.source && run.last() + 1 == number => {
                run.traces.push(run.messages.len(), trace);
                run.messages.push(message);
            }
            _ => runs.push(Run {
                source: record.source,
                first: number,
                messages: vec![message],
                traces: Traces::of_one(trace),
            }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prepx_bus::embedded::Config;
    use prepx_bus::faulty::FaultyDir;
    use prepx_bus::{Batch as LogBatch, EmbeddedLog, Topic};

    use super::*;
    use crate::lane;

    const UPDATES: Topic = Topic::PortfolioUpdates;

    fn log() -> Arc<EmbeddedLog> {
        EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap()
    }

    fn tell(log: &EmbeddedLog, partition: u32, first: u64, messages: &[&[u8]]) {
        let mut batch = LogBatch::new();
        batch.push_with(UPDATES.partition(partition), |to| {
            let source = Topic::AccountJournal.partition(partition);
            lane::write(source, 77, first, messages, to);
        });
        log.append(None, &batch).unwrap();
    }

    fn runs(batch: &Batch) -> Vec<(u64, usize)> {
        let shape = |run: &Run| (run.first, run.messages.len());
        batch.runs.iter().map(shape).collect()
    }

    #[test]
    fn neighbours_are_one_run_and_repeats_and_gaps_begin_another() {
        let log = log();
        tell(&log, 0, 1, &[b"a", b"b"]);
        tell(&log, 0, 3, &[b"c"]);
        tell(&log, 0, 2, &[b"b", b"c"]);
        tell(&log, 0, 9, &[b"z"]);
        log.flush().unwrap();
        let mut follower = Tail::new(log.clone()).follow([(UPDATES.partition(0), 0)]);
        let batch = follower.look().unwrap().unwrap();
        assert_eq!((batch.from, batch.next, batch.len()), (0, 4, 6));
        assert_eq!(runs(&batch), [(1, 3), (2, 2), (9, 1)]);
        assert_eq!(batch.runs[0].messages[2].payload, b"c"[..]);
        assert_eq!(batch.runs[0].messages[2].seq, 77);
        assert_eq!(follower.look().unwrap(), None);
    }

    #[test]
    fn only_what_is_durable_is_seen_and_partitions_take_turns() {
        let log = log();
        let mut follower =
            Tail::new(log.clone()).follow([(UPDATES.partition(0), 0), (UPDATES.partition(1), 0)]);
        tell(&log, 0, 1, &[b"a"]);
        assert_eq!(follower.look().unwrap(), None, "not durable yet");
        tell(&log, 1, 1, &[b"b"]);
        tell(&log, 0, 2, &[b"c"]);
        log.flush().unwrap();
        let turns: Vec<u32> = std::iter::from_fn(|| follower.look().unwrap())
            .map(|batch| batch.partition.partition)
            .collect();
        assert_eq!(turns, [0, 1]);
    }

    #[tokio::test]
    async fn a_follower_wakes_when_the_watermark_moves_and_hears_of_a_failure() {
        let dir = FaultyDir::new(1);
        let log = EmbeddedLog::open(dir.clone(), Config::default()).unwrap();
        let mut follower = Tail::new(log.clone()).follow([(UPDATES.partition(0), 0)]);
        let waiting = tokio::spawn(async move {
            let seen = follower.next().await.map(|batch| batch.len());
            (seen.unwrap(), follower.next().await)
        });
        tokio::task::yield_now().await;
        tell(&log, 0, 1, &[b"a"]);
        log.flush().unwrap();
        tokio::task::yield_now().await;
        dir.fail_sync_after(0);
        tell(&log, 0, 2, &[b"b"]);
        assert!(log.flush().is_err());
        let (seen, after) = waiting.await.unwrap();
        assert_eq!(seen, 1);
        assert!(matches!(after, Err(Error::Poisoned(_))), "{after:?}");
    }

    #[test]
    fn a_record_that_is_no_lane_record_stops_the_reader() {
        let log = log();
        let mut batch = LogBatch::new();
        batch.push(UPDATES.partition(0), b"\xffnonsense");
        log.append(None, &batch).unwrap();
        log.flush().unwrap();
        let mut follower = Tail::new(log.clone()).follow([(UPDATES.partition(0), 0)]);
        let error = follower.look().unwrap_err();
        assert!(
            matches!(error, Error::Poison(Poison { offset: 0, .. })),
            "{error}"
        );
    }
}
