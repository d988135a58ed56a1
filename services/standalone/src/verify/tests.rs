use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prepx_domain::instrument::Instrument;
use prepx_domain::message::{Action, Command, PlaceOrder, ToMatching};
use prepx_domain::update::Ack;
use prepx_domain::{AccountId, OrderKind, Side, Slot, TimeInForce, fixture};
use prepx_env::{Clock, SystemClock};
use prepx_stage::port::MatchingPort;
use sqlx::{Connection as _, SqliteConnection};
use uuid::Uuid;

use prepx_portfolio::audit::Total;

use super::*;
use crate::core::{Core, Options};

const ONE: i64 = 100_000_000;

fn instrument() -> Instrument {
    Instrument {
        collar_ppm: 100_000,
        maker_fee_ppm: 100,
        taker_fee_ppm: 200,
        seed_reference_ticks: Some(6_000_000),
        ..fixture::bitcoin()
    }
}

async fn decide(core: &Core, number: u128, slot: Slot, action: Action) -> Ack {
    let command = Command {
        id: Uuid::from_u128(number),
        stamped_at: SystemClock::new().now(),
        slot,
        action,
    };
    core.submit(command).await.unwrap().outcome.unwrap()
}

async fn account(core: &Core, number: u128, asset: &str, amount: i64) -> AccountId {
    let user = Uuid::from_u128(number << 64);
    let action = Action::OpenAccount {
        user,
        simulated: false,
    };
    let Ack::Opened(account) = decide(core, number, Slot::of_user(user), action).await else {
        panic!("no account was opened");
    };
    let deposit = Action::Deposit {
        account,
        asset: asset.parse().unwrap(),
        amount_minor: amount * ONE,
    };
    decide(core, number + 100, account.slot(), deposit).await;
    account
}

async fn place(core: &Core, number: u128, account: AccountId, side: Side) {
    let order = Action::Place(PlaceOrder {
        account,
        symbol: "BTC/USD".parse().unwrap(),
        side,
        kind: OrderKind::Limit {
            limit: 60_000 * ONE,
        },
        time_in_force: TimeInForce::GoodTilCanceled,
        qty_minor: ONE,
        post_only: false,
        extended_hours: false,
        expires_at: None,
        client_order_id: format!("order-{number}"),
    });
    decide(core, number, account.slot(), order).await;
}

/// A platform on which one BTC was sold for 60,000 USD and another is for sale.
pub async fn platform(data_dir: &Path) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (core, running) = Core::open(Options::new(data_dir), clock).unwrap();
    let defined = MatchingPort::command(&core, ToMatching::Define(instrument()));
    defined.await.unwrap();
    let buyer = account(&core, 1, "USD", 100_000).await;
    let seller = account(&core, 2, "BTC", 5).await;
    place(&core, 11, seller, Side::Sell).await;
    place(&core, 12, buyer, Side::Buy).await;
    place(&core, 13, seller, Side::Sell).await;
    drop(core);
    running.stop().unwrap();
    for (number, account, asset, amount) in [(101, buyer, "USD", 100_000), (102, seller, "BTC", 5)]
    {
        remember(data_dir, number, account, asset, amount * ONE).await;
    }
}

/// Writes what portfolio does when it has a deposit carried out.
async fn remember(data_dir: &Path, number: u128, account: AccountId, asset: &str, minor: i64) {
    let location = prepx_store::Location::Sqlite(data_dir.join("sql"));
    fs::write(data_dir.join("master.key"), [7; 32]).unwrap();
    prepx_user::migrate(&location).await.unwrap();
    prepx_analytics::migrate(&location).await.unwrap();
    prepx_portfolio::migrate(&location.into()).await.unwrap();
    let mut connection = schema(data_dir, "transfers").await;
    let row = sqlx::query(
        "INSERT INTO transfers (account_id, idempotency_key, command_id, stamped_at_us, direction,
         asset, amount_minor, settled) VALUES ($1, $2, $3, $4, 1, $5, $6, 1)",
    );
    let row = row.bind(account.raw()).bind(format!("payday {number}"));
    let row = row.bind(Uuid::from_u128(number).into_bytes().to_vec());
    let row = row.bind(SystemClock::new().now().0).bind(asset).bind(minor);
    row.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn schema(data_dir: &Path, name: &str) -> SqliteConnection {
    let file = data_dir.join("sql").join(format!("{name}.db"));
    let url = format!("sqlite:{}", file.display());
    SqliteConnection::connect(&url).await.unwrap()
}

