use std::collections::BTreeMap;
use std::sync::Arc;

use prepx_domain::instrument::Instrument;
use prepx_domain::message::{Action, Command, PlaceOrder, ToMatching};
use prepx_domain::order::{OrderKind, Side, TimeInForce};
use prepx_domain::update::{Ack, Reply};
use prepx_domain::{AccountId, OrderStatus, Slot, fixture};
use prepx_env::{Clock, SystemClock};
use prepx_stage::port::{AccountPort, MatchingPort, SubmitError, WhichOrders};
use prepx_trace::Traces;
use uuid::Uuid;

use super::{Core, Options, Running};

pub(crate) fn instrument() -> Instrument {
    Instrument {
        collar_ppm: 100_000,
        seed_reference_ticks: Some(6_000_000),
        ..fixture::bitcoin()
    }
}

fn open(directory: &std::path::Path) -> (Core, Running) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Core::open(Options::new(directory), clock).unwrap()
}

pub(crate) fn command(number: u128, slot: Slot, action: Action) -> Command {
    Command {
        id: Uuid::from_u128(number),
        stamped_at: SystemClock::new().now(),
        slot,
        action,
    }
}

pub(crate) async fn opened(accounts: &dyn AccountPort, number: u128) -> AccountId {
    let user = Uuid::from_u128(number << 64);
    let action = Action::OpenAccount {
        user,
        simulated: false,
    };
    let opened = command(number, Slot::of_user(user), action);
    match submit(accounts, opened).await.outcome {
        Ok(Ack::Opened(account)) => account,
        other => panic!("{other:?}"),
    }
}

/// Has one command decided.
pub(crate) async fn submit(accounts: &dyn AccountPort, command: Command) -> Reply {
    let mut replies = AccountPort::submit(accounts, vec![command], Traces::default()).await;
    replies.pop().unwrap().unwrap()
}

pub(crate) fn deposit(account: AccountId, asset: &str, amount_minor: i64) -> Action {
    Action::Deposit {
        account,
        asset: asset.parse().unwrap(),
        amount_minor,
    }
}

pub(crate) fn limit(account: AccountId, side: Side, name: &str) -> Action {
    Action::Place(PlaceOrder {
        account,
        symbol: "BTC/USD".parse().unwrap(),
        side,
        kind: OrderKind::Limit {
            limit: 6_000_000_000_000,
        },
        time_in_force: TimeInForce::GoodTilCanceled,
        qty_minor: 100_000_000,
        post_only: false,
        extended_hours: false,
        expires_at: None,
        client_order_id: name.into(),
    })
}

