//! By which plans the engines run what endpoints ask of SQL.

use expect_test::expect_file;
use prepx_store::plans::Plans;
use prepx_store::{Durability, Options};

use super::tests::endpoint;
use super::*;

const ENDPOINTS: i64 = 20_000;

#[tokio::test]
async fn plans_are_those_that_are_kept() {
    let directory = tempfile::TempDir::new().unwrap();
    let location = prepx_store::suite::location(directory.path()).await;
    let options = Options::new("notification", Durability::Source);
    let pool = Pool::open(&location, &options, MIGRATIONS).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    let into =
        "INSERT INTO webhooks (webhook_id, account_id, url, events, created_at_us, disabled_at_us)";
    let numbers: Vec<i64> = (0..ENDPOINTS).collect();
    tx.insert_rows(into, 6, "", &numbers, |number, values| {
        values
            .push(Uuid::from_u128(*number as u128).as_bytes().as_slice())
            .push(number / 2)
            .push("https://example.com/events")
            .push(0i64)
            .push(*number)
            .push((number % 4 == 0).then_some(1i64));
    })
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let mut plans = Plans::of(&pool, &[]).await.unwrap();
    let store = Store::new(pool);
    let new = endpoint(u128::MAX, 7);
    let added = plans.add("an endpoint is added", store.insert(&new, 5));
    assert!(added.await);
    let found = plans.add("the endpoints of an account", store.of_account(new.account));
    assert_eq!(found.await.len(), 3);
    assert!(plans.add("whether there is any", store.any()).await);
    let accounts = [7, 8].map(|number| AccountId::new(number).unwrap());
    let live = plans.add("where to send events of accounts", store.live(&accounts));
    assert_eq!(live.await.len(), 4);
    let found = plans.add("where an errand goes", store.get(new.id)).await;
    assert!(found.is_some());
    let disabled = store.disable(new.id, Micros(1));
    plans.add("an endpoint is gone", disabled).await;
    let deleted = store.delete(new.account, new.id);
    assert!(plans.add("an endpoint is deleted", deleted).await);
    if let Some(file) = plans.file("../../../plans") {
        expect_file![file].assert_eq(plans.text());
    }
}
