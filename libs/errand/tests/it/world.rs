//! A group with a receiver in memory, on an embedded log in memory and a store in a directory.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use prepx_bus::embedded::{Config, WriterHandle};
use prepx_bus::faulty::FaultyDir;
use prepx_bus::{Batch, EmbeddedLog, Log, Topic, TopicPartition, spawn_writer};
use prepx_domain::Micros;
use prepx_env::{Clock, ManualClock};
use prepx_errand::{
    Act, Attempt, Deps, Desk, Effect, Errand, Group, Intake, Letter, Letters, Origin, Outcome,
    Retries, Settings, TABLES,
};
use prepx_stage::follow::{Message, Tail};
use prepx_stage::{Duty, Following, Retention, Topology, lane};
use prepx_store::{Change, Durability, Migration, Options, Pool, Source};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How long a test waits for what must come.
const WAIT: Duration = Duration::from_secs(30);

pub const GROUP: Group = Group {
    name: "toys",
    input: Topic::PortfolioUpdates,
    retries: &[Topic::WebhookRetries1, Topic::WebhookRetries2],
    dead: Topic::WebhookDeadLetters,
};

/// How a target answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Take,
    Refuse,
    /// Not within any time; an attempt takes as long as a turn.
    Hang,
    /// As long as the process lives.
    Never,
    Gone,
}

/// What a target answers next, and after that.
type Answers = (VecDeque<Answer>, Option<Answer>);

/// Delivers to targets, which are numbers: each byte of a message is one.
#[derive(Default)]
pub struct Toy {
    /// What targets answer next, and after that.
    answers: Mutex<BTreeMap<u8, Answers>>,
    /// What was delivered or tried: target, number of the message.
    pub seen: watch::Sender<Vec<(u8, u64)>>,
}

impl Toy {
    pub fn answer(&self, target: u8, next: &[Answer], then: Answer) {
        let answers = (next.iter().copied().collect(), Some(then));
        self.answers.lock().unwrap().insert(target, answers);
    }

    /// Waits until so many attempts were seen in all; those.
    pub async fn attempts(&self, count: usize) -> Vec<(u8, u64)> {
        let mut seen = self.seen.subscribe();
        let there = tokio::time::timeout(WAIT, seen.wait_for(|seen| seen.len() >= count)).await;
        let seen = self.seen.borrow().clone();
        assert!(there.is_ok(), "{count} attempts do not come: {seen:?}");
        seen
    }

    fn next(&self, target: u8) -> Answer {
        let mut answers = self.answers.lock().unwrap();
        let Some((next, then)) = answers.get_mut(&target) else {
            return Answer::Take;
        };
        next.pop_front().or(*then).unwrap_or(Answer::Take)
    }
}

pub fn target(number: u8) -> Uuid {
    Uuid::from_u128(number.into())
}

impl Effect for Toy {
    const GROUP: Group = GROUP;
    type Way = u8;
    type Error = Infallible;

    async fn errands(
        &self,
        _: TopicPartition,
        messages: &[(Origin, Message)],
    ) -> Result<Vec<Errand>, Infallible> {
        let mut errands = Vec::new();
        for (origin, message) in messages {
            errands.extend(message.payload.iter().map(|byte| Errand {
                origin: *origin,
                id: Uuid::from_u128(u128::from(origin.number) << 64 | u128::from(*byte)),
                event: Uuid::from_u128(origin.number.into()),
                target: target(*byte),
                what: "toy".to_owned(),
                payload: Bytes::from_static(b"{}"),
                due: Micros(0),
                attempts: Vec::new(),
            }));
        }
        Ok(errands)
    }

    async fn way(&self, target: Uuid) -> Result<Option<u8>, Infallible> {
        let number = target.as_u128() as u8;
        let answers = self.answers.lock().unwrap();
        let next = (answers.get(&number)).and_then(|(next, then)| next.front().or(then.as_ref()));
        Ok((next != Some(&Answer::Gone)).then_some(number))
    }

    async fn attempt(
        &self,
        way: &mut u8,
        errand: &Errand,
        now: Micros,
    ) -> Result<Outcome, Infallible> {
        let answer = self.next(*way);
        self.seen
            .send_modify(|seen| seen.push((*way, errand.origin.number)));
        let failure = match answer {
            Answer::Take => return Ok(Outcome::Done),
            Answer::Gone => return Ok(Outcome::Gone),
            Answer::Refuse => "refused",
            Answer::Never => std::future::pending().await,
            Answer::Hang => {
                tokio::time::sleep(settings().turn).await;
                "no answer"
            }
        };
        Ok(Outcome::Failed(Attempt {
            at: now,
            failure: failure.to_owned(),
            tried: true,
        }))
    }
}

