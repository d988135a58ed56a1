//! Several processes that share the partitions of the markets out: each shows all of them, and whoever takes one
//! writes each change once.

use prepx_market_data::Trade;
use prepx_stage::Duties;

use super::*;

/// Which has the instrument of the script.
const PARTITION: u32 = 1;

/// A process, and what it is told to take.
struct Process {
    duties: Duties,
    open: Open,
}

impl Process {
    async fn of(world: &World) -> Process {
        let duties = Duties::standing_by(TOPOLOGY.matching_partitions);
        let following = Following {
            retention: Arc::new(Retention::shared(world.log.clone())),
            duties: duties.clone(),
            ..world.following()
        };
        let open = world.open_with(following).await;
        Process { duties, open }
    }

    async fn catch_up(&mut self) {
        self.open.catch_up().await.unwrap();
    }

    async fn trades(&self) -> Vec<Trade> {
        let (app, query) = (self.open.app(), everything(100));
        let found = app.past::<Trade>(AssetClass::Crypto, &query, ());
        found.await.unwrap().lists.remove(0).1
    }
}

/// The market as one process has it that takes all that was told.
async fn market_of_one(world: &World) -> Market {
    let mut alone = World::new().await;
    alone.log = world.log.clone();
    let following = Following {
        retention: Arc::new(Retention::shared(world.log.clone())),
        ..alone.following()
    };
    let mut open = alone.open_with(following).await;
    open.catch_up().await.unwrap();
    open.market().await
}

#[tokio::test]
async fn every_process_shows_the_newest_and_the_past_of_what_another_one_takes() {
    let updates = script().updates;
    let world = World::new().await;
    let mut taker = Process::of(&world).await;
    taker.duties.of(PARTITION).begin();
    let mut reader = Process::of(&world).await;
    let mut from = 0;
    for until in [9, 15] {
        world.tell(from as u64 + 1, &updates[from..until]);
        from = until;
        reader.catch_up().await;
        let newest = market_of_one(&world).await;
        assert_eq!(reader.open.market().await, newest, "before it is stored");
        let take = async {
            tokio::task::yield_now().await;
            taker.catch_up().await;
        };
        let (trades, ()) = tokio::join!(reader.trades(), take);
        assert_eq!(trades, taker.trades().await);
        assert_eq!(taker.open.market().await, newest);
    }
    assert_eq!(reader.trades().await.len(), 4);
}

#[tokio::test]
async fn i2_who_takes_over_goes_on_from_the_store_and_shows_nothing_older() {
    let updates = script().updates;
    let world = World::new().await;
    let mut processes = [Process::of(&world).await, Process::of(&world).await];
    processes[0].duties.of(PARTITION).begin();
    world.tell(1, &updates[..7]);
    processes[0].catch_up().await;
    // The second has seen what the first has not taken.
    world.tell(8, &updates[7..]);
    processes[1].catch_up().await;
    let newest = market_of_one(&world).await;
    assert_eq!(processes[1].open.market().await, newest);
    processes[0].duties.of(PARTITION).end();
    processes[0].catch_up().await;
    assert!(processes[0].duties.of(PARTITION).is_free());
    let stored = Topic::MarketData.partition(PARTITION);
    let position = async |process: &Process| process.open.store.position(stored).await.unwrap();
    assert_eq!(position(&processes[0]).await, 1, "it has let go");

    processes[1].duties.of(PARTITION).begin();
    let projection = &mut processes[1].open.projection;
    let (markets, mut shown) = (projection.consumer().markets(), Vec::new());
    let before = |_: &_| shown.push(markets.look(SYMBOL, Market::clone));
    projection.catch_up(before).await.unwrap();
    assert_eq!(shown, [Some(newest.clone())], "before it is taken");
    assert_eq!(position(&processes[1]).await, 2);
    for process in &processes {
        assert_eq!(process.open.market().await, newest);
        assert_eq!(process.trades().await.len(), 4);
    }
    assert_eq!(world.open().await.market().await, newest, "of the store");
}
