//! How far a consumer is behind the durable end of the log, as metrics.
//!
//! Records are counted exactly. The age of the lag is estimated by marks: from time to time the ends of the followed
//! partitions are noted together with the time and the log's position. The oldest mark that the consumer has not passed
//! gives a lower bound for the age of the oldest record and for its distance on the log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::{Position, TopicPartition};
use prepx_env::Clock;
use tokio::sync::watch;

use crate::consume::duty::Duties;
use crate::consume::{Places, Requests};
use crate::follow::Tail;

/// The least time between two measurements, and so between two marks.
const PACE: Duration = Duration::from_millis(100);
/// The most time between two measurements: a consumer that stands still falls behind all the same.
const LOOK: Duration = Duration::from_secs(1);
/// The most marks; when there are that many, every second one is dropped.
const MARKS_MAX: usize = 1_024;

type Ends = BTreeMap<TopicPartition, u64>;

struct Mark {
    at: Duration,
    position: Position,
    ends: Ends,
}

/// How far a consumer is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// Durable records that it has not taken.
    pub records: u64,
    /// How far the oldest of them is from the end of the log, at least.
    pub positions: u64,
    /// How old the oldest of them is, at least.
    pub age: Duration,
}

/// The lag of one consumer.
pub struct Lag {
    consumer: String,
    tail: Tail,
    clock: Arc<dyn Clock>,
    marks: VecDeque<Mark>,
    /// The partitions that the marks cover.
    taken: Vec<TopicPartition>,
}

impl Lag {
    /// The lag of a consumer that has just started.
    pub fn new(consumer: &str, tail: &Tail, clock: &Arc<dyn Clock>) -> Lag {
        Lag {
            consumer: consumer.to_owned(),
            tail: tail.clone(),
            clock: Arc::clone(clock),
            marks: VecDeque::new(),
            taken: Vec::new(),
        }
    }

    /// Publishes the lag whenever the consumer moves, and regularly while it does not. A consumer that is behind and does
    /// not move is asked to search, because there may be no record before the end (`Follower::search`).
    pub(crate) async fn watch(
        mut self,
        mut progress: watch::Receiver<Places>,
        requests: Arc<Requests>,
        duties: Duties,
    ) {
        loop {
            let all = progress.borrow_and_update().clone();
            let mine = all
                .iter()
                .filter(|(of, _)| duties.of(of.partition).is_mine());
            let next: Ends = mine.map(|(of, at)| (*of, at.next)).collect();
            let behind = self.publish(&next, all.len());
            tokio::time::sleep(PACE).await;
            match tokio::time::timeout(LOOK, progress.changed()).await {
                Ok(Ok(())) => {}
                Err(_) if behind.records > 0 => requests.hurry(next.into_keys()),
                Err(_) => {}
                // The consumer has been dropped, and its runner ends.
                Ok(Err(_)) => std::future::pending().await,
            }
        }
    }

    /// Publishes and returns how far a consumer is behind. `next` are its positions in the partitions that this process
    /// takes, of `of` in all; the others do not count.
    pub fn publish(&mut self, next: &Ends, of: usize) -> Behind {
        if !self.taken.iter().eq(next.keys()) {
            // The marks are of other partitions.
            self.marks.clear();
            self.taken = next.keys().copied().collect();
        }
        self.gauge("prepx_consumer_partitions")
            .set(next.len() as f64);
        self.gauge("prepx_consumer_partitions_of").set(of as f64);
        let behind = self.behind(next);
        self.show(behind)
    }

    fn gauge(&self, name: &'static str) -> metrics::Gauge {
        metrics::gauge!(name, "consumer" => self.consumer.clone())
    }

    fn show(&self, behind: Behind) -> Behind {
        let gauge = |name| self.gauge(name);
        gauge("prepx_consumer_lag_records").set(behind.records as f64);
        gauge("prepx_consumer_lag_positions").set(behind.positions as f64);
        gauge("prepx_consumer_lag_seconds").set(behind.age.as_secs_f64());
        behind
    }

