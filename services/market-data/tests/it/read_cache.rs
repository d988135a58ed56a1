//! Pages of the past are read once in their time, and only when they are over.

use std::time::Duration;

use prepx_market_data::Trade;

use super::*;

/// How many trades there are up to a second, as the application shows them.
async fn trades(app: &App, until_s: i64) -> usize {
    let query = Query {
        end: Micros(START_US + until_s * 1_000_000),
        ..everything(100)
    };
    let found = app.past::<Trade>(AssetClass::Crypto, &query, ()).await;
    found.unwrap().lists[0].1.len()
}

#[tokio::test]
async fn what_is_over_is_read_once_in_its_time_and_what_is_not_every_time() {
    let world = World::new().await;
    let mut script = script();
    world.tell(1, &script.updates);
    let mut open = world.open().await;
    open.catch_up().await.unwrap();
    let app = open.app();
    assert_eq!([trades(&app, 100).await, trades(&app, 145).await], [3, 3]);

    // By a clock that was two minutes behind: nothing that comes in time shows what is kept.
    let told = script.updates.len();
    script.trade(50_000, 100, 1);
    world.tell(told as u64 + 1, &script.updates[told..]);
    // Not taken yet, and nothing is kept of what a reader finds before it is.
    assert_eq!(trades(&app, 101).await, 3);
    open.catch_up().await.unwrap();
    assert_eq!(trades(&app, 100).await, 3, "is kept");
    assert_eq!(
        trades(&app, 101).await,
        4,
        "was not all there when it was read"
    );
    assert_eq!(trades(&app, 145).await, 4, "was not over when it was read");

    open.clock.advance(Duration::from_secs(5 * 60));
    assert_eq!(trades(&app, 100).await, 4, "its time is over");
}
