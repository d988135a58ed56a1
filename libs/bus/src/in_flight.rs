//! Batches in flight: those that a handle on brokers has accepted and whose outcome is not known yet. The
//! handles on Apache Kafka and those on [`crate::brokers`] share this bookkeeping.
//!
//! Owns: positions, the bound on what is buffered, the watermark. Refuses: to let the watermark pass a batch
//! that is lost. A batch that was lost to a fence fails the handle instead, because a position says that
//! everything before it is durable (I8).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{
    AppendError, Batch, Poisoned, Position, Progress, TopicPartition, WaitError, Watermark,
};

/// The batches in flight of one handle.
#[derive(Default)]
pub(crate) struct InFlight {
    watermark: Watermark,
    state: Mutex<State>,
    /// Held while the watermark moves, so that its subscribers see positions in order.
    moving: Mutex<()>,
}

#[derive(Default)]
struct State {
    accepted: u64,
    buffered_bytes: u64,
    open: BTreeMap<u64, Flight>,
    /// Positions lost to a fence. Each is in `open` too, so it is bounded like it.
    lost: BTreeSet<u64>,
    /// One past the highest offset at which this handle knows a durable record.
    ends: HashMap<TopicPartition, u64>,
}

struct Flight {
    bytes: u64,
    to: Vec<TopicPartition>,
}

impl InFlight {
    pub(crate) fn watermark(&self) -> &Watermark {
        &self.watermark
    }

    /// Accepts a batch of `bytes`, if there is room.
    pub(crate) fn accept(
        &self,
        batch: &Batch,
        bytes: u64,
        limit_bytes: u64,
    ) -> Result<Position, AppendError> {
        if let Some(poisoned) = self.watermark.failure() {
            return Err(poisoned.clone().into());
        }
        let mut state = lock(&self.state);
        if state.buffered_bytes + bytes > limit_bytes {
            return Err(AppendError::Full {
                buffered_bytes: state.buffered_bytes,
                limit_bytes,
            });
        }
        let mut to: Vec<TopicPartition> = batch.iter().map(|(to, _)| to).collect();
        to.sort_unstable();
        to.dedup();
        state.accepted += 1;
        state.buffered_bytes += bytes;
        let position = state.accepted;
        state.open.insert(position, Flight { bytes, to });
        Ok(Position(position))
    }

    /// These batches are durable, and their records stand below these ends.
    pub(crate) fn complete(
        &self,
        positions: impl IntoIterator<Item = Position>,
        ends: impl IntoIterator<Item = (TopicPartition, u64)>,
    ) {
        let moving = lock(&self.moving);
        let durable = {
            let mut state = lock(&self.state);
            for (partition, end) in ends {
                let known = state.ends.entry(partition).or_default();
                *known = end.max(*known);
            }
            for position in positions {
                if let Some(flight) = state.open.remove(&position.0) {
                    state.buffered_bytes -= flight.bytes;
                }
            }
            let first_open = state.open.first_key_value().map(|(first, _)| first - 1);
            Position(first_open.unwrap_or(state.accepted))
        };
        self.watermark.advance(durable);
        drop(moving);
    }

    /// These batches are lost here: their owner has been fenced, and only the new owner knows what was kept.
    pub(crate) fn lose(&self, positions: impl IntoIterator<Item = Position>, why: &str) {
        let first = {
            let mut state = lock(&self.state);
            state.lost.extend(positions.into_iter().map(|lost| lost.0));
            state.lost.first().copied()
        };
        if let Some(first) = first {
            self.fail(&format!("the batch at position {first} was lost: {why}"));
        }
    }

    /// Ends the handle: the outcome of what is in flight is known only after a restart.
    pub(crate) fn fail(&self, why: &str) -> Poisoned {
        let poisoned = Poisoned(why.into());
        let moving = lock(&self.moving);
        self.watermark.fail(poisoned.clone());
        drop(moving);
        self.watermark.failure().cloned().unwrap_or(poisoned)
    }

    /// The last accepted position.
    pub(crate) fn accepted(&self) -> Position {
        Position(lock(&self.state).accepted)
    }

