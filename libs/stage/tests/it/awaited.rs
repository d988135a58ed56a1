//! A consumer for which somebody always waits, on any log.

use std::sync::Arc;
use std::time::Duration;

use prepx_bus::{Batch as LogBatch, Log, Owner, Topic, TopicPartition};
use prepx_domain::Micros;
use prepx_env::ManualClock;
use prepx_stage::follow::{self, Batch, Tail};
use prepx_stage::{Consumer, Duty, Following, Retention, Runner, lane};
use tokio::sync::watch;

use crate::ground::{Disk, Ground};
use crate::world::TOPOLOGY;

const JOURNAL: TopicPartition = Topic::AccountJournal.partition(0);
const QUIET: TopicPartition = Topic::PortfolioUpdates.partition(0);
const BUSY: TopicPartition = Topic::PortfolioUpdates.partition(1);
const ROUNDS: u64 = 20;
const LONG: Duration = Duration::from_secs(30);

struct Counting(watch::Sender<u64>);

impl Consumer for Counting {
    type Error = follow::Error;

    const NAME: &'static str = "counting";
    const PAUSE: Duration = Duration::from_millis(100);
    const BATCHES_BETWEEN_RELEASES: u32 = 1_000;

    fn sources(&self) -> Vec<TopicPartition> {
        vec![QUIET, BUSY]
    }

    async fn resume(&mut self, _: TopicPartition) -> Result<u64, follow::Error> {
        Ok(0)
    }

    async fn take(&mut self, batch: Batch) -> Result<(), follow::Error> {
        self.0.send_modify(|taken| *taken += batch.len() as u64);
        Ok(())
    }
}

fn tell(log: &dyn Log, owner: Owner, number: u64) {
    let mut batch = LogBatch::new();
    batch.push(JOURNAL, b"decided");
    batch.push_with(BUSY, |to| lane::write(JOURNAL, 1, number, &[b"x"], to));
    log.append(Some(owner), &batch).unwrap();
}

pub fn following(log: Arc<dyn Log>) -> Following {
    Following {
        tail: Tail::new(Arc::clone(&log)),
        retention: Arc::new(Retention::new(log)),
        topology: TOPOLOGY,
        clock: Arc::new(ManualClock::new(Micros(0))),
        duties: Duty::always().into(),
    }
}

/// Whoever waits for one partition keeps nobody from what comes in another, and hears where that ends.
#[tokio::main(flavor = "current_thread")]
pub async fn taken_all_the_same(mut ground: impl Ground) {
    let log = ground.handle();
    let owner = log.fence(JOURNAL, "a test").unwrap();
    let counting = Counting(watch::Sender::default());
    let mut taken = counting.0.subscribe();
    let runner = Runner::open(following(ground.handle()), counting)
        .await
        .unwrap();
    let progress = runner.progress();
    tokio::spawn(runner.run(std::future::pending()));
    for _ in 0..8 {
        let progress = progress.clone();
        tokio::spawn(async move { progress.reached(&[(QUIET, u64::MAX)]).await });
    }
    for number in 1..=ROUNDS {
        tell(&*log, owner, number);
        ground.settle();
        let there = taken.wait_for(|taken| *taken == number);
        let waited = tokio::time::timeout(LONG, there).await;
        waited
            .unwrap_or_else(|_| panic!("message {number} was not taken"))
            .unwrap();
        let end = log.end(BUSY);
        let there = tokio::time::timeout(LONG, progress.reached(&[(BUSY, end)])).await;
        assert!(there.unwrap_or(None).is_some(), "{end} was not reached");
    }
}

#[test]
fn what_comes_is_taken_while_others_wait_for_what_does_not() {
    taken_all_the_same(Disk::new(8 << 20));
}
