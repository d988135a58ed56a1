//! What is left when an operator has a stage go on without a message, and how it is ended.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use prepx_account::Config;
use prepx_bus::EmbeddedLog;
use prepx_bus::file::RealDir;
use prepx_domain::message::{self, Action, PlaceOrder};
use prepx_domain::{AccountId, OrderId, OrderKind, Side, TimeInForce};
use prepx_env::{Clock as _, Random, SystemClock};
use prepx_proto::portfolio::v1::DepositRequest;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient as Portfolio;
use prepx_proto::user::v1::AddAccountRequest;
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use prepx_risk::AccountCodec;
use prepx_stage::{Partition, Snapshots, Stage, Takeover};
use prepx_standalone::core::{Options, manifest};
use serde_json::{Value, json};

use crate::platform::{Key, Platform, found};

/// What `prepx` prints and how it ends.
fn prepx(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_prepx"))
        .args(arguments)
        .output()
        .expect("the program runs");
    let words = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8(words).expect("words"),
    )
}

/// The report of `prepx verify`, which must find nothing.
fn verified(of: &[&str]) -> Value {
    let (code, words) = prepx(&[&["verify", "--json"], of].concat());
    assert_eq!(code, Some(0), "{words}");
    serde_json::from_str(&words).expect("JSON")
}

/// An account with 1,000 dollars.
async fn add_account(platform: &Platform) -> AccountId {
    let request = Key::operator().sign(AddAccountRequest {
        email: "lost@example.com".to_owned(),
        simulated: false,
    });
    let mut users = UserServiceClient::new(platform.peer());
    let made = users.add_account(request).await.expect("it is made");
    let account_id = made.into_inner().account_id;
    let request = Key::operator().sign(DepositRequest {
        account_id: account_id.clone(),
        asset: "USD".to_owned(),
        amount: "1000".to_owned(),
        idempotency_key: "first".to_owned(),
    });
    let paid = Portfolio::new(platform.peer()).deposit(request).await;
    paid.expect("it is paid in");
    AccountId::from_uuid(account_id.parse().expect("a UUID")).expect("an account's")
}

/// Has the account stage accept an order, as a process that dies before matching takes it. Answers the
/// order, the partition that it is for, and the message.
fn place_unheard(data_dir: &Path, account: AccountId) -> (OrderId, String, String) {
    let log_dir = RealDir::open(&data_dir.join("log")).expect("a log");
    let log = EmbeddedLog::open(log_dir, Options::new(data_dir).log).expect("nobody holds it");
    let snapshots = Snapshots::new(RealDir::open(&data_dir.join("snapshots")).expect("a folder"));
    let topology = manifest::read(data_dir).expect("a data directory");
    let now = SystemClock::new().now();
    let takeover = Takeover {
        who: "a test",
        now,
        reemit: false,
    };
    let partition = account.slot().partition(topology.account_partitions);
    let seat = Stage::ACCOUNT.seat(partition);
    let codec = AccountCodec::new(Config::of_partitions(topology.account_partitions));
    let codec = Arc::new(codec);
    let mut stage =
        Partition::open(codec, seat, topology, &*log, &snapshots, takeover).expect("it");
    let place = Action::Place(PlaceOrder {
        account,
        symbol: "LOST".parse().expect("a symbol"),
        side: Side::Buy,
        kind: OrderKind::Limit {
            limit: 9_900_000_000,
        },
        time_in_force: TimeInForce::GoodTilCanceled,
        qty_minor: 500_000_000,
        post_only: false,
        extended_hours: false,
        expires_at: None,
        client_order_id: "lost".to_owned(),
    });
    let command = message::Command {
        id: Random::from_system().uuid(),
        stamped_at: now,
        slot: account.slot(),
        action: place,
    };
    let input = prepx_account::Input::Command(command);
    stage.take_command(0, &input).expect("it is decided");
    stage.append(&*log).expect("room");
    log.flush().expect("a disk");
    let order = stage
        .machine()
        .open_orders(account)
        .pop()
        .expect("it was accepted");
    let to = order
        .instrument
        .slot()
        .partition(topology.matching_partitions);
    let sent = stage.head().sent[&Stage::MATCHING.seat(to).lanes()];
    let message = format!("account-journal/{partition}#{sent}");
    (order.id, format!("matching/{to}"), message)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_a_skip_has_lost_is_ended_by_an_operator_and_the_books_are_right() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().to_str().unwrap();
    let mut platform = Platform::start(directory.path());
    platform.add_instrument("LOST").await;
    let account = add_account(&platform).await;
    platform.terminate();
    assert!(platform.process.wait().unwrap().success());

    let (order, partition, message) = place_unheard(directory.path(), account);
    let place = ["--data-dir", data_dir, "--partition", &partition];
    let what = ["--input", &message, "--reason", "a test of an operator"];
    let (code, words) = prepx(&[&["stage", "skip"], &place[..], &what[..]].concat());
    assert_eq!(code, Some(0), "{words}");
    let skipped = json!([{
        "partition": partition,
        "input": message,
        "reason": "a test of an operator",
    }]);
    let held = |report: &Value| report["totals"]["USD"]["held"].clone();
    let report = verified(&["--data-dir", data_dir]);
    assert_eq!(
        (held(&report), &report["skipped"]),
        (json!("495"), &skipped)
    );

    let mut platform = Platform::start(directory.path());
    let url = platform.url.clone();
    assert_eq!(
        held(&verified(&["--url", &url])),
        "495",
        "nothing ends it by itself"
    );
    let id = order.to_string();
    let end = ["order", "end", "--id", &id, "--reason", "lost by a skip"];
    let (code, words) = prepx(&[&["admin", "--url", &url], &end[..]].concat());
    assert_eq!(code, Some(0), "{words}");
    found("the end of the order", async || {
        (held(&verified(&["--url", &url])) == "0").then_some(())
    })
    .await;
    let (code, words) = prepx(&[&["admin", "--url", &url], &end[..]].concat());
    assert_eq!(code, Some(1), "it has ended: {words}");
    platform.terminate();
    assert!(platform.process.wait().unwrap().success());
    let report = verified(&["--data-dir", data_dir]);
    assert_eq!((held(&report), &report["skipped"]), (json!("0"), &skipped));
    let (_, words) = prepx(&["verify", "--data-dir", data_dir]);
    let said = format!("{partition} went on without {message} (a test of an operator)");
    assert!(words.contains(&said), "{words}");
}
