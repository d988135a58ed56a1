//! Several replicas of a service: which one is called, and what is called again.

use std::sync::Arc;
use std::time::Duration;

use prepx_proto::gateway::v1::GetHealthRequest;
use prepx_proto::gateway::v1::gateway_service_client::GatewayServiceClient;
use prepx_runtime::tls::Dialer;
use prepx_runtime::{Config, Peer, guard, status};
use tokio::sync::watch;

use crate::bank::{Bank, Clinic, Gate, Ill, client, deposit};
use crate::hosted::{PATIENCE, Running};

const LOOK: Duration = Duration::from_millis(10);

/// Waits for a condition.
async fn comes_true(what: &str, mut is: impl FnMut() -> bool) {
    let looking = async {
        while !is() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, looking).await;
    in_time.unwrap_or_else(|_| panic!("{what} takes too long"));
}

fn balanced(replicas: &[&Running]) -> Peer {
    let urls: Vec<_> = replicas.iter().map(|replica| &replica.url).collect();
    Dialer::default().balanced("bank", &urls).expect("URLs")
}

/// Cuts off what has not been answered soon.
fn impatient() -> Config {
    Config {
        drain_timeout_ms: 100,
        ..Config::default()
    }
}

#[tokio::test]
async fn who_stands_by_is_not_called_until_its_turn_comes() {
    let ((standby, its_calls), (active, calls)) = (open_bank(), open_bank());
    let (turn, serving) = watch::channel(false);
    let standby = standby.service(guard::Limits::default());
    let standby = Running::start(standby.standing_by(serving), Config::default()).await;
    let active = active.service(guard::Limits::default());
    let active = Running::start(active, Config::default()).await;
    let peer = balanced(&[&standby, &active]);
    for _ in 0..20 {
        let paid = client(peer.clone()).deposit(deposit("USD")).await;
        paid.expect("one of them serves");
    }
    assert_eq!((its_calls.calls(), calls.calls()), (0, 20));
    let refused = client(standby.peer()).deposit(deposit("USD")).await;
    let refused = status::read(&refused.expect_err("it stands by"));
    assert_eq!(refused.reason, "STANDS_BY");
    turn.send_replace(true);
    active.end().await.expect("ends well");
    let paid = client(peer).deposit(deposit("USD")).await;
    paid.expect("waits until the other has said that it serves");
    assert_eq!(its_calls.calls(), 1);
    standby.end().await.expect("ends well");
}

/// A bank that lets everything pass, and counts.
fn open_bank() -> (Bank, Arc<Gate>) {
    let bank = Bank::open();
    let gate = Arc::clone(&bank.gate);
    (bank, gate)
}

#[tokio::test]
async fn no_write_fails_while_one_replica_after_the_other_leaves() {
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let bank = Bank::open().service(guard::Limits::default());
        replicas.push(Running::start(bank, Config::default()).await);
    }
    let peer = balanced(&replicas.iter().collect::<Vec<_>>());
    let (stop, stopped) = watch::channel(false);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (peer, stopped) = (peer.clone(), stopped.clone());
        callers.spawn(async move {
            let mut paid = 0;
            while !*stopped.borrow() {
                let answered = client(peer.clone()).deposit(deposit("USD")).await;
                answered.expect("another replica takes it");
                paid += 1;
            }
            paid
        });
    }
    let last = replicas.pop().expect("three were started");
    for replica in replicas {
        replica.end().await.expect("ends well");
    }
    stop.send_replace(true);
    let paid = callers.join_all().await;
    assert!(paid.iter().all(|paid| *paid > 0), "{paid:?}");
    assert!(peer.is_serving());
    last.end().await.expect("ends well");
    comes_true("the last one's end", || !peer.is_serving()).await;
}

#[tokio::test]
async fn a_write_that_was_sent_is_not_sent_again() {
    let ((first, first_gate), (second, second_gate)) = (Bank::closed(), Bank::closed());
    let first = Running::start(first.service(guard::Limits::default()), impatient()).await;
    let second = Running::start(second.service(guard::Limits::default()), impatient()).await;
    let peer = balanced(&[&first, &second]);
    let mut caller = client(peer);
    let under_way = tokio::spawn(async move { caller.deposit(deposit("USD")).await });
    let (has_it, other, its_calls) = tokio::select! {
        () = first_gate.call() => (first, second, second_gate),
        () = second_gate.call() => (second, first, first_gate),
    };
    has_it.end().await.expect("ends all the same");
    let lost = under_way.await.expect("does not panic");
    let lost = status::read(&lost.expect_err("was cut off"));
    assert_eq!(lost.reason, "OUTCOME_UNKNOWN");
    assert_eq!(its_calls.calls(), 0);
    other.end().await.expect("ends well");
}

#[tokio::test]
async fn a_read_that_was_lost_is_asked_of_another() {
    let clinic = || async {
        let gate = Bank::closed().1;
        let service = Clinic(Arc::clone(&gate)).service(guard::Limits::default());
        (Running::start(service, impatient()).await, gate)
    };
    let ((first, first_gate), (second, second_gate)) = (clinic().await, clinic().await);
    let mut caller = GatewayServiceClient::new(balanced(&[&first, &second]));
    let under_way = tokio::spawn(async move { caller.get_health(GetHealthRequest {}).await });
    let (has_it, other, its_gate) = tokio::select! {
        () = first_gate.call() => (first, second, second_gate),
        () = second_gate.call() => (second, first, first_gate),
    };
    has_it.end().await.expect("ends all the same");
    its_gate.call().await;
    its_gate.open();
    let answered = under_way.await.expect("does not panic");
    answered.expect("the other has answered");
    other.end().await.expect("ends well");
}

#[tokio::test]
async fn a_read_that_one_cannot_answer_is_asked_of_another() {
    let (gate, config) = (Bank::open().gate, Config::default());
    let well = Clinic(Arc::clone(&gate)).service(guard::Limits::default());
    let well = Running::start(well, config.clone()).await;
    let ill = Running::start(Ill.service(), config).await;
    let mut caller = GatewayServiceClient::new(balanced(&[&ill, &well]));
    for _ in 0..10 {
        let answered = caller.get_health(GetHealthRequest {}).await;
        answered.expect("the other has answered");
    }
    assert_eq!(gate.calls(), 10);
    let mut caller = GatewayServiceClient::new(balanced(&[&ill]));
    let refused = caller.get_health(GetHealthRequest {}).await;
    let refused = refused.expect_err("there is no other");
    assert_eq!(refused.message(), "it is ill");
    well.end().await.expect("ends well");
    ill.end().await.expect("ends well");
}

#[tokio::test]
async fn a_host_has_the_replicas_of_all_its_addresses() {
    let (bank, calls) = open_bank();
    let running = Running::start(bank.service(guard::Limits::default()), Config::default()).await;
    // It may have an address of IPv6 too, where nobody listens: that replica never serves.
    let url = running.url.replace("127.0.0.1", "localhost");
    let peer = Dialer::default().balanced("prepx-bank", &[url]);
    let peer = peer.expect("a URL");
    let paid = client(peer.clone()).deposit(deposit("USD")).await;
    paid.expect("waits until the host has been looked up");
    assert_eq!(calls.calls(), 1);
    let serving = peer.processes().into_iter().filter(|one| one.serves);
    let urls: Vec<_> = serving.filter_map(|one| one.url).collect();
    assert_eq!(urls, std::slice::from_ref(&running.url));
    running.end().await.expect("ends well");
}