    fn behind(&mut self, next: &Ends) -> Behind {
        // The position before the ends: a mark may say less than there was, never more.
        let (at, position) = (self.clock.monotonic(), self.tail.durable());
        let end = |(&partition, _): (&TopicPartition, &u64)| (partition, self.tail.end(partition));
        let ends: Ends = next.iter().map(end).collect();
        let left = |(end, next): (&u64, &u64)| end.saturating_sub(*next);
        let records = ends.values().zip(next.values()).map(left).sum();
        let passed = |mark: &Mark| mark.ends.iter().all(|(of, end)| next.get(of) >= Some(end));
        while self.marks.front().is_some_and(passed) {
            self.marks.pop_front();
        }
        if records > 0 {
            self.mark(Mark { at, position, ends });
        }
        let oldest = self.marks.front();
        Behind {
            records,
            positions: oldest.map_or(0, |mark| position.0 - mark.position.0),
            age: oldest.map_or(Duration::ZERO, |mark| at.saturating_sub(mark.at)),
        }
    }

    fn mark(&mut self, mark: Mark) {
        if self.marks.len() >= MARKS_MAX {
            let mut kept = false;
            self.marks.retain(|_| {
                kept = !kept;
                kept
            });
        }
        self.marks.push_back(mark);
    }
}

#[cfg(test)]
mod tests {
    use prepx_bus::embedded::Config;
    use prepx_bus::faulty::FaultyDir;
    use prepx_bus::{Batch, EmbeddedLog, Log as _, Topic};
    use prepx_domain::Micros;
    use prepx_env::ManualClock;

    use super::*;

    const UPDATES: TopicPartition = Topic::PortfolioUpdates.partition(0);

    fn tell(log: &EmbeddedLog, count: usize) {
        for _ in 0..count {
            let mut batch = Batch::new();
            batch.push(UPDATES, b"x");
            log.append(None, &batch).unwrap();
        }
        log.flush().unwrap();
    }

    #[test]
    fn the_age_is_that_of_the_oldest_mark_that_was_not_passed() {
        let log = EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap();
        let clock = Arc::new(ManualClock::new(Micros(0)));
        let as_clock: Arc<dyn Clock> = clock.clone();
        let mut lag = Lag::new("test", &Tail::new(log.clone()), &as_clock);
        let mut at = |next| {
            let behind = lag.behind(&Ends::from([(UPDATES, next)]));
            (behind.records, behind.positions > 0, behind.age.as_secs())
        };
        assert_eq!(at(0), (0, false, 0));
        clock.advance(Duration::from_secs(9));
        tell(&log, 3);
        assert_eq!(at(0), (3, false, 0), "seen only now");
        clock.advance(Duration::from_secs(2));
        tell(&log, 2);
        assert_eq!(at(1), (4, true, 2));
        clock.advance(Duration::from_secs(5));
        assert_eq!(at(3), (2, false, 5), "the first three are passed");
        assert_eq!(at(5), (0, false, 0));
    }

    #[test]
    fn what_another_process_takes_is_not_behind_here() {
        let log = EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap();
        let clock = Arc::new(ManualClock::new(Micros(0)));
        let as_clock: Arc<dyn Clock> = clock.clone();
        let mut lag = Lag::new("test", &Tail::new(log.clone()), &as_clock);
        tell(&log, 3);
        let at = Ends::from([(UPDATES, 0)]);
        assert_eq!(lag.publish(&at, 1).records, 3);
        clock.advance(Duration::from_secs(5));
        assert_eq!(lag.publish(&Ends::new(), 1), Behind::default());
        let taken_up = lag.publish(&at, 1);
        assert_eq!((taken_up.records, taken_up.age), (3, Duration::ZERO));
    }

    #[test]
    fn i10_marks_are_bounded_and_the_oldest_stays() {
        let log = EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap();
        let clock = Arc::new(ManualClock::new(Micros(0)));
        let as_clock: Arc<dyn Clock> = clock.clone();
        let mut lag = Lag::new("test", &Tail::new(log.clone()), &as_clock);
        tell(&log, 1);
        for _ in 0..10 * MARKS_MAX {
            lag.behind(&Ends::from([(UPDATES, 0)]));
            clock.advance(Duration::from_secs(1));
        }
        assert!(lag.marks.len() <= MARKS_MAX);
        let behind = lag.behind(&Ends::from([(UPDATES, 0)]));
        assert_eq!(behind.age.as_secs(), 10 * MARKS_MAX as u64);
    }
}
