use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use metrics_exporter_prometheus::PrometheusBuilder;
use prepx_bus::brokers::{self, Brokers};
use prepx_bus::embedded::Config;
use prepx_bus::faulty::FaultyDir;
use prepx_bus::{
    AppendError, Batch, EmbeddedLog, FenceError, Log, Owner, Poisoned, Position, ReadError, Record,
    Topic, TopicPartition, Watermark,
};
use prepx_domain::Micros;
use prepx_env::{Clock as _, ManualClock, Random};
use prepx_stage::follow::Tail;
use prepx_stage::{Retention, Skip, Stage, Topology};
use prepx_store::{Durability, Location, Options, Pool, Query, query, suite};
use tempfile::TempDir;

use crate::auditor::{Auditor, Pace, Pass};
use crate::chain::Head;
use crate::error::Error;
use crate::root::{Root, Signed};
use crate::service::Deps;
use crate::store::{Audit, MIGRATIONS};
use crate::verify::{Difference, Newest, Totals, VerifyError, verify};
use crate::{key, public_key};

const TOPOLOGY: Topology = Topology {
    account_partitions: 2,
    matching_partitions: 1,
};
const ACCOUNTS: TopicPartition = Topic::AccountJournal.partition(0);
const MATCHING: TopicPartition = Topic::MatchingJournal.partition(0);

/// A log, a data directory and a clock that stands still.
struct World {
    log: Arc<EmbeddedLog>,
    owners: Vec<Owner>,
    directory: TempDir,
    clock: Arc<ManualClock>,
    deps: Deps,
}

