//! A log, a data directory and a clock that stands still, with what may go wrong with them.

use std::ops::Range;
use std::sync::Arc;

use prepx_bus::embedded::Config;
use prepx_bus::faulty::FaultyDir;
use prepx_bus::{
    AppendError, Batch, EmbeddedLog, FenceError, Log, Owner, Poisoned, Position, ReadError, Record,
    Topic, TopicPartition, Watermark,
};
use prepx_domain::Micros;
use prepx_env::{ManualClock, Random};
use prepx_stage::follow::Tail;
use prepx_stage::{Duty, Retention, Topology};
use prepx_store::{Durability, Options, Pool, Query, query, suite};
use tempfile::TempDir;

use crate::auditor::{Auditor, Pace};
use crate::error::Error;
use crate::public_key;
use crate::root::Signed;
use crate::service::Deps;
use crate::store::{Audit, MIGRATIONS};
use crate::verify::{Difference, Totals, VerifyError, verify};

pub(super) const TOPOLOGY: Topology = Topology {
    account_partitions: 2,
    matching_partitions: 1,
};
pub(super) const ACCOUNTS: TopicPartition = Topic::AccountJournal.partition(0);
pub(super) const MATCHING: TopicPartition = Topic::MatchingJournal.partition(0);

/// The world of one test.
pub(super) struct World {
    pub log: Arc<EmbeddedLog>,
    pub owners: Vec<Owner>,
    pub directory: TempDir,
    pub clock: Arc<ManualClock>,
    pub deps: Deps,
}

impl World {
    pub async fn new() -> World {
        let log = EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap();
        let owners = [ACCOUNTS, MATCHING].map(|journal| log.fence(journal, "test").unwrap());
        let directory = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new(Micros(1_800_000_000_000_000)));
        let seam: Arc<dyn Log> = log.clone();
        let retention = Arc::new(Retention::new(Arc::clone(&seam)));
        for journal in [ACCOUNTS, MATCHING] {
            retention.release("snapshots", journal, 0).unwrap();
        }
        let deps = Deps {
            directory: directory.path().to_owned(),
            location: suite::location(&directory.path().join("sql")).await,
            retention,
            tail: Tail::new(Arc::clone(&seam)),
            log: seam,
            topology: TOPOLOGY,
            clock: clock.clone(),
            random: Arc::new(Random::from_seed(7)),
            pace: Pace::default(),
            duty: Duty::always(),
        };
        World {
            log,
            owners: owners.to_vec(),
            directory,
            clock,
            deps,
        }
    }

    /// Makes records durable whose bytes follow from their number.
    pub fn write(&self, journal: TopicPartition, numbers: Range<u64>) {
        let owner = self.owners.iter().find(|owner| owner.journal == journal);
        let mut batch = Batch::new();
        for number in numbers {
            batch.push(journal, format!("record {number}").as_bytes());
        }
        self.log.append(owner.copied(), &batch).unwrap();
        self.log.flush().unwrap();
    }

    pub async fn auditor(&self) -> Auditor {
        self.try_auditor().await.unwrap()
    }

    pub async fn try_auditor(&self) -> Result<Auditor, Error> {
        Auditor::open(&self.deps, self.audit().await).await
    }

    pub async fn audit(&self) -> Audit {
        Audit::open(&self.deps.location).await.unwrap()
    }

    /// 10 records under root 1, 10 more under root 2, 3 more chained and under no root.
    pub async fn two_roots() -> World {
        let world = World::new().await;
        let mut auditor = world.auditor().await;
        for numbers in [0..10, 10..20] {
            world.write(ACCOUNTS, numbers.clone());
            world.write(MATCHING, numbers);
            auditor.pass(true).await.unwrap();
        }
        world.write(ACCOUNTS, 20..23);
        auditor.pass(false).await.unwrap();
        world
    }

    pub async fn verify(&self) -> Result<Totals, VerifyError> {
        self.verify_as(&*self.log).await
    }

    pub async fn verify_as(&self, log: &dyn Log) -> Result<Totals, VerifyError> {
        let key = public_key(self.directory.path()).unwrap();
        verify(log, &self.deps.location, TOPOLOGY, key.as_ref()).await
    }

    /// What verification says of the same journals as `tamper` shows them.
    pub async fn tampered(
        &self,
        tamper: impl Fn(TopicPartition, &mut Vec<Record>) + Send + Sync + 'static,
    ) -> Difference {
        let log = Tampered {
            log: self.log.clone(),
            tamper: Box::new(tamper),
        };
        difference(self.verify_as(&log).await)
    }

    /// Writes into the schema as only an intruder does.
    pub async fn intrude(&self, root: u64, signed: &Signed) {
        let change = query("UPDATE roots SET body = $1, signature = $2 WHERE number = $3")
            .bind(signed.body.as_slice())
            .bind(signed.signature.as_slice())
            .bind(root as i64);
        self.run(change).await;
    }

    /// Runs a statement as an operator of the database does.
    pub async fn run(&self, statement: Query) {
        let options = Options::new("audit", Durability::Source);
        let pool = Pool::open(&self.deps.location, &options, MIGRATIONS).await;
        let mut tx = pool.unwrap().begin().await.unwrap();
        statement.execute(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// The difference that verification has found.
#[track_caller]
pub(super) fn difference(outcome: Result<Totals, VerifyError>) -> Difference {
    match outcome {
        Err(VerifyError::Difference(difference)) => difference,
        other => panic!("a difference was due: {other:?}"),
    }
}

type Tamper = Box<dyn Fn(TopicPartition, &mut Vec<Record>) + Send + Sync>;

/// The same log with other records in it, as if somebody had written segments with right checksums.
struct Tampered {
    log: Arc<EmbeddedLog>,
    tamper: Tamper,
}

impl Log for Tampered {
    fn fence(&self, journal: TopicPartition, who: &str) -> Result<Owner, FenceError> {
        self.log.fence(journal, who)
    }

    fn holds(&self, owner: Owner) -> Result<bool, ReadError> {
        self.log.holds(owner)
    }

    fn append(&self, owner: Option<Owner>, batch: &Batch) -> Result<Position, AppendError> {
        self.log.append(owner, batch)
    }

    fn watermark(&self) -> &Watermark {
        self.log.watermark()
    }

    fn read(
        &self,
        partition: TopicPartition,
        from: u64,
        _max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let mut records = self.log.read(partition, 0, usize::MAX)?;
        (self.tamper)(partition, &mut records);
        records.retain(|record| record.offset >= from);
        Ok(records)
    }

    fn start(&self, partition: TopicPartition) -> u64 {
        self.log.start(partition)
    }

    fn end(&self, partition: TopicPartition) -> u64 {
        let mut records = self.log.read(partition, 0, usize::MAX).unwrap();
        (self.tamper)(partition, &mut records);
        records.last().map_or(0, |record| record.offset + 1)
    }

    fn accepted_end(&self, partition: TopicPartition) -> u64 {
        self.log.accepted_end(partition)
    }

    fn runs_ahead(&self) -> bool {
        self.log.runs_ahead()
    }

    fn truncate_before(&self, partition: TopicPartition, offset: u64) -> Result<(), Poisoned> {
        self.log.truncate_before(partition, offset)
    }
}
