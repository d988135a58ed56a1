//! A simulated market within a tiny bound on the disk.

// What the test shares with itself unwraps as it does.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use prepx_proto::trading::v1::trading_service_client::TradingServiceClient;
use prepx_proto::trading::v1::{
    CancelOrderRequest, GetOrderRequest, OrderSide, OrderType, SubmitOrderRequest, TimeInForce,
};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

use crate::platform::{Key, Platform, found, prepx, simulating};

const BYTES_MAX: u64 = 16 << 20;
const CHECKPOINTS: u64 = 3;

fn start(directory: &Path) -> Platform {
    let config = directory.join("prepx.toml");
    let text = format!("[simulation]\nactions_per_second = 500\ndisk_bytes_max = {BYTES_MAX}\n");
    std::fs::write(&config, text).unwrap();
    let mut command = simulating("on", &directory.join("data"));
    command.arg("--config").arg(config);
    Platform::start_by(&mut command)
}

/// What `prepx verify` answers: its exit code, stdout and stderr.
fn verify(directory: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_prepx"))
        .args(["verify", "--json", "--data-dir"])
        .arg(directory.join("data"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        // A file, or something that has just been removed.
        return std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    };
    entries.map(|entry| size(&entry.unwrap().path())).sum()
}

fn checkpoints(directory: &Path) -> u64 {
    let text = std::fs::read_to_string(directory.join("data/log/checkpoint")).unwrap_or_default();
    let body = text.lines().nth(1).unwrap_or("{}");
    let body: Value = serde_json::from_str(body).unwrap();
    body["number"].as_u64().unwrap_or(0)
}

/// An order of the real account, placed and cancelled; its id.
async fn order(platform: &Platform, trader: &Key) -> String {
    let mut client = TradingServiceClient::new(platform.peer());
    let order = SubmitOrderRequest {
        symbol: "AAPL".into(),
        qty: Some("1".into()),
        side: OrderSide::Buy.into(),
        r#type: OrderType::Limit.into(),
        time_in_force: TimeInForce::Gtc.into(),
        limit_price: Some("190".into()),
        client_order_id: "mine".into(),
        ..SubmitOrderRequest::default()
    };
    // The instruments are listed by the traders, who begin when it serves.
    let placed = found("the listing of AAPL", async || {
        client.submit_order(trader.sign(order.clone())).await.ok()
    });
    let order_id = placed.await.into_inner().id;
    let cancel = CancelOrderRequest {
        order_id: order_id.clone(),
    };
    client.cancel_order(trader.sign(cancel)).await.unwrap();
    order_id
}

/// Of the tables of a simulated market the newest rows, and what all days come to, are compared.
async fn changed_rows_are_found(directory: &Path) {
    let books = directory.join("data/sql/portfolio.db");
    let mut books = SqliteConnection::connect(&format!("sqlite:{}", books.display()))
        .await
        .unwrap();
    for (sql, back) in [
        (
            "UPDATE orders SET side = 3 - side WHERE rowid = (SELECT MAX(rowid) FROM orders)",
            "UPDATE orders SET side = 3 - side WHERE rowid = (SELECT MAX(rowid) FROM orders)",
        ),
        (
            "UPDATE activities SET type = type + 90 WHERE rowid =
             (SELECT MAX(rowid) FROM activities)",
            "UPDATE activities SET type = type - 90 WHERE rowid =
             (SELECT MAX(rowid) FROM activities)",
        ),
        (
            "UPDATE daily_changes SET change_minor = change_minor + 1 WHERE rowid = 1",
            "UPDATE daily_changes SET change_minor = change_minor - 1 WHERE rowid = 1",
        ),
    ] {
        sqlx::query(sql).execute(&mut books).await.unwrap();
        let (code, _, words) = verify(directory);
        assert_eq!(code, Some(1), "{sql}");
        assert!(words.contains("I6: table "), "{sql}: {words}");
        sqlx::query(back).execute(&mut books).await.unwrap();
    }
    books.close().await.unwrap();
    assert_eq!(verify(directory).0, Some(0));
}

#[tokio::test]
async fn i1_i6_the_disk_stays_in_its_bound_and_verify_starts_from_the_signed_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut platform = start(directory);
    let trader = platform.add_trader("real@example.com", "1000").await;
    let order_id = order(&platform, &trader).await;
    let mut biggest = 0;
    found("a third checkpoint", async || {
        biggest = biggest.max(size(&directory.join("data")));
        (checkpoints(directory) >= CHECKPOINTS).then_some(())
    })
    .await;
    assert!(biggest <= BYTES_MAX, "{biggest} bytes");
    // Beside the traders what is read may be dropped meanwhile.
    found("what was told and the tables alike", async || {
        let (code, words) = prepx(&["verify", "--json", "--url", &platform.url]);
        assert!(!words.contains("I6"), "{words}");
        (code == Some(0)).then_some(())
    })
    .await;
    platform.process.kill().unwrap();
    platform.process.wait().unwrap();

    let (code, report, words) = verify(directory);
    assert_eq!(code, Some(0), "{words}");
    let report: Value = serde_json::from_str(&report).unwrap();
    let number = report["checkpoint"]["number"].as_u64().unwrap();
    assert!(number >= CHECKPOINTS, "{report}");

    let rows = &report["rows"];
    assert!(rows["compared"].as_u64() > Some(100), "{rows}");
    // What the real account did has left the log, and stays.
    assert!(rows["beyond"].as_u64() > Some(0), "{rows}");
    changed_rows_are_found(directory).await;

    let platform = start(directory);
    let asked = GetOrderRequest {
        order_id: order_id.clone(),
        ..GetOrderRequest::default()
    };
    let mut client = TradingServiceClient::new(platform.peer());
    let found = client
        .get_order(trader.sign(asked))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (found.id, found.client_order_id.as_str()),
        (order_id, "mine")
    );
    drop(platform);

    let path = directory.join("data/log/checkpoint");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (code, _, words) = verify(directory);
    assert_eq!(code, Some(1));
    assert!(
        words.contains("the checkpoint of what was dropped"),
        "{words}"
    );
}
