//! The stations on the embedded log, which is durable when it says so and takes any number of handles.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prepx_auth::ClusterKey;
use prepx_bus::embedded::{Config, WriterHandle};
use prepx_bus::file::RealDir;
use prepx_bus::{EmbeddedLog, Log, spawn_writer};
use prepx_domain::message::ToMatching;
use prepx_domain::order::Side;
use prepx_domain::{AccountId, OrderStatus};
use prepx_env::{Random, SystemClock};
use prepx_owner::ports::{Ports, Reach};
use prepx_owner::{Directory, Owner};
use prepx_runtime::tls::Dialer;
use prepx_runtime::{Config as HostConfig, Drain, Hosted, listen};
use prepx_stage::port::{AccountPort, AuditPort, MatchingPort, SubmitError, WhichOrders};
use prepx_stage::{Pace, Snapshots, Stage};
use prepx_trace::Traces;

use tokio::sync::oneshot;

use super::{Options, Running, Stations};
use crate::core::manifest;
use crate::core::tests::{balances, command, deposit, instrument, limit, opened, submit};

/// Long enough on any machine; nothing is measured.
const LONG: Duration = Duration::from_secs(60);

struct Broker {
    log: Arc<EmbeddedLog>,
    _writer: WriterHandle,
}

fn broker(directory: &Path) -> Broker {
    let config = Config {
        holder: "a test".into(),
        ..Config::default()
    };
    let log = EmbeddedLog::open(RealDir::open(&directory.join("log")).unwrap(), config).unwrap();
    Broker {
        _writer: spawn_writer(Arc::clone(&log)).unwrap(),
        log,
    }
}

fn open(directory: &Path, broker: &Broker) -> (Stations, Running) {
    let log = Arc::clone(&broker.log);
    let options = Options {
        logs: Arc::new(move |_, _| Ok(Arc::clone(&log) as Arc<dyn Log>)),
        topology: manifest::DEFAULT,
        snapshots: Snapshots::new(RealDir::open(&directory.join("snapshots")).unwrap()),
        pace: Pace::default(),
        who: "a test".into(),
        desk: prepx_stage::desk::Bounds::default(),
        reads_max: 100,
    };
    Stations::open(options, Arc::new(SystemClock::new()), &Random::from_seed(1)).unwrap()
}