impl World {
    async fn new() -> World {
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
            duty: prepx_stage::Duty::always(),
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
    fn write(&self, journal: TopicPartition, numbers: std::ops::Range<u64>) {
        let owner = self.owners.iter().find(|owner| owner.journal == journal);
        let mut batch = Batch::new();
        for number in numbers {
            batch.push(journal, format!("record {number}").as_bytes());
        }
        self.log.append(owner.copied(), &batch).unwrap();
        self.log.flush().unwrap();
    }

    async fn auditor(&self) -> Auditor {
        self.try_auditor().await.unwrap()
    }

    async fn try_auditor(&self) -> Result<Auditor, Error> {
        Auditor::open(&self.deps, self.audit().await).await
    }

    async fn audit(&self) -> Audit {
        Audit::open(&self.deps.location).await.unwrap()
    }

    /// 10 records under root 1, 10 more under root 2, 3 more chained and under no root.
    async fn two_roots() -> World {
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

    async fn verify(&self) -> Result<Totals, VerifyError> {
        self.verify_as(&*self.log).await
    }

    async fn verify_as(&self, log: &dyn Log) -> Result<Totals, VerifyError> {
        let key = public_key(self.directory.path()).unwrap();
        verify(log, &self.deps.location, TOPOLOGY, key.as_ref()).await
    }

    /// What verification says of the same journals as `tamper` shows them.
    async fn tampered(
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
    async fn intrude(&self, root: u64, signed: &Signed) {
        let change = query("UPDATE roots SET body = $1, signature = $2 WHERE number = $3")
            .bind(signed.body.as_slice())
            .bind(signed.signature.as_slice())
            .bind(root as i64);
        self.run(change).await;
    }

    /// Runs a statement as an operator of the database does.
    async fn run(&self, statement: Query) {
        let options = Options::new("audit", Durability::Source);
        let pool = Pool::open(&self.deps.location, &options, MIGRATIONS).await;
        let mut tx = pool.unwrap().begin().await.unwrap();
        statement.execute(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[track_caller]
fn difference(outcome: Result<Totals, VerifyError>) -> Difference {
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

#[tokio::test]
async fn what_was_chained_verifies_with_totals() {
    let world = World::two_roots().await;
    let clean = Totals {
        roots: 2,
        records: 43,
        unaudited: 0,
    };
    assert_eq!(world.verify().await.unwrap(), clean);
    world.write(MATCHING, 20..25);
    let behind = Totals {
        unaudited: 5,
        ..clean
    };
    assert_eq!(world.verify().await.unwrap(), behind);
}

#[tokio::test]
async fn one_flipped_bit_is_found_between_the_roots_around_it() {
    let world = World::two_roots().await;
    let found = world.tampered(|journal, records| {
        if journal == MATCHING {
            let mut payload = records[13].payload.to_vec();
            payload[3] ^= 1;
            records[13].payload = Bytes::from(payload);
        }
    });
    let wanted = Difference::Chain {
        journal: MATCHING,
        from: 10,
        to: 19,
    };
    assert_eq!(found.await, wanted);
}

#[tokio::test]
async fn a_removed_record_is_found_whether_the_rest_moves_up_or_not() {
    let world = World::two_roots().await;
    let hole = world.tampered(|journal, records| {
        if journal == ACCOUNTS {
            records.remove(4);
        }
    });
    let wanted = Difference::Chain {
        journal: ACCOUNTS,
        from: 0,
        to: 9,
    };
    assert_eq!(hole.await, wanted);
    let closed = world.tampered(|journal, records| {
        if journal == ACCOUNTS {
            records.remove(4);
            (0u64..)
                .zip(records)
                .for_each(|(at, record)| record.offset = at);
        }
    });
    assert_eq!(closed.await, wanted);
    let cut_off = world.tampered(|journal, records| {
        if journal == ACCOUNTS {
            records.truncate(22);
        }
    });
    let lost = Difference::Lost {
        journal: ACCOUNTS,
        end: 22,
        audited: 23,
    };
    assert_eq!(cut_off.await, lost);
}

#[tokio::test]
async fn reordered_records_are_found_even_under_no_root() {
    let world = World::two_roots().await;
    let found = world.tampered(|journal, records| {
        if journal == ACCOUNTS {
            let (former, latter) = (records[20].payload.clone(), records[21].payload.clone());
            (records[20].payload, records[21].payload) = (latter, former);
        }
    });
    let wanted = Difference::Chain {
        journal: ACCOUNTS,
        from: 20,
        to: 22,
    };
    assert_eq!(found.await, wanted);
}

#[tokio::test]
async fn a_record_of_one_journal_cannot_pass_for_anothers() {
    let head = async |journal| {
        let world = World::new().await;
        world.write(journal, 0..3);
        let mut head = Head::start(journal, 0);
        head.fold(&*world.log, 3).unwrap();
        head.hash
    };
    assert_ne!(head(ACCOUNTS).await, head(MATCHING).await);
}

#[tokio::test]
async fn a_forged_root_and_one_by_another_key_are_found() {
    let world = World::two_roots().await;
    let (_, genuine) = world.audit().await.roots(1, 1).await.unwrap().remove(0);

    let mut forged = genuine.clone();
    let last = forged.body.len() - 1;
    forged.body[last] ^= 1;
    world.intrude(2, &forged).await;
    assert_eq!(difference(world.verify().await), Difference::Signature(2));

    let root = Root::decode(&genuine.body).unwrap();
    let stranger = SigningKey::from_bytes(&[9; 32]);
    world.intrude(2, &root.sign(&stranger)).await;
    assert_eq!(difference(world.verify().await), Difference::Signature(2));

    // Whoever has the key can sign a lie; the journals give it away.
    let ours = key::read(world.directory.path()).unwrap().unwrap();
    let mut lie = root.clone();
    lie.heads[0].hash[0] ^= 1;
    world.intrude(2, &lie.sign(&ours)).await;
    let wanted = Difference::Chain {
        journal: ACCOUNTS,
        from: 10,
        to: 19,
    };
    assert_eq!(difference(world.verify().await), wanted);

    let mut unlinked = root.clone();
    unlinked.previous[0] ^= 1;
    world.intrude(2, &unlinked.sign(&ours)).await;
    assert_eq!(difference(world.verify().await), Difference::Unlinked(2));

    let mut partial = root;
    partial.heads.pop();
    world.intrude(2, &partial.sign(&ours)).await;
    let found = difference(world.verify().await);
    assert_eq!(found, Difference::MalformedRoot(2));

    world.intrude(2, &genuine).await;
    assert_eq!(world.verify().await.unwrap().roots, 2);
}

/// What `prepx verify --url` asks of a platform that runs.
async fn check_newest(world: &World) -> Result<(u64, Totals), VerifyError> {
    let key = public_key(world.directory.path()).unwrap().unwrap();
    let newest = Newest::of(&world.audit().await, TOPOLOGY, &key).await?;
    Ok((newest.root, newest.over(&*world.log)?))
}

#[tokio::test]
async fn a_changed_head_behind_the_last_root_is_found() {
    let world = World::two_roots().await;
    let clean = Totals {
        roots: 2,
        records: 3,
        unaudited: 0,
    };
    assert_eq!(check_newest(&world).await.unwrap(), (2, clean));
    world.write(MATCHING, 20..21);
    let (_, behind) = check_newest(&world).await.unwrap();
    assert_eq!((behind.records, behind.unaudited), (3, 1));

    let audit = world.audit().await;
    let heads = audit.heads().await.unwrap();
    let mut changed = *heads.iter().find(|head| head.journal == ACCOUNTS).unwrap();
    changed.hash[31] ^= 1;
    audit.commit(&[(23, changed)], &[], None).await.unwrap();
    let found = match check_newest(&world).await {
        Err(VerifyError::Difference(difference)) => difference,
        other => panic!("a difference was due: {other:?}"),
    };
    let wanted = Difference::Chain {
        journal: ACCOUNTS,
        from: 20,
        to: 22,
    };
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn before_the_first_root_the_journals_are_checked_from_their_beginning() {
    let world = World::new().await;
    world.write(ACCOUNTS, 0..5);
    world.auditor().await.pass(false).await.unwrap();
    let (root, totals) = check_newest(&world).await.unwrap();
    assert_eq!((root, totals.roots, totals.records), (0, 0, 5));
}

/// I2: however the records are cut into passes, and wherever the process dies, the chain is one.
#[tokio::test]
async fn the_same_records_give_the_same_heads_whatever_dies_between() {
    let whole = World::new().await;
    whole.write(ACCOUNTS, 0..50);
    whole.auditor().await.pass(true).await.unwrap();

    let broken = World::new().await;
    for from in (0..50).step_by(10) {
        broken.write(ACCOUNTS, from..from + 10);
        // Heads live in the schema alone: an auditor that is dropped is a process that dies.
        broken.auditor().await.pass(from == 20).await.unwrap();
    }
    broken.auditor().await.pass(true).await.unwrap();
    let heads = async |world: &World| world.audit().await.heads().await.unwrap();
    assert_eq!(heads(&whole).await, heads(&broken).await);
    assert_eq!(heads(&whole).await[0].next_offset, 50);
    assert_eq!(broken.verify().await.unwrap().records, 50);
}

/// I2: of two auditors that hold the same position only one moves it; the other changes nothing.
#[tokio::test]
async fn an_auditor_that_was_overtaken_changes_nothing() {
    let world = World::new().await;
    let (mut first, mut second) = (world.auditor().await, world.auditor().await);
    world.write(ACCOUNTS, 0..5);
    first.pass(false).await.unwrap();
    world.write(ACCOUNTS, 5..9);
    first.pass(true).await.unwrap();
    let overtaken = second.pass(true).await;
    assert!(matches!(overtaken, Err(Error::Moved(journal)) if journal == ACCOUNTS));
    let totals = world.verify().await.unwrap();
    assert_eq!((totals.roots, totals.records), (1, 9));
}

/// What an operator skipped is listed beside the head that has its record, and once, whoever dies between.
#[tokio::test]
async fn skips_are_listed_as_the_journals_say_them() {
    let world = World::new().await;
    let transition = [
        &[1, 1, 1][..],
        &[0; 8],
        // One input: account-journal/2#57 is skipped.
        &[1, 3, 14, 2, 57, 5],
        b"bug 7",
        &[0, 0],
        &[0; 8],
    ];
    world.write(MATCHING, 0..2);
    let mut batch = Batch::new();
    batch.push(MATCHING, &transition.concat());
    let owner = world.owners.iter().find(|owner| owner.journal == MATCHING);
    world.log.append(owner.copied(), &batch).unwrap();
    world.log.flush().unwrap();
    let (mut first, mut second) = (world.auditor().await, world.auditor().await);
    first.pass(false).await.unwrap();
    assert!(matches!(second.pass(false).await, Err(Error::Moved(_))));
    world.auditor().await.pass(false).await.unwrap();
    let skips = world.audit().await.skips(0, 10).await.unwrap();
    let skip = Skip {
        seat: Stage::MATCHING.seat(0),
        message: "account-journal/2#57".parse().unwrap(),
        reason: "bug 7".to_owned(),
    };
    assert_eq!(skips, [(1, skip)]);
    assert_eq!(world.audit().await.skips(1, 10).await.unwrap(), []);
}

#[tokio::test]
async fn roots_are_made_by_time_and_by_records_and_only_for_something_new() {
    let mut world = World::new().await;
    world.deps.pace = Pace {
        records: 10,
        interval: Duration::from_secs(60),
    };
    let mut auditor = world.auditor().await;
    let roots = async || world.audit().await.roots(0, 10).await.unwrap().len();
    world.write(ACCOUNTS, 0..3);
    auditor.pass(false).await.unwrap();
    assert_eq!(roots().await, 0);
    world.clock.advance(Duration::from_secs(60));
    auditor.pass(false).await.unwrap();
    assert_eq!(roots().await, 1);
    world.clock.advance(Duration::from_secs(600));
    auditor.pass(true).await.unwrap();
    assert_eq!(roots().await, 1, "there is nothing new to sign");
    world.clock.jump_to(Micros(1));
    world.write(ACCOUNTS, 3..13);
    auditor.pass(false).await.unwrap();
    let roots = world.audit().await.roots(0, 10).await.unwrap();
    let times = roots
        .iter()
        .map(|(_, root)| Root::decode(&root.body).unwrap().created_at);
    let times: Vec<_> = times.collect();
    assert!(times.len() == 2 && times.is_sorted(), "{times:?}");
}

/// What was signed before anybody made a month of it goes there afterwards, and one root follows the other whichever
/// months they are of.
#[tokio::test]
async fn roots_go_on_from_month_to_month() {
    let world = World::two_roots().await;
    let mut auditor = world.auditor().await;
    let in_a_database = matches!(world.deps.location, Location::Pg(_));
    let months = async || world.audit().await.make_months(world.clock.now()).await;
    let made = if in_a_database { 4 } else { 0 };
    assert_eq!(months().await.unwrap(), made);
    assert_eq!(months().await.unwrap(), 0);
    world.clock.advance(Duration::from_secs(31 * 86_400));
    world.write(ACCOUNTS, 23..30);
    auditor.pass(true).await.unwrap();
    assert_eq!(months().await.unwrap(), made / 4);
    let totals = world.verify().await.unwrap();
    assert_eq!((totals.roots, totals.records), (3, 50));
    let audit = world.audit().await;
    let (_, newest) = audit.newest_root().await.unwrap().unwrap();
    let root = Root::decode(&newest.body).unwrap();
    let again = audit.commit(&[], &[], Some((&root, &newest))).await;
    assert!(matches!(again, Err(Error::NotNext(3))), "{again:?}");
    if in_a_database {
        a_month_may_be_elsewhere(&world, &mut auditor).await;
    }
}

async fn a_month_may_be_elsewhere(world: &World, auditor: &mut Auditor) {
    let detach = "ALTER TABLE roots DETACH PARTITION roots_2027_01";
    world.run(query(detach)).await;
    world.write(ACCOUNTS, 30..31);
    auditor.pass(true).await.unwrap();
    let (newest, _) = world.audit().await.newest_root().await.unwrap().unwrap();
    assert_eq!(newest, 4);
    let missing = difference(world.verify().await);
    assert_eq!(missing, Difference::MissingRoot(1));
    let attach = "ALTER TABLE roots ATTACH PARTITION roots_2027_01
        FOR VALUES FROM (1798761600000000) TO (1801440000000000)";
    world.run(query(attach)).await;
    assert_eq!(world.verify().await.unwrap().roots, 4);
}

#[tokio::test]
async fn nothing_is_cut_before_a_root_covers_it_and_the_rest_verifies_from_there() {
    let world = World::new().await;
    let mut auditor = world.auditor().await;
    let retention = &world.deps.retention;
    world.write(ACCOUNTS, 0..10);
    auditor.pass(false).await.unwrap();
    retention.release("snapshots", ACCOUNTS, 8).unwrap();
    assert_eq!(world.log.start(ACCOUNTS), 0, "no root covers it");
    auditor.pass(true).await.unwrap();
    world.write(ACCOUNTS, 10..20);
    auditor.pass(true).await.unwrap();
    retention.release("snapshots", ACCOUNTS, 12).unwrap();
    assert_eq!(world.log.start(ACCOUNTS), 12);
    world.write(ACCOUNTS, 20..25);
    auditor.pass(false).await.unwrap();
    // From root 2, whose head is the first that is retained: records 20 to 24.
    let totals = world.verify().await.unwrap();
    assert_eq!((totals.roots, totals.records), (2, 5));
    // The next start knows it too.
    let again = world.auditor().await.pass(true).await;
    assert_eq!(again.unwrap(), Pass::Nothing);
    assert_eq!(world.verify().await.unwrap().roots, 3);
}

/// What transactions leave takes offsets too, so a journal on brokers may end behind its last record.
#[tokio::test]
async fn nothing_is_behind_once_all_records_are_taken() {
    let told = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&told);
    let world = World::new().await;
    let brokers = Brokers::new(
        7,
        brokers::Config {
            partitions: |topic| TOPOLOGY.partitions(topic),
            buffer_bytes: 1 << 20,
            batch_bytes_max: 1 << 20,
        },
    );
    let log = brokers.handle();
    let owner = log.fence(ACCOUNTS, "test").unwrap();
    let mut batch = Batch::new();
    batch.push(ACCOUNTS, b"record");
    log.append(Some(owner), &batch).unwrap();
    log.flush();
    brokers.settle();
    let last = log.read(ACCOUNTS, 0, 1).unwrap()[0].offset;
    assert!(log.end(ACCOUNTS) > last + 1, "a marker is behind it");
    let deps = Deps {
        retention: Arc::new(Retention::shared(log.clone())),
        tail: Tail::new(log.clone()),
        log,
        ..world.deps
    };
    let audit = Audit::open(&deps.location).await.unwrap();
    let mut auditor = Auditor::open(&deps, audit).await.unwrap();
    for found in [Pass::All, Pass::Nothing] {
        assert_eq!(auditor.pass(false).await.unwrap(), found);
        let page = told.handle().render();
        let lag = "prepx_consumer_lag_records{consumer=\"audit\"} 0";
        assert!(page.lines().any(|line| line == lag), "{page}");
    }
}

#[tokio::test]
async fn the_key_is_private_and_roots_do_not_go_on_without_it() {
    let world = World::two_roots().await;
    let path = key::path_in(world.directory.path());
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(&path, [9; 32]).unwrap();
    let other = world.try_auditor().await;
    assert!(matches!(other, Err(Error::OtherKey { root: 2, .. })));
    std::fs::remove_file(&path).unwrap();
    let gone = world.try_auditor().await;
    assert!(matches!(gone, Err(Error::OtherKey { root: 2, .. })));
    assert!(!path.exists(), "no new key takes the place of a lost one");
    assert_eq!(difference(world.verify().await), Difference::Signature(1));
}

/// The encoding is what everybody hashes who keeps roots: it never changes.
#[test]
fn the_bytes_of_a_root_are_fixed() {
    let root = Root {
        number: 3,
        created_at: Micros(1_800_000_000_000_000),
        previous: [1; 32],
        heads: vec![Head {
            journal: MATCHING,
            next_offset: 258,
            hash: [2; 32],
        }],
    };
    let body = root.encode();
    let mut wanted = b"prepx audit v1\0\0".to_vec();
    wanted.extend([0, 0, 0, 0, 0, 0, 0, 3]);
    wanted.extend(1_800_000_000_000_000i64.to_be_bytes());
    wanted.extend([1; 32]);
    wanted.extend([0, 0, 0, 1, 0, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    wanted.extend([2; 32]);
    assert_eq!(body, wanted);
    assert_eq!(Root::decode(&body), Some(root));
    assert_eq!(Root::decode(&body[..body.len() - 1]), None);
}
