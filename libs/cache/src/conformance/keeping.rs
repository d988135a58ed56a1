//! What a space promises.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{Engine, LONG, TEXT, space};
use crate::{Loaded, Options, Space};

const SHORT: Duration = Duration::from_millis(500);
/// Callers at the same time.
const MANY: usize = 50;

fn loaded(text: &str, ttl: Duration) -> Loaded<String> {
    Loaded {
        value: text.to_owned(),
        ttl,
    }
}

/// A load that gives other callers their turn, and counts itself.
async fn load(count: Arc<AtomicUsize>, outcome: Result<&'static str, &'static str>) -> Outcome {
    count.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(20)).await;
    outcome.map(|text| loaded(text, SHORT))
}

type Outcome = Result<Loaded<String>, &'static str>;

/// The answers of many callers at once, and how often was loaded.
async fn many(
    space: &Space<String>,
    outcome: Result<&'static str, &'static str>,
) -> (Vec<Result<String, &'static str>>, usize) {
    let (count, mut callers) = (Arc::default(), JoinSet::new());
    for _ in 0..MANY {
        let (space, count) = (space.clone(), Arc::clone(&count));
        callers.spawn(async move {
            let answer = space.get_or_load(b"key", load(count, outcome)).await;
            answer.map_err(|error| *error)
        });
    }
    (callers.join_all().await, count.load(Ordering::SeqCst))
}

pub(super) async fn a_value_is_kept_for_its_time(engine: &mut dyn Engine) {
    let space = space(&engine.open());
    assert_eq!(space.get(b"key").await, None);
    space.put(b"key", loaded("one", SHORT)).await;
    space.put(b"other", loaded("two", LONG)).await;
    assert_eq!(space.get(b"key").await.as_deref(), Some("one"));
    space.put(b"key", loaded("newer", SHORT)).await;
    assert_eq!(space.get(b"key").await.as_deref(), Some("newer"));
    engine.pass(SHORT);
    assert_eq!(space.get(b"key").await, None);
    assert_eq!(space.get(b"other").await.as_deref(), Some("two"));
}

pub(super) async fn nothing_is_kept_longer_than_the_space_allows(engine: &mut dyn Engine) {
    let space = engine.open().space(Options {
        name: "conformance of time",
        bytes_max: 1 << 20,
        ttl_max: SHORT,
        weigh: String::len,
        codec: Some(TEXT),
    });
    space.put(b"key", loaded("one", LONG)).await;
    space.put(b"other", loaded("two", Duration::ZERO)).await;
    assert_eq!(space.get(b"key").await.as_deref(), Some("one"));
    assert_eq!(space.get(b"other").await, None);
    engine.pass(SHORT);
    assert_eq!(space.get(b"key").await, None);
}

pub(super) async fn many_who_ask_load_once(engine: &mut dyn Engine) {
    let (answers, loads) = many(&space(&engine.open()), Ok("loaded")).await;
    assert_eq!(answers, vec![Ok("loaded".to_owned()); MANY]);
    assert_eq!(loads, 1);
}

pub(super) async fn an_old_value_is_loaded_again_once(engine: &mut dyn Engine) {
    let space = space(&engine.open());
    space.put(b"key", loaded("old", SHORT)).await;
    engine.pass(SHORT);
    let (answers, loads) = many(&space, Ok("loaded")).await;
    assert_eq!(answers, vec![Ok("loaded".to_owned()); MANY]);
    assert_eq!(loads, 1);
}

pub(super) async fn a_failed_load_is_told_to_all_and_not_kept(engine: &mut dyn Engine) {
    let space = space(&engine.open());
    let (answers, loads) = many(&space, Err("broken")).await;
    assert_eq!(answers, vec![Err("broken"); MANY]);
    assert!((1..=MANY).contains(&loads));
    assert_eq!(space.get(b"key").await, None);
    let (answers, _) = many(&space, Ok("mended")).await;
    assert_eq!(answers, vec![Ok("mended".to_owned()); MANY]);
}