async fn verified(data_dir: &Path) -> Result<Report> {
    let settings = Settings {
        data_dir: data_dir.to_owned(),
        ..Settings::default()
    };
    stopped(&settings, &Recorded::in_directory(data_dir)).await
}

/// What `verify` finds wrong.
async fn difference(data_dir: &Path) -> String {
    match verified(data_dir).await {
        Ok(_) => panic!("nothing was found"),
        Err(error) => format!("{error:#}"),
    }
}

async fn execute(data_dir: &Path, sql: &'static str) {
    let name = match sql.contains("transfers") {
        true => "transfers",
        false => "portfolio",
    };
    let mut connection = schema(data_dir, name).await;
    let done = sqlx::query(sql).execute(&mut connection).await.unwrap();
    assert!(done.rows_affected() > 0, "{sql} changed nothing");
    connection.close().await.unwrap();
}

#[tokio::test]
async fn i3_i4_i6_hold_and_the_totals_are_those_computed_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    platform(dir.path()).await;
    let report = verified(dir.path()).await.unwrap();
    assert_eq!((report.accounts, report.undelivered), (2, 0));
    // The taker pays 200 ppm of 60,000 USD, the maker 100 ppm.
    let usd = Total {
        available_minor: (100_000 - 60_000 - 12 + 60_000 - 6) * ONE,
        fees_minor: 18 * ONE,
        outside_minor: -100_000 * ONE,
        ..Total::default()
    };
    let btc = Total {
        available_minor: 4 * ONE,
        held_minor: ONE,
        outside_minor: -5 * ONE,
        ..Total::default()
    };
    let expected = [("BTC".parse().unwrap(), btc), ("USD".parse().unwrap(), usd)];
    assert_eq!(report.totals.0, BTreeMap::from(expected));
    // Again: the ledger is where it was.
    let again = verified(dir.path()).await.unwrap();
    assert_eq!(
        (again.postings, again.totals),
        (report.postings, report.totals)
    );
}

#[tokio::test]
async fn a_changed_posting_is_found_by_its_transition() {
    let dir = tempfile::tempdir().unwrap();
    platform(dir.path()).await;
    verified(dir.path()).await.unwrap();
    execute(
        dir.path(),
        "UPDATE postings SET amount_minor = amount_minor + 1 WHERE book = 4 AND asset = 'USD'
         AND number = (SELECT MIN(number) FROM postings WHERE book = 4)",
    )
    .await;
    let found = difference(dir.path()).await;
    assert!(
        found.starts_with("I3: the postings of transition ") && found.ends_with(" 1 USD, not 0"),
        "{found}"
    );
}

#[tokio::test]
async fn postings_that_balance_and_are_wrong_are_found_by_their_book() {
    let dir = tempfile::tempdir().unwrap();
    platform(dir.path()).await;
    verified(dir.path()).await.unwrap();
    execute(
        dir.path(),
        "UPDATE postings SET amount_minor = 2 * amount_minor WHERE (source_partition, seq) IN
         (SELECT source_partition, seq FROM postings WHERE book = 5 AND asset = 'BTC')",
    )
    .await;
    let found = difference(dir.path()).await;
    // Of 5 BTC one is sold and one is for sale; the deposit counts twice in the ledger.
    assert!(
        found.starts_with("I6: what account ")
            && found.ends_with("the account stage has 300000000, the ledger 800000000"),
        "{found}"
    );
}

#[tokio::test]
async fn an_order_that_the_books_have_lost_is_found() {
    let dir = tempfile::tempdir().unwrap();
    platform(dir.path()).await;
    verified(dir.path()).await.unwrap();
    execute(dir.path(), "DELETE FROM orders WHERE final = 0").await;
    let found = difference(dir.path()).await;
    assert!(
        found.starts_with("I6: order ") && found.ends_with("the books None"),
        "{found}"
    );
}

