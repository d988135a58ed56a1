//! What a limiter promises. The arithmetic has tests of its own; these check that an engine counts right.

use std::time::Duration;

use tokio::task::JoinSet;

use super::Engine;
use crate::{Cache, Limiter, Rate};

const SECOND: Duration = Duration::from_secs(1);
/// Ten a second, three at once.
const TEN: Limiter = Limiter::new(
    "ten",
    Rate {
        count: 10,
        per: SECOND,
        burst: 3,
    },
);

async fn allowed(cache: &Cache, limiter: &Limiter, tries: usize) -> usize {
    let mut allowed = 0;
    for _ in 0..tries {
        allowed += usize::from(cache.take(limiter, b"key", 1).await.allowed);
    }
    allowed
}

pub(super) async fn a_burst_is_allowed_and_then_the_rate(engine: &mut dyn Engine) {
    // So slow that no engine's own time matters.
    let slow = Limiter::new(
        "slow",
        Rate {
            count: 1,
            per: 100 * SECOND,
            burst: 3,
        },
    );
    let cache = engine.open();
    assert_eq!(cache.take(&slow, b"key", 1).await.remaining, 2);
    assert_eq!(allowed(&cache, &slow, 10).await, 2);
    let refused = cache.take(&slow, b"key", 1).await;
    assert!(!refused.allowed && refused.limit == 3 && refused.remaining == 0);
    assert!(refused.retry_after > Duration::ZERO && refused.retry_after <= 100 * SECOND);
    let cache = engine.open();
    assert_eq!(allowed(&cache, &TEN, 3).await, 3);
    engine.pass(SECOND / 10);
    assert!(cache.take(&TEN, b"key", 1).await.allowed);
}

pub(super) async fn many_at_once_are_counted_one_by_one(engine: &mut dyn Engine) {
    let fixed = Limiter::new(
        "fixed",
        Rate {
            count: 1,
            per: 100_000 * SECOND,
            burst: 500,
        },
    );
    let caches = [engine.open(), engine.rival()];
    let mut callers = JoinSet::new();
    for number in 0..8 {
        let (cache, fixed) = (caches[number % 2].clone(), fixed.clone());
        callers.spawn(async move { allowed(&cache, &fixed, 250).await });
    }
    assert_eq!(callers.join_all().await.into_iter().sum::<usize>(), 500);
}

pub(super) async fn keys_and_limiters_are_apart(engine: &mut dyn Engine) {
    let once = |name| Limiter::new(name, Rate::new(1, 100 * SECOND));
    let cache = engine.open();
    let (one, two) = (once("one"), once("two"));
    for (limiter, key) in [(&one, &b"a"[..]), (&one, b"a\0"), (&one, b""), (&two, b"a")] {
        assert!(cache.take(limiter, key, 1).await.allowed);
        assert!(!cache.take(limiter, key, 1).await.allowed);
    }
}

pub(super) async fn a_block_holds_for_everybody_who_counts(engine: &mut dyn Engine) {
    let blocking = TEN.blocking(2 * SECOND);
    let (here, there) = (engine.open(), engine.rival());
    assert!(allowed(&here, &blocking, 10).await >= 3);
    while here.take(&blocking, b"key", 1).await.allowed {}
    engine.pass(SECOND);
    let blocked = there.take(&blocking, b"key", 1).await;
    assert!(!blocked.allowed && blocked.retry_after <= SECOND);
    engine.pass(SECOND);
    assert!(there.take(&blocking, b"key", 1).await.allowed);
}

pub(super) async fn more_than_the_burst_takes_all_of_it(engine: &mut dyn Engine) {
    let slow = Limiter::new(
        "batch",
        Rate {
            count: 1,
            per: 100 * SECOND,
            burst: 3,
        },
    );
    let cache = engine.open();
    assert!(cache.take(&slow, b"key", 1_000).await.allowed);
    assert!(!cache.take(&slow, b"key", 1).await.allowed);
}

pub(super) async fn what_is_forgiven_is_not_counted(engine: &mut dyn Engine) {
    let once = Limiter::new("forgiven", Rate::new(1, 100 * SECOND)).blocking(100 * SECOND);
    let (here, there) = (engine.open(), engine.rival());
    assert_eq!(allowed(&here, &once, 2).await, 1);
    there.forgive(&once, b"key").await;
    assert_eq!(allowed(&here, &once, 2).await, 1);
}
