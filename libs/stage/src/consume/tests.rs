//! One consumer against a log and a store that fail.

use prepx_bus::embedded::Config;
use prepx_bus::faulty::FaultyDir;
use prepx_bus::{Batch as LogBatch, EmbeddedLog, Log as _, Topic};
use prepx_domain::Micros;
use prepx_env::ManualClock;

use super::*;
use crate::lane;

const UPDATES: TopicPartition = Topic::PortfolioUpdates.partition(0);

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Follow(#[from] follow::Error),
    #[error("not now")]
    NotNow,
}

/// Fails at some of its attempts; keeps what it has taken as a store would.
#[derive(Default)]
struct Moody {
    refusals: u32,
    stored: Vec<bytes::Bytes>,
    next: u64,
    attempts: u32,
    interruptions: u32,
    told: watch::Sender<(usize, u32)>,
}

impl Consumer for Moody {
    type Error = Failure;

    const NAME: &'static str = "moody";
    const PAUSE: Duration = Duration::from_millis(100);
    const BATCHES_BETWEEN_RELEASES: u32 = 1;

    fn sources(&self) -> Vec<TopicPartition> {
        vec![UPDATES]
    }

    async fn resume(&mut self, _: TopicPartition) -> Result<u64, Failure> {
        Ok(self.next)
    }

    async fn take(&mut self, batch: Batch) -> Result<(), Failure> {
        self.attempts += 1;
        if !self.attempts.is_multiple_of(self.refusals + 1) {
            return Err(Failure::NotNow);
        }
        self.next = batch.next;
        let messages = batch.runs.into_iter().flat_map(|run| run.messages);
        self.stored.extend(messages.map(|message| message.payload));
        self.told
            .send_replace((self.stored.len(), self.interruptions));
        Ok(())
    }

    fn interrupted(&mut self) {
        self.interruptions += 1;
    }
}

fn tell(log: &EmbeddedLog, number: u64) {
    let mut batch = LogBatch::new();
    batch.push_with(UPDATES, |to| {
        lane::write(Topic::AccountJournal.partition(0), 1, number, &[b"x"], to);
    });
    log.append(None, &batch).unwrap();
}

fn following(log: &Arc<EmbeddedLog>) -> Following {
    Following {
        tail: Tail::new(log.clone()),
        retention: Arc::new(Retention::new(log.clone())),
        topology: Topology {
            account_partitions: 1,
            matching_partitions: 1,
        },
        clock: Arc::new(ManualClock::new(Micros(0))),
        duties: Duty::always().into(),
    }
}