    /// The newest batch in flight with a record for this partition.
    pub(crate) fn pending(&self, partition: TopicPartition) -> Option<Position> {
        let state = lock(&self.state);
        let newest = state.open.iter().rev();
        let mut here = newest.filter(|(_, flight)| flight.to.binary_search(&partition).is_ok());
        here.next().map(|(position, _)| Position(*position))
    }

    /// One past the highest offset at which this handle knows a durable record.
    pub(crate) fn end(&self, partition: TopicPartition) -> u64 {
        lock(&self.state).ends.get(&partition).copied().unwrap_or(0)
    }

    /// As [`Log::wait_durable`](crate::Log::wait_durable), distinguishing a lost batch from a failed log.
    pub(crate) fn wait(&self, wanted: Position, timeout: Duration) -> Result<(), WaitError> {
        match self.watermark.wait(wanted, timeout) {
            Progress::Failed(_) if lock(&self.state).lost.contains(&wanted.0) => {
                Err(WaitError::Fenced(wanted))
            }
            Progress::Failed(poisoned) => Err(poisoned.into()),
            Progress::Durable(durable) if durable >= wanted => Ok(()),
            Progress::Durable(durable) => Err(WaitError::Timeout {
                wanted,
                durable,
                timeout_ms: timeout.as_millis(),
            }),
        }
    }
}

/// The hooks of [`Log::on_news`](crate::Log::on_news): called when a queue that was empty has something.
#[derive(Default)]
pub(crate) struct News(Mutex<Vec<Box<dyn Fn() + Send + Sync>>>);

impl News {
    pub(crate) fn notify(&self) {
        lock(&self.0).iter().for_each(|hook| hook());
    }

    pub(crate) fn subscribe(&self, hook: Box<dyn Fn() + Send + Sync>) {
        hook();
        lock(&self.0).push(hook);
    }
}

/// A panic under one of these locks leaves at worst a batch in flight that never completes.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;

    const SOON: Duration = Duration::ZERO;
    const TO: TopicPartition = Topic::MarketData.partition(0);

    fn accept(in_flight: &InFlight, bytes: u64) -> Result<Position, AppendError> {
        let mut batch = Batch::new();
        batch.push(TO, b"x");
        in_flight.accept(&batch, bytes, 100)
    }

    #[test]
    fn the_watermark_waits_for_the_lowest_batch_in_flight() {
        let in_flight = InFlight::default();
        let positions: Vec<Position> = (0..3).map(|_| accept(&in_flight, 10).unwrap()).collect();
        in_flight.complete([positions[2]], [(TO, 9)]);
        assert_eq!(in_flight.watermark().position(), Position(0));
        assert_eq!(in_flight.pending(TO), Some(positions[1]));
        in_flight.complete([positions[0]], [(TO, 4)]);
        assert_eq!(in_flight.watermark().position(), positions[0]);
        in_flight.complete([positions[1]], []);
        assert_eq!(in_flight.watermark().position(), positions[2]);
        assert_eq!((in_flight.pending(TO), in_flight.end(TO)), (None, 9));
    }

    #[test]
    fn i10_what_does_not_fit_is_refused_until_something_completes() {
        let in_flight = InFlight::default();
        let first = accept(&in_flight, 60).unwrap();
        let full = AppendError::Full {
            buffered_bytes: 60,
            limit_bytes: 100,
        };
        assert_eq!(accept(&in_flight, 41), Err(full));
        in_flight.complete([first], []);
        assert_eq!(accept(&in_flight, 100), Ok(Position(2)));
    }

    #[test]
    fn i8_a_lost_batch_is_never_behind_the_watermark() {
        let in_flight = InFlight::default();
        let durable = accept(&in_flight, 1).unwrap();
        let lost = accept(&in_flight, 1).unwrap();
        let unknown = accept(&in_flight, 1).unwrap();
        in_flight.complete([durable], []);
        in_flight.lose([lost], "fenced");
        in_flight.complete([unknown], []);
        assert_eq!(in_flight.wait(durable, SOON), Ok(()));
        assert_eq!(in_flight.wait(lost, SOON), Err(WaitError::Fenced(lost)));
        assert!(matches!(
            in_flight.wait(unknown, SOON),
            Err(WaitError::Poisoned(_))
        ));
        assert!(matches!(
            accept(&in_flight, 1),
            Err(AppendError::Poisoned(_))
        ));
    }
}