pub fn settings() -> Settings {
    Settings {
        delays: vec![Duration::from_secs(5), Duration::from_secs(30)],
        turn: Duration::from_millis(100),
        targets_at_once: 8,
        waiting_max: 1_000,
        letters_max: 100,
        held_bytes_max: 1 << 30,
    }
}

pub struct World {
    pub log: Arc<EmbeddedLog>,
    pub clock: Arc<ManualClock>,
    pub toy: Arc<Toy>,
    pub pool: Pool,
    pub settings: Settings,
    told: u64,
    _writer: WriterHandle,
    _directory: tempfile::TempDir,
}

/// The group while it works.
pub struct Working {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Working {
    /// Ends it wherever it is.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

impl World {
    pub async fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let location = prepx_store::suite::location(directory.path()).await;
        let options = Options::new("toys", Durability::Source);
        let migrations = [Migration {
            version: 1,
            name: "errands",
            change: Change::Expand,
            sql: TABLES,
        }];
        let pool = Pool::open(&location, &options, &migrations).await.unwrap();
        let log = EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap();
        World {
            _writer: spawn_writer(Arc::clone(&log)).unwrap(),
            log,
            clock: Arc::new(ManualClock::new(Micros(1_000_000))),
            toy: Arc::default(),
            pool,
            settings: settings(),
            told: 0,
            _directory: directory,
        }
    }

    /// One message for these targets, in the one partition.
    pub fn tell(&mut self, targets: &[u8]) -> u64 {
        self.told += 1;
        self.repeat(self.told, targets);
        self.told
    }

    /// A message of this number, again or for the first time.
    pub fn repeat(&self, number: u64, targets: &[u8]) {
        let mut batch = Batch::new();
        batch.push_with(GROUP.input.partition(0), |to| {
            let source = Topic::AccountJournal.partition(0);
            lane::write(source, number, number, &[targets], to);
        });
        self.log.append(None, &batch).unwrap();
    }

    pub async fn work(&self) -> Working {
        let log: Arc<dyn Log> = self.log.clone();
        let clock: Arc<dyn Clock> = self.clock.clone();
        let deps = Deps {
            effect: Arc::clone(&self.toy),
            settings: self.settings.clone(),
            following: Following {
                tail: Tail::new(Arc::clone(&log)),
                retention: Arc::new(Retention::new(Arc::clone(&log))),
                topology: Topology {
                    account_partitions: 1,
                    matching_partitions: 1,
                },
                clock,
                duties: Duty::always().into(),
            },
            log,
            pool: self.pool.clone(),
        };
        let intake = Intake::open(&deps).await.unwrap();
        let retries = Retries::of(deps, &intake);
        let stop = watch::Sender::new(false);
        let stopped = || {
            let mut stop = stop.subscribe();
            async move {
                let _ended = stop.wait_for(|stop| *stop).await;
            }
        };
        let (first, second) = (stopped(), stopped());
        let tasks = vec![
            tokio::spawn(async move { intake.run(first).await.unwrap() }),
            tokio::spawn(async move { retries.run(second).await.unwrap() }),
        ];
        Working { stop, tasks }
    }

    pub fn desk(&self) -> Desk {
        Desk {
            letters: Letters::new(self.pool.clone()),
            log: self.log.clone(),
            groups: &[GROUP],
        }
    }

    pub async fn settle(&self, ids: &[Uuid], act: Act) -> u64 {
        let settled = self.desk().settle(None, ids, act, Uuid::nil()).await;
        settled.unwrap()
    }

    /// The dead letters, when there are so many.
    pub async fn letters(&self, count: usize) -> Vec<Letter> {
        let letters = Letters::new(self.pool.clone());
        let there = async {
            loop {
                let page = letters.page(None, None, 1_000).await.unwrap();
                if page.len() == count {
                    return page;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(WAIT, there)
            .await
            .expect("as many letters")
    }

    /// Waits until all that is on the log has been seen to and that is kept: who dies now repeats nothing.
    pub async fn rest(&self) {
        for topic in [GROUP.input, GROUP.retries[0], GROUP.retries[1], GROUP.dead] {
            let source = Source {
                consumer: GROUP.name,
                topic: topic.name(),
                partition: 0,
            };
            let kept = async {
                while self.pool.position(&source).await.unwrap() < self.end(topic) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let kept = tokio::time::timeout(WAIT, kept).await;
            assert!(kept.is_ok(), "{topic} is not seen to");
        }
    }

    /// Waits until a condition holds.
    pub async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let holding = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let held = tokio::time::timeout(WAIT, holding).await;
        assert!(held.is_ok(), "it never came to this: {what}");
    }

    pub fn end(&self, topic: Topic) -> u64 {
        self.log.end(topic.partition(0))
    }
}
