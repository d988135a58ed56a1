//! What happens to processes, wherever they run.

use std::time::Duration;

use prepx_owner::QueryError;
use prepx_stage::Stage;

use crate::process::{Client, Ground, LONG, Process, TOPOLOGY};

/// Whether both own, and together everything.
fn share(first: &Process, second: &Process) -> bool {
    let all = (TOPOLOGY.account_partitions + TOPOLOGY.matching_partitions) as usize;
    first.owns() == all / 2 && second.owns() == all / 2
}

async fn until(done: impl Fn() -> bool) {
    let there = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, there).await.unwrap();
}

/// What the first has, once the second stands by for it.
async fn stood_by_for(client: &mut Client, first: &Process, second: &Process) -> Vec<u32> {
    let has = first.accounts.owned();
    let stands_by = || second.accounts.standing_by();
    client.pay_until(|| stands_by() == has).await;
    has
}

/// What a process has of these partitions began with a copy that it had.
async fn began_warm(process: &Process, partitions: Vec<u32>) {
    for partition in partitions {
        let begun = process.accounts.query(partition, |owner| owner.begun());
        assert!(begun.await.unwrap().warm, "{partition} was taken over cold");
    }
}

/// A second process takes its share over, the first one leaves: clients see neither.
pub async fn share_and_leave(ground: &mut dyn Ground) {
    let first = Process::start(ground, "first");
    let mut client = Client::start(ground);
    client.pay_until(|| first.owns_all()).await;
    // The first start is none that anybody waited through.
    client.slowest = Duration::ZERO;
    let second = Process::start(ground, "second");
    client.pay_until(|| share(&first, &second)).await;
    eprintln!("shared: the slowest took {:?}", client.slowest);
    began_warm(&second, second.accounts.owned()).await;
    client.slowest = Duration::ZERO;
    client.check(&[&first, &second]).await;
    let moved = stood_by_for(&mut client, &first, &second).await;
    let stopping = tokio::spawn(first.stop());
    client
        .pay_until(|| second.owns_all() && stopping.is_finished())
        .await;
    let first = stopping.await.unwrap();
    eprintln!("handed over: the slowest took {:?}", client.slowest);
    client.check(&[&second, &first]).await;
    assert_eq!(first.owns(), 0);
    began_warm(&second, moved).await;
    for partition in 0..TOPOLOGY.account_partitions {
        let seat = Stage::ACCOUNT.seat(partition);
        let known = || client.directory.owner(seat).map(|owner| owner.address);
        until(|| known().as_deref() == Some("second:1")).await;
    }
    drop(second.stop().await);
    client.stop().await;
}

/// A process dies without a word: another one has everything within a session.
pub async fn killed(ground: &mut dyn Ground) {
    let first = Process::start(ground, "first");
    let second = Process::start(ground, "second");
    let mut client = Client::start(ground);
    client.pay_until(|| share(&first, &second)).await;
    stood_by_for(&mut client, &first, &second).await;
    client.slowest = Duration::ZERO;
    ground.kill("first");
    first.silence(ground);
    client.pay_until(|| second.owns_all()).await;
    eprintln!("killed: the slowest took {:?}", client.slowest);
    client.check(&[&second]).await;
    client.stop().await;
    first.resume();
    drop(first.stop().await);
    drop(second.stop().await);
}

/// A process that was not heard of, and did not know, is fenced: it acknowledges nothing, shows nothing, and
/// goes on with a share when it is heard of again.
pub async fn silent_and_back(ground: &mut dyn Ground) {
    let first = Process::start(ground, "first");
    let mut client = Client::start(ground);
    client.pay_until(|| first.owns_all()).await;
    let epoch = client
        .directory
        .owner(Stage::ACCOUNT.seat(0))
        .unwrap()
        .epoch;
    let second = Process::start(ground, "second");
    client.pay_until(|| share(&first, &second)).await;
    let had = first.accounts.owned();
    first.silence(ground);
    client.pay_until(|| second.owns_all()).await;
    client.check(&[&second]).await;
    for partition in had {
        let gone = tokio::time::timeout(LONG, async {
            loop {
                match first.accounts.query(partition, |_| ()).await {
                    Err(QueryError::NotOwner { epoch: last }) => break last,
                    _ => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        });
        assert!(gone.await.unwrap() >= epoch);
    }
    first.resume();
    client.pay_until(|| share(&first, &second)).await;
    client.check(&[&first, &second]).await;
    client.stop().await;
    drop(first.stop().await);
    drop(second.stop().await);
}

/// All of them, each on a ground of its own.
macro_rules! tests_on {
    ($ground:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        async fn a_second_process_takes_its_share_and_all_when_the_first_leaves() {
            $crate::scenarios::share_and_leave(&mut $ground).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        async fn what_a_killed_process_had_is_taken_over() {
            $crate::scenarios::killed(&mut $ground).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        async fn a_process_that_was_not_heard_of_is_fenced_and_comes_back() {
            $crate::scenarios::silent_and_back(&mut $ground).await;
        }
    };
}
pub(crate) use tests_on;
