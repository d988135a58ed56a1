//! Stages of two toy machines on the embedded log and a faulty disk.

// What the tests share unwraps as the tests do.
#![allow(clippy::unwrap_used)]

mod archives;
mod awaited;
mod ground;
#[cfg(feature = "kafka")]
mod kafka;
mod recovery;
mod shadows;
mod skips;
mod standbys;
mod stations;
mod traces;
mod world;

use prepx_bus::Log;
use prepx_bus::Topic;
use prepx_stage::{Taken, Transition, Turn};

use crate::world::World;
use prepx_tests::toy::{BankInput, HouseInput, slot};

#[test]
fn a_command_goes_through_both_stages_and_back_in_one_turn() {
    let mut world = World::new(1);
    world.deposit(1, 5, 100);
    world.transfer(2, 5, 8, 30);
    world.transfer(3, 5, 8, 71);
    assert_eq!(world.run(), [(1, true), (2, true), (3, false)]);
    assert_eq!((world.balance(5), world.balance(8)), (70, 30));
    world.check();
}

#[test]
fn a_repeat_is_told_the_first_decision_and_changes_nothing() {
    let mut world = World::new(2);
    world.deposit(1, 5, 100);
    world.transfer(2, 5, 8, 101);
    world.run();
    world.deposit(9, 5, 100);
    world.transfer(2, 5, 8, 101);
    world.deposit(1, 5, 100);
    assert_eq!(world.run(), [(9, true), (2, false), (1, true)]);
    assert_eq!(world.balance(5), 200);
    world.check();
}

#[test]
fn commands_are_recorded_in_the_frame_of_their_decision() {
    let mut world = World::new(3);
    (1..=40).for_each(|id| world.deposit(id, 5, 1));
    world.run();
    world.flush();
    let at = slot(5).partition(4);
    let recorded = world
        .log
        .read(Topic::TradingCommands.partition(at), 0, 1 << 20)
        .unwrap();
    assert_eq!(recorded.len(), 40);
    let journal = world
        .log
        .read(Topic::AccountJournal.partition(at), 0, 1 << 20)
        .unwrap();
    let decided = Transition::decode(&journal[1].payload).unwrap();
    let whole = Taken::Recorded {
        from: Topic::TradingCommands.partition(at),
        offset: 0,
        count: 40,
    };
    assert_eq!((decided.inputs, decided.event_count), (vec![whole], 40));
    assert_eq!(
        journal.len(),
        2,
        "one transition for the takeover, one for the group"
    );
}

#[test]
fn what_is_for_every_partition_reaches_every_partition_once() {
    let mut world = World::new(4);
    world
        .pipeline
        .submit_matching(1, slot(3), HouseInput::Gift { amount: 7 });
    world.run();
    let gifts = world
        .pipeline
        .accounts()
        .map(|bank| bank.machine().balances[&0]);
    assert_eq!(gifts.collect::<Vec<_>>(), [7, 7, 7, 7]);
    world.check();
}

#[test]
fn a_timer_is_recorded_only_when_something_was_due() {
    let mut world = World::new(5);
    world.run();
    let seqs = |world: &World| {
        world
            .pipeline
            .accounts()
            .map(|bank| bank.head().seq)
            .sum::<u64>()
    };
    let before = seqs(&world);
    world.pipeline.tick();
    world.run();
    assert_eq!(
        seqs(&world),
        before + 4,
        "the first hour is due in every bank"
    );
    world.pipeline.tick();
    world.run();
    assert_eq!(seqs(&world), before + 4, "nothing is due twice");
    world.advance_s(3_600);
    world.pipeline.tick();
    world.run();
    assert_eq!(seqs(&world), before + 8);
    world.check();
}

#[test]
fn a_full_log_blocks_the_turn_and_loses_nothing() {
    let mut world = World::with_buffer(6, 64 << 10);
    for id in 1..=3_000 {
        world.pipeline.submit(
            id as u64,
            slot(5),
            BankInput::Deposit {
                id,
                account: 5,
                amount: 1,
            },
            None,
        );
    }
    let mut blocked = 0;
    while world.pipeline.turn().unwrap() == Turn::Blocked {
        blocked += 1;
        world.flush();
    }
    assert!(blocked > 1, "the buffer was never full");
    assert_eq!(world.balance(5), 3_000);
    assert_eq!(world.pipeline.drain_decided().count(), 3_000);
    world.check();
}

#[test]
fn the_same_inputs_leave_the_same_bytes() {
    let run = || {
        let mut world = World::new(7);
        for id in 1..200 {
            world.deposit(id, id % 13, id);
            world.transfer(1_000 + id, id % 13, (id * 7) % 13, id / 2);
        }
        world.run();
        world.flush();
        world.everything()
    };
    assert_eq!(run(), run());
}