#[tokio::test]
async fn a_row_of_a_table_that_is_not_what_was_told_is_named() {
    for (sql, said) in [
        (
            "UPDATE orders SET client_order_id = 'other' WHERE client_order_id = 'order-12'",
            "the log says client_order_id order-12, the table other",
        ),
        (
            "DELETE FROM orders WHERE final = 1 AND side = 1",
            "the table has none such, the log says client_order_id order-12",
        ),
        (
            "INSERT INTO orders SELECT account_id, order_id + 1, 'added', symbol, side, final,
             created_at_us, view FROM orders WHERE final = 1 AND side = 1",
            "the log has none such, the table has client_order_id added",
        ),
        (
            "UPDATE activities SET at_us = at_us + 1 WHERE type = 1",
            "table activities",
        ),
        ("DELETE FROM activities WHERE type = 2", "table activities"),
        (
            "UPDATE daily_changes SET paid_minor = 0 WHERE asset = 'USD'",
            "the log says paid_minor ",
        ),
        (
            "DELETE FROM daily_changes WHERE asset = 'BTC'",
            "table daily_changes",
        ),
        (
            "UPDATE transfers SET amount_minor = amount_minor + 1",
            "table transfers",
        ),
        ("DELETE FROM transfers", "table transfers"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        platform(dir.path()).await;
        let rows = verified(dir.path()).await.unwrap().rows.unwrap();
        // Three orders, two fills with a fee each and two deposits, which are transfers too, and of both what a day
        // has changed of two assets.
        assert!(
            rows.compared >= 3 + 6 + 2 + 4 && rows.beyond == 0,
            "{rows:?}"
        );
        execute(dir.path(), sql).await;
        let found = difference(dir.path()).await;
        assert!(
            found.starts_with("I6: table ") && found.contains(said),
            "{sql}: {found}"
        );
    }
}

#[tokio::test]
async fn a_changed_byte_of_the_log_is_found() {
    let dir = tempfile::tempdir().unwrap();
    platform(dir.path()).await;
    verified(dir.path()).await.unwrap();
    let segments = fs::read_dir(dir.path().join("log")).unwrap();
    let name = b"order-11";
    let mut changed = 0;
    for path in segments.map(|entry| entry.unwrap().path()) {
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(name.len()).position(|window| window == name) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            changed += 1;
        }
    }
    assert_eq!(changed, 1);
    let found = difference(dir.path()).await;
    assert!(
        found.contains("the event log is damaged in ")
            && found.contains("the checksum does not match"),
        "{found}"
    );
}

/// The first file of a directory whose name begins so.
fn file(directory: &Path, begins: &str) -> PathBuf {
    let entries = fs::read_dir(directory).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(begins)
    };
    paths.find(named).unwrap()
}

#[tokio::test]
async fn a_file_that_is_missing_is_named_and_not_made() {
    for name in [
        "sql/user.db",
        "sql/transfers.db",
        "sql/portfolio.db",
        "sql/audit.db",
        "master.key",
    ] {
        let dir = tempfile::tempdir().unwrap();
        platform(dir.path()).await;
        let path = dir.path().join(name);
        fs::remove_file(&path).unwrap();
        let found = difference(dir.path()).await;
        assert!(found.contains(&format!("{name} is missing")), "{found}");
        assert!(!path.exists(), "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_is_named() {
    for name in ["user.db", "transfers.db", "portfolio.db", "audit.db"] {
        let dir = tempfile::tempdir().unwrap();
        platform(dir.path()).await;
        let path = dir.path().join("sql").join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(&path, bytes).unwrap();
        let found = difference(dir.path()).await;
        assert!(
            found.contains(name) && found.contains("is damaged"),
            "{found}"
        );
    }
}

#[tokio::test]
async fn a_damaged_snapshot_is_named_though_an_older_one_is_good() {
    let dir = tempfile::tempdir().unwrap();
    platform(dir.path()).await;
    let topology = prepx_stage::Topology {
        account_partitions: 4,
        matching_partitions: 4,
    };
    let codec = prepx_risk::AccountCodec::new(prepx_account::Config::of_partitions(4));
    let seat = prepx_stage::Stage::ACCOUNT.seat(1);
    let snapshots = dir.path().join("snapshots");
    let objects = RealDir::open(&snapshots).unwrap();
    let state = prepx_stage::State::initial(&codec);
    for generation in [1, 2] {
        let written = prepx_stage::Snapshots::new(objects.clone());
        written.write(&codec, seat, generation, &state, 0).unwrap();
    }
    let damaged = || files::damaged_snapshots(&snapshots, topology).unwrap();
    assert!(damaged().is_empty());
    let path = file(&snapshots, "account-journal-1-");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(damaged(), [path]);
    verified(dir.path()).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_none_is_said_to_be_none_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let found = difference(dir.path()).await;
    assert!(found.contains("is no data directory of prepx"), "{found}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
