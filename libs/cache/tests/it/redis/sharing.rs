//! What processes have from sharing a server, beyond the suite.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use prepx_cache::{Cache, Limiter, Location, Rate};
use prepx_env::{Random, SystemClock};
use tokio::sync::Notify;

use super::{Outcome, PATIENT, Redis, loaded, location, never_loads, open, space};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_process_loads_and_the_others_find_it() {
    let Redis { here, there } = Redis::new().await;
    let (ours, theirs) = (space(&here), space(&there));
    let (began, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (loading, telling, waiting) = (ours.clone(), Arc::clone(&began), Arc::clone(&go_on));
    let first = tokio::spawn(async move {
        let slow = async {
            telling.notify_one();
            waiting.notified().await;
            Outcome::Ok(loaded("one"))
        };
        loading.get_or_load(b"key", slow).await
    });
    began.notified().await;
    let mut second = pin!(theirs.get_or_load(b"key", never_loads()));
    let asked = poll_fn(|context| Poll::Ready(second.as_mut().poll(context))).await;
    assert!(asked.is_pending(), "the first has not loaded yet");
    go_on.notify_one();
    assert_eq!(second.await, Ok("one".to_owned()));
    assert_eq!(first.await.unwrap(), Ok("one".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_loaded_before_a_removal_elsewhere_is_not_left() {
    let Redis { here, there } = Redis::new().await;
    let (ours, theirs) = (space(&here), space(&there));
    let (began, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (loading, telling, waiting) = (ours.clone(), Arc::clone(&began), Arc::clone(&go_on));
    let early = tokio::spawn(async move {
        let slow = async {
            telling.notify_one();
            waiting.notified().await;
            Outcome::Ok(loaded("before"))
        };
        loading.get_or_load(b"key", slow).await
    });
    began.notified().await;
    theirs.remove(b"key").await;
    go_on.notify_one();
    assert_eq!(early.await.unwrap(), Ok("before".to_owned()));
    assert_eq!(theirs.get(b"key").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_load_that_is_given_up_keeps_no_other_process_waiting() {
    let Redis { here, there } = Redis::new().await;
    let (ours, theirs) = (space(&here), space(&there));
    let failed = ours.get_or_load(b"key", async { Outcome::Err(()) }).await;
    assert_eq!(failed, Err(Arc::new(())));
    let answer = theirs.get_or_load(b"key", async { Outcome::Ok(loaded("two")) });
    assert_eq!(answer.await, Ok("two".to_owned()));
}

/// The script decides as the memory of a process does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_counts_as_a_process_does() {
    // So slow that no time passes by their measure.
    let rate = |count, burst| Rate {
        count,
        per: Duration::from_secs(10_000_000),
        burst,
    };
    let memory = Cache::open(Location::Memory, Arc::new(SystemClock::new())).await;
    let redis = open(&location()).await;
    let random = Random::from_seed(4);
    for round in 0..50_u32 {
        let draw = |below: u64| (random.next_u64() % below) as u32 + 1;
        let (tight, loose) = (rate(draw(50), draw(20)), rate(draw(50), draw(40)));
        let limiter = match round % 3 {
            0 => Limiter::new("one", tight),
            1 => Limiter::new("two", tight).and(loose),
            _ => Limiter::new("blocking", tight)
                .and(loose)
                .blocking(PATIENT * 100),
        };
        for _ in 0..30 {
            let (key, count) = (round.to_le_bytes(), draw(4));
            let told = [
                memory.take(&limiter, &key, count).await,
                redis.take(&limiter, &key, count).await,
            ];
            let [near, far] =
                told.map(|verdict| (verdict.allowed, verdict.limit, verdict.remaining));
            assert_eq!(near, far, "{limiter:?}");
        }
    }
}
