//! Groups on an embedded log: attempts, retries, dead letters, restarts.

// What the tests share unwraps as the tests do.
#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use prepx_bus::{Batch, Log as _, Topic};
use prepx_errand::Act;

use world::{Answer, GROUP, World, settings, target};

const FIRST: Topic = GROUP.retries[0];
const SECOND: Topic = GROUP.retries[1];

#[tokio::test]
async fn what_fails_waits_longer_each_time_and_is_taken_in_the_end() {
    let mut world = World::new().await;
    world
        .toy
        .answer(1, &[Answer::Refuse, Answer::Refuse], Answer::Take);
    let working = world.work().await;
    world.tell(&[1, 2]);
    world.toy.attempts(2).await;
    world.until("it waits", || world.end(FIRST) == 1).await;
    world.clock.advance(Duration::from_millis(4_999));
    world.tell(&[2]);
    assert_eq!(world.toy.attempts(3).await[2], (2, 2), "it is not due");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.toy.attempts(4).await[3], (1, 1));
    world
        .until("it waits again", || world.end(SECOND) == 1)
        .await;
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.toy.attempts(5).await[4], (1, 1));
    world
        .until("nothing holds the log", || {
            [FIRST, SECOND]
                .iter()
                .all(|topic| world.log.start(topic.partition(0)) == 1)
        })
        .await;
    working.stop().await;
    assert_eq!(world.end(GROUP.dead), 0);
}

#[tokio::test]
async fn what_nobody_takes_is_dead_until_an_operator_decides() {
    let mut world = World::new().await;
    world.settings.delays = vec![Duration::ZERO, Duration::ZERO];
    world.toy.answer(1, &[], Answer::Refuse);
    let working = world.work().await;
    world.tell(&[1]);
    let letters = world.letters(1).await;
    let errand = &letters[0].errand;
    assert_eq!((errand.target, errand.attempts.len()), (target(1), 3));
    assert!(
        errand
            .attempts
            .iter()
            .all(|attempt| attempt.tried && attempt.failure == "refused")
    );
    let id = errand.id;
    // A restart finds the same. One between an attempt and its being kept would try it once more.
    world.rest().await;
    working.stop().await;
    let working = world.work().await;
    assert_eq!(world.letters(1).await, letters);
    world.toy.answer(1, &[], Answer::Take);
    assert_eq!(world.settle(&[id], Act::Replay).await, 1);
    assert_eq!(world.toy.attempts(4).await[3], (1, 1));
    assert_eq!(
        world.settle(&[id], Act::Replay).await,
        0,
        "it is idempotent"
    );
    world.toy.answer(1, &[], Answer::Refuse);
    world.tell(&[1]);
    world.letters(1).await;
    let dropped = world.desk().settle_all(Some("toys"), Act::Drop, id).await;
    assert_eq!(dropped.unwrap(), 1);
    assert_eq!(world.letters(0).await, []);
    world.rest().await;
    working.stop().await;
    let working = world.work().await;
    assert_eq!(world.letters(0).await, [], "a restart finds the same");
    working.stop().await;
}

#[tokio::test]
async fn who_dies_after_an_attempt_tries_it_again_and_repeats_of_a_stage_are_left_out() {
    let mut world = World::new().await;
    world.toy.answer(1, &[], Answer::Never);
    let working = world.work().await;
    world.tell(&[1]);
    world.toy.attempts(1).await;
    // It has been tried, and what came of it is nowhere.
    working.stop().await;
    world.toy.answer(1, &[], Answer::Take);
    let working = world.work().await;
    assert_eq!(world.toy.attempts(2).await, [(1, 1), (1, 1)]);
    world.repeat(1, &[1]);
    world.tell(&[2]);
    assert_eq!(
        world.toy.attempts(3).await[2],
        (2, 2),
        "I2: what was taken is not new"
    );
    working.stop().await;
}

#[tokio::test]
async fn one_that_does_not_answer_holds_nobody_up_and_takes_nothing_with_it() {
    let mut world = World::new().await;
    world.toy.answer(1, &[Answer::Hang], Answer::Take);
    for _ in 0..3 {
        world.tell(&[1, 2]);
    }
    let durable = || world.end(GROUP.input) == 3;
    world.until("all are there for one turn", durable).await;
    let working = world.work().await;
    let mut seen = world.toy.attempts(4).await;
    seen.sort_unstable();
    assert_eq!(seen, [(1, 1), (2, 1), (2, 2), (2, 3)]);
    world
        .until("all three wait", || world.end(FIRST) == 3)
        .await;
    world.clock.advance(settings().delays[0]);
    // Those that it kept from their turn go first.
    assert_eq!(world.toy.attempts(7).await[4..], [(1, 2), (1, 3), (1, 1)]);
    working.stop().await;
}

#[tokio::test]
async fn i10_what_does_not_fit_into_a_retry_topic_is_dead_and_the_oldest_dead_are_forgotten() {
    let mut world = World::new().await;
    world.settings.waiting_max = 1;
    world.settings.letters_max = 2;
    world.toy.answer(1, &[], Answer::Refuse);
    let working = world.work().await;
    for number in 1..=4 {
        world.tell(&[1]);
        world.clock.advance(Duration::from_millis(1));
        let dead = || world.end(GROUP.dead) + world.end(FIRST) == number;
        world.until("it was tried", dead).await;
    }
    let read = || world.log.start(GROUP.dead.partition(0)) == 3;
    world.until("all notes were read", read).await;
    let letters = world.letters(2).await;
    let numbers: Vec<u64> = letters
        .iter()
        .map(|letter| letter.errand.origin.number)
        .collect();
    assert_eq!(numbers, [3, 4]);
    working.stop().await;
}

#[tokio::test]
async fn whom_nobody_wants_is_forgotten() {
    let mut world = World::new().await;
    world.toy.answer(1, &[], Answer::Gone);
    let working = world.work().await;
    world.tell(&[1]);
    world.tell(&[2]);
    assert_eq!(world.toy.attempts(1).await, [(2, 2)]);
    working.stop().await;
    assert_eq!((world.end(FIRST), world.end(GROUP.dead)), (0, 0));
}

#[tokio::test]
async fn what_waits_is_carried_forward_so_that_the_log_can_be_given_back() {
    let mut world = World::new().await;
    world.settings.held_bytes_max = 4 << 20;
    world.toy.answer(1, &[], Answer::Refuse);
    let working = world.work().await;
    world.tell(&[1]);
    world.tell(&[1]);
    world.until("they wait", || world.end(FIRST) == 2).await;
    let other = vec![0; 1 << 20];
    world
        .until("the log has grown, and they are at its end", || {
            let mut batch = Batch::new();
            batch.push(Topic::AuditLogs.partition(0), &other);
            let _full_is_tried_again = world.log.append(None, &batch);
            world.log.start(FIRST.partition(0)) >= 2
        })
        .await;
    world.toy.answer(1, &[], Answer::Take);
    world.clock.advance(settings().delays[0]);
    let seen = world.toy.attempts(4).await;
    assert_eq!(seen[2..], [(1, 1), (1, 2)], "in their order");
    working.stop().await;
}
