//! How the chain grows, whatever dies, and what it lets go of.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use prepx_bus::brokers::{self, Brokers};
use prepx_bus::{Batch, Log as _};
use prepx_domain::Micros;
use prepx_env::Clock as _;
use prepx_stage::follow::Tail;
use prepx_stage::{Retention, Skip, Stage};
use prepx_store::{Location, query};

use super::world::{ACCOUNTS, MATCHING, TOPOLOGY, World, difference};
use crate::auditor::{Auditor, Pace, Pass};
use crate::chain::Head;
use crate::error::Error;
use crate::key;
use crate::root::Root;
use crate::service::Deps;
use crate::store::Audit;
use crate::verify::Difference;

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