async fn reached(progress: &Progress, offset: u64) -> Option<u64> {
    let reached = progress.reached(&[(UPDATES, offset)]).await?;
    reached.first().map(|(_, stored)| *stored)
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_short_when_somebody_waits() {
    let log = EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap();
    let moody = Moody::default();
    let mut seen = moody.told.subscribe();
    let runner = Runner::open(following(&log), moody).await.unwrap();
    let progress = runner.progress();
    tokio::spawn(runner.follow(std::future::pending()));
    let mut took = Vec::new();
    for (number, waits) in [(1, false), (2, false), (3, true), (4, false)] {
        tell(&log, number);
        log.flush().unwrap();
        let since = tokio::time::Instant::now();
        if waits {
            assert_eq!(reached(&progress, number).await, Some(number));
        }
        let stored = number as usize;
        seen.wait_for(|(count, _)| *count == stored).await.unwrap();
        took.push(since.elapsed());
    }
    let [first, alone, waited_for, after] = took[..] else {
        panic!("{took:?}")
    };
    assert!(first < PAUSE_MIN, "{first:?}");
    assert!(alone >= Moody::PAUSE, "{alone:?}");
    assert!(waited_for < 2 * PAUSE_MIN, "{waited_for:?}");
    assert!(after >= Moody::PAUSE, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_until_the_log_itself_fails() {
    let dir = FaultyDir::new(1);
    let log = EmbeddedLog::open(dir.clone(), Config::default()).unwrap();
    let moody = Moody {
        refusals: 2,
        ..Moody::default()
    };
    let mut seen = moody.told.subscribe();
    let runner = Runner::open(following(&log), moody).await.unwrap();
    let progress = runner.progress();
    let ended = tokio::spawn(runner.follow(std::future::pending()));
    tell(&log, 1);
    log.flush().unwrap();
    seen.wait_for(|(stored, _)| *stored == 1).await.unwrap();
    tell(&log, 2);
    log.flush().unwrap();
    assert_eq!(reached(&progress, 2).await, Some(2));
    assert_eq!(*seen.borrow(), (2, 4), "two refusals before each");
    assert_eq!(log.start(UPDATES), 2, "the log was let go of");
    dir.fail_sync_after(0);
    tell(&log, 3);
    assert!(log.flush().is_err());
    let dead = ended.await.unwrap().unwrap_err();
    assert!(matches!(dead, follow::Error::Poisoned(_)), "{dead}");
    assert_eq!(reached(&progress, 3).await, None);
}

/// One of several processes that take by turns; what they have taken is in one place.
struct Shift {
    who: &'static str,
    taken: watch::Sender<Vec<(&'static str, u64)>>,
}

impl Consumer for Shift {
    type Error = Failure;

    const NAME: &'static str = "shift";
    const PAUSE: Duration = Duration::ZERO;
    const BATCHES_BETWEEN_RELEASES: u32 = 16;

    fn sources(&self) -> Vec<TopicPartition> {
        vec![UPDATES]
    }

    async fn resume(&mut self, _: TopicPartition) -> Result<u64, Failure> {
        Ok(self.taken.borrow().len() as u64)
    }

    async fn take(&mut self, batch: Batch) -> Result<(), Failure> {
        let firsts = batch.runs.iter().map(|run| (self.who, run.first));
        self.taken.send_modify(|taken| taken.extend(firsts));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_store_has_lost_is_taken_again_when_a_reader_says_so() {
    let log = EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap();
    let taken = watch::Sender::default();
    let (who, kept) = ("only", taken.clone());
    let shift = Shift { who, taken };
    let runner = Runner::open(following(&log), shift).await.unwrap();
    let progress = runner.progress();
    tokio::spawn(runner.follow(std::future::pending()));
    for number in 1..=2 {
        tell(&log, number);
        log.flush().unwrap();
        assert_eq!(reached(&progress, number).await, Some(number));
    }
    kept.send_modify(|taken| taken.truncate(1));
    let read = || async { Err::<(), _>("it is not there") };
    let found = progress.stored(&[UPDATES], Duration::MAX, read, |_| true);
    assert_eq!(found.await, Some(Err("it is not there")));
    let mut seen = kept.subscribe();
    seen.wait_for(|taken| taken.len() == 2).await.unwrap();
    assert_eq!(*kept.borrow(), [(who, 1), (who, 2)]);
}

#[tokio::test(start_paused = true)]
async fn who_is_relieved_lets_go_and_the_next_goes_on_where_it_stood() {
    let log = EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap();
    let taken = watch::Sender::default();
    let mut seen = taken.subscribe();
    let mut duties = Vec::new();
    for who in ["early", "late"] {
        let duty = Duty::standing_by();
        duties.push(duty.clone());
        let following = Following {
            duties: duty.into(),
            ..following(&log)
        };
        let taken = taken.clone();
        let runner = Runner::open(following, Shift { who, taken }).await.unwrap();
        tokio::spawn(runner.follow(std::future::pending()));
    }
    let [early, late] = &duties[..] else {
        panic!("two were made")
    };
    tell(&log, 1);
    log.flush().unwrap();
    early.begin();
    seen.wait_for(|taken| taken.len() == 1).await.unwrap();
    assert!(!early.is_free());
    early.end();
    while !early.is_free() {
        tokio::time::sleep(PAUSE_MIN).await;
    }
    tell(&log, 2);
    log.flush().unwrap();
    late.begin();
    seen.wait_for(|taken| taken.len() == 2).await.unwrap();
    tell(&log, 3);
    log.flush().unwrap();
    seen.wait_for(|taken| taken.len() == 3).await.unwrap();
    let all = [("early", 1), ("late", 2), ("late", 3)];
    assert_eq!(*seen.borrow(), all);
}

/// One of several processes that share partitions out; what they have taken is in one place.
struct Sharing {
    who: &'static str,
    taken: watch::Sender<BTreeMap<u32, Vec<&'static str>>>,
    seen: watch::Sender<Vec<u32>>,
}

const PARTITIONS: u32 = 2;

impl Consumer for Sharing {
    type Error = Failure;

    const NAME: &'static str = "sharing";
    const PAUSE: Duration = Duration::from_secs(3_600);
    const BATCHES_BETWEEN_RELEASES: u32 = 16;
    const SEES: bool = true;

    fn sources(&self) -> Vec<TopicPartition> {
        let partition = |number| Topic::PortfolioUpdates.partition(number);
        (0..PARTITIONS).map(partition).collect()
    }

    async fn resume(&mut self, of: TopicPartition) -> Result<u64, Failure> {
        let taken = self.taken.borrow();
        Ok(taken
            .get(&of.partition)
            .map_or(0, |taken| taken.len() as u64))
    }

    async fn take(&mut self, batch: Batch) -> Result<(), Failure> {
        self.taken.send_modify(|taken| {
            let taken = taken.entry(batch.partition.partition).or_default();
            taken.extend(std::iter::repeat_n(self.who, batch.len()));
        });
        Ok(())
    }

    fn see(&mut self, batch: &Batch) -> Result<(), Failure> {
        let seen = std::iter::repeat_n(batch.partition.partition, batch.len());
        self.seen.send_modify(|all| all.extend(seen));
        Ok(())
    }
}

/// A process that shares partitions out with others, and runs.
struct Member {
    duties: Duties,
    seen: watch::Receiver<Vec<u32>>,
    progress: Progress,
}

impl Member {
    async fn run(
        log: &Arc<EmbeddedLog>,
        who: &'static str,
        taken: &watch::Sender<BTreeMap<u32, Vec<&'static str>>>,
    ) -> Member {
        let duties = Duties::standing_by(PARTITIONS);
        let following = Following {
            retention: Arc::new(Retention::shared(log.clone())),
            duties: duties.clone(),
            ..following(log)
        };
        let seen = watch::Sender::default();
        let member = Sharing {
            who,
            taken: taken.clone(),
            seen: seen.clone(),
        };
        let runner = Runner::open(following, member).await.unwrap();
        let progress = runner.progress();
        tokio::spawn(runner.follow(std::future::pending()));
        Member {
            duties,
            seen: seen.subscribe(),
            progress,
        }
    }

    async fn reaches(&self, wanted: [u64; PARTITIONS as usize]) {
        let partition = |number| Topic::PortfolioUpdates.partition(number);
        let wanted: Vec<_> = (0..).map(partition).zip(wanted).collect();
        assert_eq!(self.progress.reached(&wanted).await, Some(wanted));
    }
}

#[tokio::test(start_paused = true)]
async fn each_takes_its_own_sees_the_rest_and_goes_on_with_what_becomes_its_own() {
    let log = EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap();
    let told = |partition: u32, number: u64| {
        let mut batch = LogBatch::new();
        batch.push_with(Topic::PortfolioUpdates.partition(partition), |to| {
            let from = Topic::AccountJournal.partition(partition);
            lane::write(from, 1, number, &[b"x"], to);
        });
        log.append(None, &batch).unwrap();
        log.flush().unwrap();
    };
    let taken = watch::Sender::default();
    let (one, two) = (
        Member::run(&log, "one", &taken).await,
        Member::run(&log, "two", &taken).await,
    );
    one.duties.of(0).begin();
    one.duties.of(1).begin();
    told(0, 1);
    told(1, 1);
    one.reaches([1, 1]).await;
    two.reaches([1, 1]).await;
    assert_eq!(one.seen.borrow().len(), 0);
    let mut seen = two.seen.borrow().clone();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1]);

    one.duties.of(1).end();
    // It pauses for long, and lets go all the same.
    while !one.duties.of(1).is_free() {
        tokio::task::yield_now().await;
    }
    assert!(!one.duties.of(0).is_free());
    two.duties.of(1).begin();
    told(0, 2);
    told(1, 2);
    for member in [&one, &two] {
        member.reaches([2, 2]).await;
    }
    let all = BTreeMap::from([(0, vec!["one", "one"]), (1, vec!["one", "two"])]);
    assert_eq!(*taken.borrow(), all);
}
