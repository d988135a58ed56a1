//! Several processes that share the partitions of the books out: each answers for all of them, and whoever takes one
//! writes each thing once.

use metrics_exporter_prometheus::PrometheusBuilder;
use prepx_domain::{AccountId, Slot};
use prepx_stage::Duties;

use super::read_cache::{Open, counts};
use super::*;

/// A process, and what it is told to take.
struct Process {
    duties: Duties,
    open: Open,
}

impl Process {
    async fn of(world: &World, partitions: &[u32]) -> Process {
        let duties = Duties::standing_by(TOPOLOGY.account_partitions);
        for partition in partitions {
            duties.of(*partition).begin();
        }
        let following = Following {
            retention: Arc::new(Retention::shared(world.log.clone())),
            duties: duties.clone(),
            ..world.following()
        };
        let open = Open::with(world, following).await;
        Process { duties, open }
    }

    async fn catch_up(&mut self) {
        self.open.projection.catch_up(|_| {}).await.unwrap();
    }
}

/// One of the second partition.
fn other() -> AccountId {
    AccountId::next(Slot::new(4_095).unwrap(), at(0), None)
}

/// What the books come to, and how far they say that they are.
type Outcome = (BTreeMap<Line, i64>, u64, Vec<u64>, Vec<u64>);

async fn outcome(ledger: &Ledger) -> Outcome {
    let (unbalanced, postings) = ledger.balance().await.unwrap();
    assert_eq!(unbalanced, None);
    (
        sums(ledger).await,
        postings,
        ledger.positions(2).await.unwrap(),
        ledger.lanes(2).await.unwrap(),
    )
}

/// The same of one process that takes all that was told.
async fn outcome_of_one(world: &World) -> Outcome {
    let alone = World::in_files();
    let ledger = alone.ledger().await;
    world.catch_up(&ledger).await.unwrap();
    outcome(&ledger).await
}

#[tokio::test]
async fn what_one_process_takes_is_read_at_another_as_soon_as_it_was_told() {
    let told = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&told);
    let world = World::new().await;
    let mut taker = Process::of(&world, &[0]).await;
    let mut reader = Process::of(&world, &[1]).await;
    let mut expected = Vec::new();
    for ms in [10, 20] {
        world.tell(3 * expected.len() as u64 + 1, &trade(ms));
        expected.push(format!("order-{ms}"));
        // The reader sees it before it is in the store, and does not show what was there before.
        reader.catch_up().await;
        let read = async { reader.open.orders_now().await };
        let take = async {
            tokio::task::yield_now().await;
            taker.catch_up().await;
        };
        let (found, ()) = tokio::join!(read, take);
        assert_eq!(found, expected);
    }
    assert_eq!(counts(&told)[..2], [0, 2]);
    world.tell(
        7,
        &[deposit_of(AccountId::next(slot(), at(1), None), 30, 1)],
    );
    taker.catch_up().await;
    reader.catch_up().await;
    assert_eq!(reader.open.orders_now().await, expected);
    assert_eq!(
        counts(&told)[..2],
        [1, 2],
        "nothing of this account changed"
    );
}

#[tokio::test]
async fn i2_each_partition_is_taken_by_whoever_has_it_and_handed_over_whole() {
    let world = World::new().await;
    let mut processes = [
        Process::of(&world, &[0]).await,
        Process::of(&world, &[1]).await,
    ];
    let deposits = |ms: i64| vec![deposit_of(other(), ms, ms)];
    world.tell(1, &trade(10));
    world.say_of(1, 1, &deposits(1));
    world.log.flush().unwrap();
    processes[0].catch_up().await;
    let ledger = processes[0].open.ledger.clone();
    assert_eq!(ledger.lanes(2).await.unwrap(), [3, 0], "only its own");
    processes[1].catch_up().await;
    assert_eq!(ledger.lanes(2).await.unwrap(), [3, 1]);

    // What the second has seen and the first has not taken is the second's to take.
    world.tell(4, &trade(20));
    processes[1].catch_up().await;
    assert_eq!(ledger.lanes(2).await.unwrap(), [3, 1]);
    processes[0].duties.of(0).end();
    processes[0].catch_up().await;
    assert_eq!(ledger.lanes(2).await.unwrap(), [3, 1], "it has let go");
    assert!(processes[0].duties.of(0).is_free());
    processes[1].duties.of(0).begin();
    processes[1].catch_up().await;
    assert_eq!(ledger.lanes(2).await.unwrap(), [6, 1]);
    assert_eq!(outcome(&ledger).await, outcome_of_one(&world).await);
    for process in &processes {
        let found = process.open.orders_now().await;
        assert_eq!(found, ["order-10", "order-20"]);
    }
}

/// One who was paused, and does not know that its partitions are another's by now, writes nothing a second time.
#[tokio::test]
async fn i2_two_that_take_the_same_partitions_write_each_thing_once() {
    let world = World::new().await;
    let mut processes = [
        Process::of(&world, &[0, 1]).await,
        Process::of(&world, &[0, 1]).await,
    ];
    let mut told = 0;
    for turn in 0..6 {
        for ms in 0..=turn % 3 {
            world.tell(told + 1, &trade(100 * (turn + 1) + 10 * ms));
            told += 3;
        }
        // By turns, and now and then one of them twice.
        processes[(turn / 2 % 2) as usize].catch_up().await;
    }
    for process in &mut processes {
        process.catch_up().await;
    }
    let ledger = &processes[0].open.ledger;
    assert_eq!(outcome(ledger).await, outcome_of_one(&world).await);
    let found = processes[1].open.orders_now().await;
    assert_eq!(found.len() as u64, told / 3);
}
