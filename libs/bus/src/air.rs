//! Batches in flight: those that a handle on brokers has accepted and whose outcome is not known yet. The
//! handles on Apache Kafka and those on [`crate::brokers`] share this bookkeeping.
//!
//! Owns: positions, the bound on what is buffered, the watermark. Refuses: to let the watermark pass a batch
//! that is lost. A batch that was lost to a fence fails the handle instead, because whoever hears of a
//! position takes everything before it for durable (I8).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{
    AppendError, Batch, Poisoned, Position, Progress, TopicPartition, WaitError, Watermark,
};

/// The books of a handle.
#[derive(Default)]
pub(crate) struct Air {
    watermark: Watermark,
    books: Mutex<Books>,
    /// Held while the watermark moves, so that its subscribers hear of positions in order.
    telling: Mutex<()>,
}

#[derive(Default)]
struct Books {
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

impl Air {
    pub(crate) fn watermark(&self) -> &Watermark {
        &self.watermark
    }

    /// Takes a batch of `bytes` into the air, if there is room.
    pub(crate) fn accept(
        &self,
        batch: &Batch,
        bytes: u64,
        limit_bytes: u64,
    ) -> Result<Position, AppendError> {
        if let Some(poisoned) = self.watermark.failure() {
            return Err(poisoned.clone().into());
        }
        let mut books = lock(&self.books);
        if books.buffered_bytes + bytes > limit_bytes {
            return Err(AppendError::Full {
                buffered_bytes: books.buffered_bytes,
                limit_bytes,
            });
        }
        let mut to: Vec<TopicPartition> = batch.iter().map(|(to, _)| to).collect();
        to.sort_unstable();
        to.dedup();
        books.accepted += 1;
        books.buffered_bytes += bytes;
        let position = books.accepted;
        books.open.insert(position, Flight { bytes, to });
        Ok(Position(position))
    }

    /// These batches are durable, and their records stand below these ends.
    pub(crate) fn land(
        &self,
        positions: impl IntoIterator<Item = Position>,
        ends: impl IntoIterator<Item = (TopicPartition, u64)>,
    ) {
        let telling = lock(&self.telling);
        let durable = {
            let mut books = lock(&self.books);
            for (partition, end) in ends {
                let known = books.ends.entry(partition).or_default();
                *known = end.max(*known);
            }
            for position in positions {
                if let Some(flight) = books.open.remove(&position.0) {
                    books.buffered_bytes -= flight.bytes;
                }
            }
            let first_open = books.open.first_key_value().map(|(first, _)| first - 1);
            Position(first_open.unwrap_or(books.accepted))
        };
        self.watermark.advance(durable);
        drop(telling);
    }

    /// These batches are lost here: their owner has been fenced, and it is not theirs to tell what stands.
    pub(crate) fn lose(&self, positions: impl IntoIterator<Item = Position>, why: &str) {
        let first = {
            let mut books = lock(&self.books);
            books.lost.extend(positions.into_iter().map(|lost| lost.0));
            books.lost.first().copied()
        };
        if let Some(first) = first {
            self.fail(&format!("the batch at position {first} was lost: {why}"));
        }
    }

    /// Ends the handle: the fate of what is in the air is known after a restart only.
    pub(crate) fn fail(&self, why: &str) -> Poisoned {
        let poisoned = Poisoned(why.into());
        let telling = lock(&self.telling);
        self.watermark.fail(poisoned.clone());
        drop(telling);
        self.watermark.failure().cloned().unwrap_or(poisoned)
    }

    /// The last accepted position.
    pub(crate) fn accepted(&self) -> Position {
        Position(lock(&self.books).accepted)
    }

    /// The newest batch in the air with a record for this partition.
    pub(crate) fn pending(&self, partition: TopicPartition) -> Option<Position> {
        let books = lock(&self.books);
        let newest = books.open.iter().rev();
        let mut here = newest.filter(|(_, flight)| flight.to.binary_search(&partition).is_ok());
        here.next().map(|(position, _)| Position(*position))
    }

    /// One past the highest offset at which this handle knows a durable record.
    pub(crate) fn end(&self, partition: TopicPartition) -> u64 {
        lock(&self.books).ends.get(&partition).copied().unwrap_or(0)
    }

    /// As [`Log::wait_durable`](crate::Log::wait_durable), telling a lost batch from a failed log.
    pub(crate) fn wait(&self, wanted: Position, timeout: Duration) -> Result<(), WaitError> {
        match self.watermark.wait(wanted, timeout) {
            Progress::Failed(_) if lock(&self.books).lost.contains(&wanted.0) => {
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

/// Whom to tell when a queue that was empty has something.
#[derive(Default)]
pub(crate) struct News(Mutex<Vec<Box<dyn Fn() + Send + Sync>>>);

impl News {
    pub(crate) fn tell(&self) {
        lock(&self.0).iter().for_each(|hook| hook());
    }

    pub(crate) fn subscribe(&self, hook: Box<dyn Fn() + Send + Sync>) {
        hook();
        lock(&self.0).push(hook);
    }
}

/// A panic under one of these locks leaves at worst a batch in the air that never lands.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;

    const SOON: Duration = Duration::ZERO;
    const TO: TopicPartition = Topic::MarketData.partition(0);

    fn accept(air: &Air, bytes: u64) -> Result<Position, AppendError> {
        let mut batch = Batch::new();
        batch.push(TO, b"x");
        air.accept(&batch, bytes, 100)
    }

    #[test]
    fn the_watermark_waits_for_the_lowest_batch_in_the_air() {
        let air = Air::default();
        let positions: Vec<Position> = (0..3).map(|_| accept(&air, 10).unwrap()).collect();
        air.land([positions[2]], [(TO, 9)]);
        assert_eq!(air.watermark().position(), Position(0));
        assert_eq!(air.pending(TO), Some(positions[1]));
        air.land([positions[0]], [(TO, 4)]);
        assert_eq!(air.watermark().position(), positions[0]);
        air.land([positions[1]], []);
        assert_eq!(air.watermark().position(), positions[2]);
        assert_eq!((air.pending(TO), air.end(TO)), (None, 9));
    }

    #[test]
    fn i10_what_does_not_fit_is_refused_until_something_lands() {
        let air = Air::default();
        let first = accept(&air, 60).unwrap();
        let full = AppendError::Full {
            buffered_bytes: 60,
            limit_bytes: 100,
        };
        assert_eq!(accept(&air, 41), Err(full));
        air.land([first], []);
        assert_eq!(accept(&air, 100), Ok(Position(2)));
    }

    #[test]
    fn i8_a_lost_batch_is_never_behind_the_watermark() {
        let air = Air::default();
        let durable = accept(&air, 1).unwrap();
        let lost = accept(&air, 1).unwrap();
        let unknown = accept(&air, 1).unwrap();
        air.land([durable], []);
        air.lose([lost], "fenced");
        air.land([unknown], []);
        assert_eq!(air.wait(durable, SOON), Ok(()));
        assert_eq!(air.wait(lost, SOON), Err(WaitError::Fenced(lost)));
        assert!(matches!(
            air.wait(unknown, SOON),
            Err(WaitError::Poisoned(_))
        ));
        assert!(matches!(accept(&air, 1), Err(AppendError::Poisoned(_))));
    }
}
