//! The ladder beside an ordered map.

use super::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

fn walk(levels: &Levels, ladder: &Ladder) -> Vec<(i64, u32)> {
    let mut walked = Vec::new();
    let mut at = ladder.first;
    while at != NONE {
        walked.push((levels.get(at).key, at));
        at = levels.after(at);
    }
    walked
}

/// Random insertions and removals equal an ordered map, for keys that `draw` spreads.
fn check(seed: u64, draw: impl Fn(&mut ChaCha8Rng) -> i64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut levels, mut ladder) = (Levels::new(), Ladder::EMPTY);
    let mut map = BTreeMap::new();
    for step in 0..60_000 {
        let key = draw(&mut rng);
        assert_eq!(levels.find(&ladder, key), map.get(&key).copied());
        // Grow for a while, then shrink, so that nodes come and go.
        let removes = rng.random_range(0..10) < if step / 10_000 % 2 == 0 { 3 } else { 7 };
        if !removes {
            let mut near: Vec<u32> = map
                .range(..key)
                .next_back()
                .map(|at| *at.1)
                .into_iter()
                .collect();
            near.extend(map.values().next());
            let near = near.get(rng.random_range(0..2)).or(near.first());
            let near = near.copied().unwrap_or(NONE);
            let level = levels.find_or_insert(&mut ladder, key, near);
            levels.get_mut(level).queue = Fifo { head: 0, tail: 0 };
            assert_eq!(*map.entry(key).or_insert(level), level);
        } else if let Some((&key, &level)) = map.range(key..).next() {
            map.remove(&key);
            levels.get_mut(level).queue = Fifo::EMPTY;
            levels.remove_if(&mut ladder, level, true);
        }
        if step % 500 == 0 {
            let expected: Vec<_> = map.iter().map(|(&key, &level)| (key, level)).collect();
            assert_eq!(walk(&levels, &ladder), expected);
        }
    }
}

#[test]
fn it_equals_an_ordered_map_when_narrow() {
    check(1, |rng| rng.random_range(6_122_900..6_123_500));
}

#[test]
fn it_equals_an_ordered_map_when_wide() {
    check(2, |rng| {
        let bits = rng.random_range(0..64);
        rng.random::<i64>() >> bits
    });
}

#[test]
fn it_holds_the_ends_of_the_range() {
    let (mut levels, mut ladder) = (Levels::new(), Ladder::EMPTY);
    let keys = [i64::MAX, i64::MIN, 0, -1, 1, i64::MAX - 1, i64::MIN + 1];
    for key in keys {
        let near = ladder.first;
        levels.find_or_insert(&mut ladder, key, near);
    }
    let mut sorted = keys;
    sorted.sort_unstable();
    let walked: Vec<_> = walk(&levels, &ladder).iter().map(|at| at.0).collect();
    assert_eq!(walked, sorted);
}
