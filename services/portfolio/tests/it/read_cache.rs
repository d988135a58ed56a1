//! What was read of an account is found again as long as nothing has changed it, and what is asked for most is
//! read before somebody asks.

use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use prepx_cache::{Cache, Location as CacheLocation, Warmer};
use prepx_env::Random;
use prepx_portfolio::{Books, ReadCache};
use prepx_stage::consume::Runner;
use prepx_stage::port::{HistoryPort as _, PastQuery};

use super::*;

const PERIOD: Duration = Duration::from_secs(300);

/// A process.
pub(super) struct Open {
    clock: Arc<ManualClock>,
    pub ledger: Ledger,
    pub projection: Runner<Projection>,
    books: Books,
}

impl Open {
    async fn over(world: &World) -> Open {
        Open::with(world, world.following()).await
    }

    pub async fn with(world: &World, following: Following) -> Open {
        let clock = Arc::new(ManualClock::new(at(0)));
        let cache = Cache::open(CacheLocation::Memory, clock.clone()).await;
        let ledger = world.ledger().await;
        let projection = Projection::open(following.clone(), ledger.clone()).await;
        let projection = projection.unwrap();
        let books = Books::new(
            world.compared(&ledger).await,
            following,
            std::slice::from_ref(&projection),
            ReadCache::new(&cache),
            Arc::new(Warmer::new(
                "accounts",
                PERIOD,
                clock.clone(),
                &Random::from_seed(1),
            )),
        );
        Open {
            clock,
            ledger,
            projection,
            books,
        }
    }

    /// The client order ids of the account's orders, as soon as everything that was told is there.
    pub async fn orders(&mut self) -> Vec<String> {
        self.projection.catch_up(|_| {}).await.unwrap();
        self.orders_now().await
    }

    /// The same, as they are found.
    pub async fn orders_now(&self) -> Vec<String> {
        let query = PastOrders::Query(PastQuery {
            only_ended: false,
            after: None,
            until: None,
            side: None,
            symbols: Vec::new(),
            newest_first: false,
            limit: 100,
        });
        let found = self.books.past_orders(account(), query).await.unwrap();
        found
            .into_iter()
            .map(|order| order.client_order_id)
            .collect()
    }
}

/// How often orders were found, were read, and were read before anybody asked.
pub(super) fn counts(told: &PrometheusRecorder) -> [u64; 3] {
    let page = told.handle().render();
    let of_orders = "{space=\"orders of accounts\",level=\"l1\"}";
    [
        format!("prepx_cache_hits_total{of_orders} "),
        format!("prepx_cache_misses_total{of_orders} "),
        "prepx_cache_warmed_total{of=\"accounts\"} ".to_owned(),
    ]
    .map(|name| {
        let mut values = page.lines().filter_map(|line| line.strip_prefix(&name));
        values.next().unwrap().parse().unwrap()
    })
}

#[tokio::test]
async fn an_answer_is_kept_until_the_account_changes() {
    let told = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&told);
    let world = World::new().await;
    world.tell(1, &trade(10));
    let mut open = Open::over(&world).await;
    for _ in 0..2 {
        assert_eq!(open.orders().await, ["order-10"]);
    }
    assert_eq!(counts(&told), [1, 1, 0]);

    let other = AccountId::next(slot(), at(1), None);
    world.tell(4, &[deposit_of(other, 20, 1)]);
    assert_eq!(open.orders().await, ["order-10"]);
    assert_eq!(counts(&told), [2, 1, 0], "nothing of this account changed");

    world.tell(5, &trade(30));
    assert_eq!(open.orders().await, ["order-10", "order-30"]);
    assert_eq!(counts(&told), [2, 2, 0]);

    // Another process takes what comes next, and this one finds it taken.
    world.tell(8, &trade(40));
    world.catch_up(&world.ledger().await).await.unwrap();
    assert_eq!(open.orders().await, ["order-10", "order-30", "order-40"]);
    assert_eq!(counts(&told), [2, 3, 0]);
}

/// With replicas that lag it is them that must not be read.
#[tokio::test]
async fn what_was_taken_while_somebody_asks_is_in_what_is_kept_of_it() {
    let (world, twin) = (World::new().await, World::in_files());
    for world in [&world, &twin] {
        world.tell(1, &trade(10));
        world.say(4, &trade(30));
    }
    let mut open = Open::over(&world).await;
    assert_eq!(open.orders().await, ["order-10"]);
    // Who asks has found that the books are as far as the log, and not looked at the version yet.
    twin.log.flush().unwrap();
    let next = open.ledger.position(0).await.unwrap();
    let updates = Topic::PortfolioUpdates.partition(0);
    let mut follower = twin.following().tail.follow([(updates, next)]);
    let batch = follower.look().unwrap().unwrap();
    open.ledger.take(&batch).await.unwrap();
    for _ in 0..2 {
        assert_eq!(open.orders_now().await, ["order-10", "order-30"]);
    }
}

#[tokio::test]
async fn what_is_asked_for_most_is_read_before_somebody_asks() {
    let told = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&told);
    let world = World::new().await;
    world.tell(1, &trade(10));
    let mut open = Open::over(&world).await;
    assert_eq!(open.orders().await, ["order-10"]);
    open.clock.advance(PERIOD);
    open.books.warm_if_due().await;
    assert_eq!(counts(&told), [0, 1, 0], "it is kept");

    assert_eq!(open.orders().await, ["order-10"]);
    world.tell(4, &trade(30));
    open.projection.catch_up(|_| {}).await.unwrap();
    open.books.warm_if_due().await;
    assert_eq!(counts(&told), [1, 1, 0], "no round is due");
    open.clock.advance(PERIOD);
    open.books.warm_if_due().await;
    assert_eq!(counts(&told), [1, 1, 1]);
    assert_eq!(open.orders().await, ["order-10", "order-30"]);
    assert_eq!(counts(&told), [2, 1, 1], "the new trade was read already");
}