/// What each account has, as its owner says.
pub(crate) async fn balances(
    accounts: &dyn AccountPort,
    account: AccountId,
) -> BTreeMap<String, (i64, i64)> {
    let view = accounts.account(account).await.unwrap().unwrap();
    let balance =
        |b: &prepx_domain::view::Balance| (b.asset.to_string(), (b.available_minor, b.held_minor));
    view.balances.iter().map(balance).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_order_trades_and_is_there_after_a_restart_with_its_first_reply() {
    let directory = tempfile::tempdir().unwrap();
    let (core, running) = open(directory.path());
    MatchingPort::command(&core, ToMatching::Define(instrument()))
        .await
        .unwrap();
    assert_eq!(core.instruments().await.unwrap().len(), 1);
    let (buyer, seller) = (opened(&core, 1).await, opened(&core, 2).await);
    let fund = |number, account: AccountId, asset| {
        command(
            number,
            account.slot(),
            deposit(account, asset, 10_000_000_000_000),
        )
    };
    core.submit(fund(3, buyer, "USD")).await.unwrap();
    core.submit(fund(4, seller, "BTC")).await.unwrap();
    let sell = command(5, seller.slot(), limit(seller, Side::Sell, "s"));
    let buy = command(6, buyer.slot(), limit(buyer, Side::Buy, "b"));
    let first = core
        .submit_batch(vec![sell.clone(), buy.clone()], Traces::default())
        .await
        .unwrap();
    let usd = |available| ("USD".to_owned(), (available, 0));
    let btc = |available| ("BTC".to_owned(), (available, 0));
    let bought = BTreeMap::from([usd(4_000_000_000_000), btc(100_000_000)]);
    assert_eq!(balances(&core, buyer).await, bought);
    tokio::task::spawn_blocking(move || running.stop().unwrap())
        .await
        .unwrap();
    drop(core);

    let (core, running) = open(directory.path());
    assert_eq!(balances(&core, buyer).await, bought);
    let sold = BTreeMap::from([usd(6_000_000_000_000), btc(9_999_900_000_000)]);
    assert_eq!(balances(&core, seller).await, sold);
    let order = core
        .orders(buyer, WhichOrders::ClientOrderId("b".into()))
        .await
        .unwrap();
    assert_eq!(order[0].status, OrderStatus::Filled);
    assert_eq!(
        core.orders(seller, WhichOrders::Id(order[0].id))
            .await
            .unwrap(),
        [],
        "I9"
    );
    let again = core
        .submit_batch(vec![sell, buy], Traces::default())
        .await
        .unwrap();
    let outcome = |replies: &[Option<Reply>]| -> Vec<String> {
        let outcome = |reply: &Option<Reply>| match &reply.as_ref().unwrap().outcome {
            Ok(Ack::Order(order)) => format!("{} {:?}", order.id, order.status),
            other => panic!("{other:?}"),
        };
        replies.iter().map(outcome).collect()
    };
    assert_eq!(
        outcome(&again),
        outcome(&first),
        "a repeat is told the first decision (I2)"
    );
    assert_eq!(balances(&core, seller).await, sold, "and changes nothing");
    tokio::task::spawn_blocking(move || running.stop().unwrap())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_does_not_fit_is_refused_before_anything_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = Options::new(directory.path());
    options.commands_max = 3;
    let (core, running) = Core::open(options, Arc::new(SystemClock::new())).unwrap();
    let account = opened(&core, 1).await;
    let deposits = |numbers: std::ops::Range<u128>| -> Vec<Command> {
        let one = |number| command(number, account.slot(), deposit(account, "USD", 1));
        numbers.map(one).collect()
    };
    let refused = core
        .submit_batch(deposits(10..14), Traces::default())
        .await
        .unwrap_err();
    assert!(matches!(refused, SubmitError::Busy { .. }), "{refused}");
    core.submit_batch(deposits(10..13), Traces::default())
        .await
        .unwrap();
    assert_eq!(balances(&core, account).await["USD"], (3, 0));
    tokio::task::spawn_blocking(move || running.stop().unwrap())
        .await
        .unwrap();
    let closed = core
        .submit_batch(deposits(20..21), Traces::default())
        .await
        .unwrap_err();
    assert!(matches!(closed, SubmitError::Closed(_)), "{closed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_process_on_the_directory_is_told_who_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let (_core, running) = open(directory.path());
    let options = Options::new(directory.path());
    let refused = Core::open(options, Arc::new(SystemClock::new()))
        .err()
        .unwrap();
    assert!(
        refused
            .to_string()
            .contains(&format!("pid {}", std::process::id())),
        "{refused}"
    );
    running.stop().unwrap();
}

/// More trades than one transition holds follow from one order, and none of them is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_order_sweeps_a_deep_book_in_transitions_of_bounded_size() {
    const ORDERS: u128 = 16_000;
    let directory = tempfile::tempdir().unwrap();
    let mut options = Options::new(directory.path());
    options.log.batch_bytes_max = 4 << 20;
    let (core, running) = Core::open(options, Arc::new(SystemClock::new())).unwrap();
    let define = ToMatching::Define(instrument());
    MatchingPort::command(&core, define).await.unwrap();
    let buyer = opened(&core, 1).await;
    let funds = deposit(buyer, "USD", i64::MAX / 1_000);
    submit(&core, command(2, buyer.slot(), funds)).await;
    let mut number = 100;
    for user in 0..ORDERS / 2_000 {
        let seller = opened(&core, 3 + user).await;
        let funds = deposit(seller, "BTC", 20_000_000);
        submit(&core, command(number, seller.slot(), funds)).await;
        let sells = (number + 1..=number + 2_000).map(|id| {
            let mut sell = limit(seller, Side::Sell, &id.to_string());
            if let Action::Place(order) = &mut sell {
                order.qty_minor = 10_000;
            }
            command(id, seller.slot(), sell)
        });
        core.submit_batch(sells.collect(), Traces::default())
            .await
            .unwrap();
        number += 2_001;
    }
    let mut sweep = limit(buyer, Side::Buy, "all");
    if let Action::Place(order) = &mut sweep {
        order.qty_minor = ORDERS as i64 * 10_000;
    }
    submit(&core, command(number, buyer.slot(), sweep)).await;
    let bought = ORDERS as i64 * 10_000;
    while balances(&core, buyer).await.get("BTC") != Some(&(bought, 0)) {
        tokio::task::yield_now().await;
    }
    running.stop().unwrap();
    drop(core);
    let (core, running) = open(directory.path());
    assert_eq!(balances(&core, buyer).await["BTC"], (bought, 0));
    running.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_manifest_with_other_counts_than_the_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (core, running) = open(directory.path());
    MatchingPort::command(&core, ToMatching::Define(instrument()))
        .await
        .unwrap();
    drop(core);
    running.stop().unwrap();
    let path = directory.path().join("manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for (field, other) in [("matching", 5), ("matching", 3), ("account", 40)] {
        let right = format!("\"{field}_partitions\": 4");
        let wrong = format!("\"{field}_partitions\": {other}");
        std::fs::write(&path, text.replace(&right, &wrong)).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let refused = Core::open(Options::new(directory.path()), clock);
        let error = refused.err().expect("must be refused").to_string();
        let said = format!("manifest.json says {field}_partitions {other}, and the event log");
        assert!(error.contains(&said), "{error}");
        assert!(error.contains("has the journals of 4"), "{error}");
    }
    std::fs::write(&path, text).unwrap();
    let (_core, running) = open(directory.path());
    running.stop().unwrap();
}