pub(super) async fn when_the_one_that_loads_goes_away_the_next_one_loads(engine: &mut dyn Engine) {
    let space = space(&engine.open());
    let began = Arc::new(Notify::new());
    let (first, telling) = (space.clone(), Arc::clone(&began));
    let gone = tokio::spawn(async move {
        let never = async {
            telling.notify_one();
            std::future::pending::<Outcome>().await
        };
        first.get_or_load(b"key", never).await
    });
    began.notified().await;
    let waiting = space.clone();
    let next = tokio::spawn(async move {
        let answer = waiting.get_or_load(b"key", load(Arc::default(), Ok("second")));
        answer.await.map_err(|error| *error)
    });
    gone.abort();
    assert_eq!(next.await.expect("ends"), Ok("second".to_owned()));
}

pub(super) async fn who_asks_in_two_processes_loads_once_in_each_at_most(engine: &mut dyn Engine) {
    let (here, there) = (space(&engine.open()), space(&engine.rival()));
    let (ours, theirs) = tokio::join!(many(&here, Ok("loaded")), many(&there, Ok("loaded")));
    for (answers, loads) in [ours, theirs] {
        assert_eq!(answers, vec![Ok("loaded".to_owned()); MANY]);
        assert!(loads <= 1);
    }
}

pub(super) async fn a_removal_reaches_every_holder(engine: &mut dyn Engine) {
    let (here, there) = (space(&engine.open()), space(&engine.rival()));
    here.put(b"key", loaded("here", LONG)).await;
    there.put(b"key", loaded("there", LONG)).await;
    here.remove(b"key").await;
    assert_eq!(here.get(b"key").await, None);
    // Elsewhere it takes the time of a message.
    for _ in 0..1_000 {
        if there.get(b"key").await.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the other holder still has what was removed");
}

pub(super) async fn what_is_put_takes_the_place_of_what_others_hold(engine: &mut dyn Engine) {
    let (here, there) = (space(&engine.open()), space(&engine.rival()));
    there.put(b"key", loaded("old", LONG)).await;
    assert_eq!(there.get(b"key").await.as_deref(), Some("old"));
    here.put(b"key", loaded("new", LONG)).await;
    assert_eq!(here.get(b"key").await.as_deref(), Some("new"));
    for _ in 0..1_000 {
        if there.get(b"key").await.as_deref() != Some("old") {
            let now = there.get(b"key").await;
            assert!(now.is_none_or(|value| value == "new"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the other holder still has what was replaced");
}

pub(super) async fn a_removal_wins_over_a_load_that_runs(engine: &mut dyn Engine) {
    let space = space(&engine.open());
    let (began, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (asking, telling, waiting) = (space.clone(), Arc::clone(&began), Arc::clone(&go_on));
    let early = tokio::spawn(async move {
        let slow = async {
            telling.notify_one();
            waiting.notified().await;
            Ok::<_, &'static str>(loaded("before", LONG))
        };
        asking.get_or_load(b"key", slow).await
    });
    began.notified().await;
    space.remove(b"key").await;
    let after = space
        .get_or_load(b"key", async {
            Ok::<_, &'static str>(loaded("after", LONG))
        })
        .await;
    assert_eq!(
        after,
        Ok("after".to_owned()),
        "who asks later does not join an earlier load"
    );
    go_on.notify_one();
    assert_eq!(early.await.expect("ends"), Ok("before".to_owned()));
    assert_eq!(space.get(b"key").await.as_deref(), Some("after"));
}

pub(super) async fn memory_is_bounded(engine: &mut dyn Engine) {
    let space = space(&engine.open());
    for number in 0..10_000_u32 {
        space
            .put(&number.to_le_bytes(), loaded(&"x".repeat(1_000), LONG))
            .await;
    }
    assert!(space.weight_bytes().await <= 1 << 20);
    space
        .put(b"giant", loaded(&"x".repeat(2 << 20), LONG))
        .await;
    assert!(space.weight_bytes().await <= 1 << 20);
    assert_eq!(space.get(b"giant").await, None, "larger than the space");
}
