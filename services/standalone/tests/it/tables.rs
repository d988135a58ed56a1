//! What `prepx verify` says of rows that somebody has changed: beside a platform that runs, and of its data directory.

use std::path::Path;

use prepx_proto::trading::v1::trading_service_client::TradingServiceClient;
use prepx_proto::trading::v1::{OrderSide, OrderType, SubmitOrderRequest, TimeInForce};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

use crate::platform::{Key, Platform, found, prepx};
use crate::skips::{add_account, end};

/// A change of rows, what undoes it, and the table that is named.
const CHANGES: [(&str, &str, &str); 4] = [
    (
        "UPDATE orders SET final = 2 WHERE final = 1",
        "UPDATE orders SET final = 1 WHERE final = 2",
        "orders",
    ),
    (
        "UPDATE activities SET number = number + 1000",
        "UPDATE activities SET number = number - 1000",
        "activities",
    ),
    (
        "UPDATE daily_changes SET paid_minor = paid_minor + 1",
        "UPDATE daily_changes SET paid_minor = paid_minor - 1",
        "daily_changes",
    ),
    (
        "UPDATE transfers SET amount_minor = amount_minor + 1",
        "UPDATE transfers SET amount_minor = amount_minor - 1",
        "transfers",
    ),
];

async fn execute(data_dir: &Path, sql: &'static str) {
    let name = match sql.contains("transfers") {
        true => "transfers",
        false => "portfolio",
    };
    let file = data_dir.join("sql").join(format!("{name}.db"));
    let connecting = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await;
    let mut connection = connecting.expect("the schema");
    let done = sqlx::query(sql).execute(&mut connection).await;
    assert!(
        done.expect("it can be written").rows_affected() > 0,
        "{sql}"
    );
    connection.close().await.expect("it ends");
}

/// Has an order that trades nothing accepted and ended.
async fn order(platform: &Platform, trader: &Key) {
    let order = SubmitOrderRequest {
        symbol: "ROWS".into(),
        qty: Some("1".into()),
        side: OrderSide::Buy.into(),
        r#type: OrderType::Limit.into(),
        time_in_force: TimeInForce::Ioc.into(),
        limit_price: Some("99".into()),
        ..SubmitOrderRequest::default()
    };
    let mut client = TradingServiceClient::new(platform.peer());
    let placed = client.submit_order(trader.sign(order)).await;
    placed.expect("it is accepted");
}

/// Waits until the books have so many orders that have ended.
async fn ended(data_dir: &Path, orders: i64) {
    let file = data_dir.join("sql/portfolio.db");
    let connecting = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await;
    let mut books = connecting.expect("the schema");
    found("the end of the order", async || {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM orders WHERE final = 1");
        let count: i64 = count.fetch_one(&mut books).await.expect("a number");
        (count == orders).then_some(())
    })
    .await;
    books.close().await.expect("it ends");
}

/// Every change is found and named, and nothing is when it is undone; how many rows there are.
async fn changes_are_found(data_dir: &Path, of: [&str; 2]) -> u64 {
    let verify = || prepx(&["verify", "--json", of[0], of[1]]);
    for (sql, back, table) in CHANGES {
        execute(data_dir, sql).await;
        let (code, words) = verify();
        assert_eq!(code, Some(1), "{sql}: {words}");
        let said = format!("I6: table {table}, account ");
        assert!(words.contains(&said), "{sql}: {words}");
        execute(data_dir, back).await;
    }
    let (code, words) = verify();
    assert_eq!(code, Some(0), "{words}");
    let report: Value = serde_json::from_str(&words).expect("JSON");
    assert_eq!(report["rows"]["beyond"], 0, "{report}");
    report["rows"]["compared"].as_u64().expect("rows")
}

#[tokio::test(flavor = "multi_thread")]
async fn i6_changed_rows_are_found_beside_a_platform_that_runs_and_when_it_is_stopped() {
    let directory = tempfile::tempdir().expect("a directory");
    let data_dir = directory.path();
    let mut platform = Platform::start(data_dir);
    platform.add_instrument("ROWS").await;
    let trader = platform.add_trader("rows@example.com", "1000").await;
    order(&platform, &trader).await;
    ended(data_dir, 1).await;
    // One order; of the trader's deposit and of that of the demo account an activity, a transfer and a day.
    let running = changes_are_found(data_dir, ["--url", &platform.url]).await;
    assert_eq!(running, 7);
    end(platform);
    let path = data_dir.to_str().expect("a path");
    assert_eq!(changes_are_found(data_dir, ["--data-dir", path]).await, 7);
    // What comes after a start is compared too.
    platform = Platform::start(data_dir);
    order(&platform, &trader).await;
    add_account(&platform, "other@example.com", "USD", "5").await;
    ended(data_dir, 2).await;
    let running = changes_are_found(data_dir, ["--url", &platform.url]).await;
    assert_eq!(running, 11);
    end(platform);
}