/// Waits until an account has what it should.
async fn until(stations: &Ports, account: AccountId, wanted: &BTreeMap<String, (i64, i64)>) {
    let there = async {
        while balances(stations, account).await != *wanted {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, there).await.unwrap();
}

async fn stop(running: Running) {
    let stopped = tokio::task::spawn_blocking(move || running.stop());
    stopped.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_order_trades_and_is_there_after_a_restart_with_its_first_reply() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(directory.path());
    let (stations, running) = open(directory.path(), &broker);
    let stations = stations.ports();
    let define = ToMatching::Define(instrument());
    MatchingPort::command(&stations, define).await.unwrap();
    assert_eq!(stations.instruments().await.unwrap().len(), 1);
    let (buyer, seller) = (opened(&stations, 1).await, opened(&stations, 2).await);
    let fund = |number, account: AccountId, asset| {
        let action = deposit(account, asset, 10_000_000_000_000);
        command(number, account.slot(), action)
    };
    submit(&stations, fund(3, buyer, "USD")).await;
    submit(&stations, fund(4, seller, "BTC")).await;
    let sell = command(5, seller.slot(), limit(seller, Side::Sell, "s"));
    let buy = command(6, buyer.slot(), limit(buyer, Side::Buy, "b"));
    let first = AccountPort::submit(
        &stations,
        vec![sell.clone(), buy.clone()],
        Traces::default(),
    )
    .await;
    let usd = |available| ("USD".to_owned(), (available, 0));
    let btc = |available| ("BTC".to_owned(), (available, 0));
    let bought = BTreeMap::from([usd(4_000_000_000_000), btc(100_000_000)]);
    let sold = BTreeMap::from([usd(6_000_000_000_000), btc(9_999_900_000_000)]);
    until(&stations, buyer, &bought).await;
    until(&stations, seller, &sold).await;
    stop(running).await;
    let closed = AccountPort::submit(&stations, vec![sell.clone()], Traces::default()).await;
    assert!(
        matches!(closed[..], [Err(SubmitError::Closed(_))]),
        "{closed:?}"
    );

    let (stations, running) = open(directory.path(), &broker);
    let stations = stations.ports();
    assert_eq!(balances(&stations, buyer).await, bought);
    assert_eq!(balances(&stations, seller).await, sold);
    let named = WhichOrders::ClientOrderId("b".into());
    let order = stations.orders(buyer, named).await.unwrap();
    assert_eq!(order[0].status, OrderStatus::Filled);
    let again = AccountPort::submit(&stations, vec![sell, buy], Traces::default()).await;
    let id = |reply: &Result<prepx_domain::update::Reply, SubmitError>| match reply {
        Ok(prepx_domain::update::Reply {
            outcome: Ok(prepx_domain::update::Ack::Order(order)),
            ..
        }) => order.id,
        other => panic!("{other:?}"),
    };
    let ids = |replies: &[_]| replies.iter().map(id).collect::<Vec<_>>();
    assert_eq!(
        ids(&again),
        ids(&first),
        "a repeat is told the first decision (I2)"
    );
    assert_eq!(
        balances(&stations, seller).await,
        sold,
        "and changes nothing"
    );
    let books = stations.books().await.unwrap();
    assert_eq!((books.accounts, books.flaw), (2, None));
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_whose_partitions_are_taken_over_says_so_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(directory.path());
    let (first, running) = open(directory.path(), &broker);
    let account = opened(&first.ports(), 1).await;
    let (second, successor) = open(directory.path(), &broker);
    let second = second.ports();
    let money = command(2, account.slot(), deposit(account, "USD", 5));
    submit(&second, money).await;
    let failure = tokio::time::timeout(LONG, first.failed()).await.unwrap();
    assert!(failure.contains("fenced"), "{failure}");
    let partition = account
        .slot()
        .partition(first.topology().account_partitions);
    let refused = first.0.accounts.query(partition, |_| ()).await;
    assert!(
        refused.is_err(),
        "a stale owner answers nothing: {refused:?}"
    );
    let had = running.stop().unwrap_err();
    assert_eq!(had, failure);
    assert_eq!(balances(&second, account).await["USD"], (5, 0));
    stop(successor).await;
}

/// As another process of the platform would reach them, over a socket.
async fn from_outside(stations: &Stations) -> (Ports, oneshot::Sender<()>) {
    let key = ClusterKey::draw(&Random::from_seed(7));
    let shared = &stations.0;
    let owned = prepx_risk::owner(shared.accounts.clone(), &key);
    let owned = owned.and(prepx_trading::owner(shared.matching.clone(), &key));
    let (drain, control) = Drain::new();
    let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let hosted = Hosted {
        service: owned,
        port: listener.into(),
        probes: None,
        drain,
        control,
    };
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let asked = async { drop(stopped.await) };
        hosted.until(&HostConfig::default(), asked, || ()).await
    });
    let seats = [Stage::ACCOUNT, Stage::MATCHING].map(|stage| shared.topology.seats(stage));
    let owner = |seat| {
        let address = address.clone();
        (seat, Owner { address, epoch: 1 })
    };
    let directory = Directory::of(seats.into_iter().flatten().map(owner));
    let reach = Reach::new(directory, key, None, Dialer::default());
    (
        Ports::new(shared.front.clone(), reach, shared.topology),
        stop,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_that_owns_nothing_reads_over_the_wire_what_it_has_written() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(directory.path());
    let (stations, running) = open(directory.path(), &broker);
    let (outside, served) = from_outside(&stations).await;
    let inside = stations.ports();
    MatchingPort::command(&outside, ToMatching::Define(instrument()))
        .await
        .unwrap();
    let known = outside.instruments().await.unwrap();
    assert_eq!(known.len(), 1, "every account partition has heard of it");
    assert_eq!(inside.instruments().await.unwrap(), known);
    let account = opened(&outside, 1).await;
    let money = deposit(account, "USD", 10_000_000_000_000);
    submit(&outside, command(2, account.slot(), money)).await;
    let place = command(3, account.slot(), limit(account, Side::Buy, "b"));
    submit(&outside, place).await;
    assert_eq!(
        outside.account(account).await,
        inside.account(account).await
    );
    let held = balances(&outside, account).await["USD"];
    assert!(held.1 > 0, "{held:?}");
    for which in [
        WhichOrders::ClientOrderId("b".into()),
        WhichOrders::Open,
        WhichOrders::Remembered,
    ] {
        let orders = outside.orders(account, which.clone()).await.unwrap();
        assert_eq!(orders.len(), 1, "{which:?}");
        assert_eq!(Ok(orders), inside.orders(account, which).await);
    }
    assert_eq!(outside.books().await, inside.books().await);
    assert_eq!(outside.books().await.unwrap().flaw, None);
    drop(served);
    stop(running).await;
}
