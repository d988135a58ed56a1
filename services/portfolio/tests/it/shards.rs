//! Books in two places: what an account partition comes to is in its shard and nowhere else, and the
//! whole is what one place would have.

use prepx_domain::{AccountId, Slot};
use prepx_portfolio::{Ledger, Projection, ProjectionError};
use prepx_store::{Error, Layout, Location, suite};

use super::{World, account, at, deposit, deposit_of, sums, trade};

/// One of the second partition.
fn other() -> AccountId {
    AccountId::next(Slot::new(4_095).unwrap(), at(0), None)
}

/// A world that has told of both, and two places for its books.
async fn world() -> (World, tempfile::TempDir, [Location; 2]) {
    let mut world = World::new().await;
    world.tell(1, &[deposit(1, 1_000)]);
    world.tell(2, &trade(10));
    world.say_of(
        1,
        1,
        &[deposit_of(other(), 1, 30), deposit_of(other(), 2, 12)],
    );
    world.log.flush().unwrap();
    let place = tempfile::tempdir().unwrap();
    let places = ["one", "two"].map(|name| place.path().join(name));
    let places = [
        suite::location(&places[0]).await,
        suite::location(&places[1]).await,
    ];
    world.layout = layout([vec![0], vec![1]], &places);
    (world, place, places)
}

fn layout(partitions: [Vec<u32>; 2], places: &[Location; 2]) -> Layout {
    let shards = places.iter().cloned().zip(partitions);
    Layout::of(shards.collect(), 2).unwrap()
}

#[tokio::test]
async fn a_partition_is_in_its_shard_and_the_whole_is_that_of_one_place() {
    let (world, _place, places) = world().await;
    let ledger = world.ledger().await;
    world.catch_up(&ledger).await.unwrap();
    let one_place = World::new().await;
    let whole = one_place.ledger().await;
    world.catch_up(&whole).await.unwrap();
    assert_eq!(sums(&ledger).await, sums(&whole).await);
    assert_eq!(ledger.balance().await.unwrap(), (None, 15));
    assert_eq!(ledger.positions(2).await.unwrap(), [2, 1]);
    assert_eq!(ledger.lanes(2).await.unwrap(), [4, 2]);
    for (place, lanes, postings) in [(&places[0], [4, 0], 11), (&places[1], [0, 2], 4)] {
        let alone = Ledger::open(&place.clone().into()).await.unwrap();
        assert_eq!(alone.lanes(2).await.unwrap(), lanes);
        assert_eq!(alone.balance().await.unwrap(), (None, postings));
    }
    for (account, days) in [(account(), 2), (other(), 1)] {
        let mut view = ledger.view(account).await.unwrap();
        let found = view.changes(account, &super::points("1D", at(0))).await;
        assert_eq!(found.unwrap().unwrap().shifts.len(), days, "of {account}");
    }
}

#[tokio::test]
async fn shards_that_were_put_elsewhere_are_refused() {
    let (mut world, _place, places) = world().await;
    let ledger = world.ledger().await;
    world.catch_up(&ledger).await.unwrap();
    world.layout = layout([vec![1], vec![0]], &places);
    let refused = Ledger::open(&world.layout).await.unwrap_err();
    assert!(matches!(refused, Error::Misplaced(0)), "{refused}");
    world.layout = layout([vec![0, 1], vec![]], &places);
    let refused = Ledger::open(&world.layout).await.unwrap_err();
    assert!(matches!(refused, Error::Misplaced(1)), "{refused}");
}

/// What stops one shard stops no other.
#[tokio::test]
async fn the_books_of_other_shards_go_on_without_one() {
    let (world, _place, _places) = world().await;
    let ledger = world.ledger().await;
    world.catch_up(&ledger).await.unwrap();
    let following = world.following();
    let takers = Projection::of_each_shard(&following, &ledger)
        .await
        .unwrap();
    world.say_of(1, 9, &[deposit_of(other(), 9, 1)]);
    world.tell(5, &[deposit(9, 1)]);
    let [mut first, mut second] = <[_; 2]>::try_from(takers).ok().unwrap();
    let stopped = second.catch_up(|_| {}).await.unwrap_err();
    let is_gap = matches!(
        stopped,
        ProjectionError::Store(Error::Gap { partition: 1, .. })
    );
    assert!(is_gap, "{stopped}");
    first.catch_up(|_| {}).await.unwrap();
    assert_eq!(ledger.positions(2).await.unwrap(), [3, 1]);
}
