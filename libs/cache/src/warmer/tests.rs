//! Rounds on a clock that is moved by hand, and who is in them.

use prepx_domain::Micros;
use prepx_env::ManualClock;
use proptest::prelude::*;

use super::*;

const PERIOD: Duration = Duration::from_secs(300);
const STEP: Duration = Duration::from_secs(1);

struct World {
    clock: Arc<ManualClock>,
    warmer: Warmer<u32, &'static str>,
    loaded: Mutex<Vec<(u32, &'static str)>>,
}

fn world(seed: u64) -> World {
    let clock = Arc::new(ManualClock::new(Micros(1_800_000_000_000_000)));
    let random = Random::from_seed(seed);
    World {
        warmer: Warmer::new("tests", PERIOD, clock.clone(), &random),
        clock,
        loaded: Mutex::default(),
    }
}

impl World {
    /// What a step loads when loading takes so long and reader 13 cannot be read.
    async fn step(&self, takes: Duration) -> Vec<(u32, &'static str)> {
        let load = |reader, asked| async move {
            self.clock.advance(takes);
            if reader == 13 {
                return Err("13 cannot be read");
            }
            locked(&self.loaded).push((reader, asked));
            Ok(true)
        };
        self.warmer.step(load).await;
        std::mem::take(&mut *locked(&self.loaded))
    }

    /// The seconds from now on at which rounds are, until there have been so many.
    async fn rounds(&self, count: usize) -> Vec<u64> {
        let (begun, mut at) = (self.clock.monotonic(), Vec::new());
        while at.len() < count {
            self.warmer.note(1, &"page");
            if !self.step(Duration::ZERO).await.is_empty() {
                at.push((self.clock.monotonic() - begun).as_secs());
            }
            self.clock.advance(STEP);
        }
        at
    }
}

#[tokio::test]
async fn rounds_are_a_period_apart_and_begin_at_a_moment_of_their_own() {
    let (one, other) = (world(1).rounds(3).await, world(2).rounds(3).await);
    for rounds in [&one, &other] {
        assert!(rounds[0] <= 300, "{rounds:?}");
        assert_eq!([rounds[1] - rounds[0], rounds[2] - rounds[1]], [300, 300]);
    }
    assert_ne!(one[0], other[0], "two processes warm at once");
}

#[tokio::test]
async fn the_busiest_tenth_gets_what_it_asked_for_most_first() {
    let world = world(1);
    for reader in 0..20 {
        world.warmer.note(reader, &"page");
    }
    for _ in 0..3 {
        world.warmer.note(7, &"history");
    }
    world.warmer.note(4, &"page");
    world.clock.advance(PERIOD);
    let expected = [(7, "history"), (7, "page"), (4, "page")];
    assert_eq!(world.step(Duration::ZERO).await, expected);
    world.clock.advance(PERIOD);
    let again = world.step(Duration::ZERO).await;
    assert_eq!(again, [], "who has asked for nothing since");
}

#[tokio::test]
async fn a_round_ends_at_what_cannot_be_loaded_and_at_half_its_time() {
    let world = world(1);
    let ask = |readers: std::ops::Range<u32>| {
        for reader in readers {
            world.warmer.note(reader, &"page");
        }
    };
    ask(12..32);
    world.clock.advance(PERIOD);
    let loaded = world.step(Duration::ZERO).await;
    assert_eq!(loaded, [(12, "page")], "of 12 and 13");
    ask(100..200);
    world.clock.advance(PERIOD);
    let loaded = world.step(PERIOD / 8).await;
    assert_eq!(
        loaded.len(),
        4,
        "of ten that would take longer than a period"
    );
}

#[test]
fn a_round_is_bounded_and_so_is_what_is_counted() {
    let mut counts = Counts::default();
    for reader in 0..READERS_MAX as u32 {
        counts.add(reader, &"page");
    }
    assert_eq!(counts.take_busiest().len(), WARMED_MAX);
    for reader in 0..3 * READERS_MAX as u32 {
        counts.add(reader, &"page");
        assert!(counts.0.len() <= READERS_MAX);
    }
}

proptest! {
    #[test]
    fn what_is_asked_for_more_often_than_all_else_is_found(others in 0u32..200, at in 0usize..200) {
        let mut asked: Vec<u32> = (1..=others).collect();
        for _ in 0..=others {
            asked.insert(at % (asked.len() + 1), 0);
        }
        let mut counts = Counts::default();
        for one in &asked {
            counts.add(1, one);
        }
        let busiest = counts.take_busiest();
        prop_assert_eq!(busiest[0].1.first(), Some(&0));
    }
}
