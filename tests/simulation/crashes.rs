//! The crash table of ARCHITECTURE.md, row by row: for each boundary what is lost, what is repeated
//! and what the client sees.

use prepx_domain::AccountId;

use crate::platform::{self, Platform as _, asks_again_and_stands_once, balance, deposit};
use crate::ring::World;

fn funded(seed: u64) -> (World, AccountId) {
    platform::funded(World::new(seed))
}

fn restart(world: &mut World, power_fails: bool) {
    world.die(power_fails);
    world.start().expect("nothing is in the way");
}

#[test]
fn before_a_command_is_taken_from_the_ring_it_is_lost_and_nothing_took_effect() {
    let (mut world, account) = funded(1);
    let at = deposit(&mut world, account);
    restart(&mut world, false);
    assert_eq!(balance(&world, account), 100);
    assert!(!world.clients.was_told(at));
    asks_again_and_stands_once(&mut world, account);
}

#[test]
fn after_the_decision_before_the_frame_is_written_all_of_it_is_lost() {
    let (mut world, account) = funded(2);
    let at = deposit(&mut world, account);
    world.turn().expect("a turn");
    assert_eq!(
        balance(&world, account),
        200,
        "the stage runs ahead of the disk"
    );
    restart(&mut world, false);
    assert_eq!(balance(&world, account), 100);
    assert!(
        !world.clients.was_told(at),
        "I8: nobody was told of what was not durable"
    );
    asks_again_and_stands_once(&mut world, account);
}

#[test]
fn while_the_frame_is_written_it_stands_whole_or_not_at_all() {
    let (mut lost, mut kept) = (0, 0);
    for seed in 0..60 {
        for changes in 1..4 {
            let (mut world, account) = funded(seed);
            let at = deposit(&mut world, account);
            world.turn().expect("a turn");
            world.log_dir.die_after(changes);
            let flushed = world.flush();
            assert_eq!(flushed.is_ok(), world.clients.was_told(at), "I8");
            restart(&mut world, seed % 2 == 0);
            match balance(&world, account) {
                100 => lost += 1,
                200 => kept += 1,
                other => panic!("a part of a frame took effect: {other}"),
            }
            assert!(flushed.is_err() || balance(&world, account) == 200, "I1");
            asks_again_and_stands_once(&mut world, account);
        }
    }
    assert!(
        lost > 10 && kept > 10,
        "{lost} lost and {kept} kept: one side was not seen"
    );
}

#[test]
fn after_the_sync_before_the_reply_it_stands_and_a_repeat_is_told_the_first_decision() {
    let (mut world, account) = funded(4);
    let at = deposit(&mut world, account);
    world.turn().expect("a turn");
    world.process.log.flush().expect("a sync");
    restart(&mut world, true);
    assert_eq!(balance(&world, account), 200, "I1");
    assert!(!world.clients.was_told(at));
    asks_again_and_stands_once(&mut world, account);
}

#[test]
fn after_the_reply_nothing_is_lost() {
    let (mut world, account) = funded(5);
    let at = deposit(&mut world, account);
    world.settle();
    assert!(world.clients.was_told(at));
    restart(&mut world, true);
    assert_eq!(balance(&world, account), 200, "I1");
    asks_again_and_stands_once(&mut world, account);
}

#[test]
fn while_a_snapshot_is_written_only_the_snapshot_is_lost() {
    for changes in 1..12 {
        let (mut world, account) = funded(changes);
        world.snapshot().expect("a snapshot");
        deposit(&mut world, account);
        world.settle();
        world.snapshot_dir.die_after(changes);
        for _ in 0..4 {
            let _ = world.snapshot();
        }
        restart(&mut world, changes % 2 == 0);
        assert_eq!(balance(&world, account), 200, "I1");
        asks_again_and_stands_once(&mut world, account);
    }
}

#[test]
fn a_failed_sync_ends_the_process_and_nobody_is_told() {
    for seed in 0..20 {
        let (mut world, account) = funded(seed);
        let at = deposit(&mut world, account);
        world.turn().expect("a turn");
        world.log_dir.fail_sync_after(0);
        assert!(world.flush().is_err());
        assert!(!world.clients.was_told(at), "I8");
        deposit(&mut world, account);
        assert!(world.turn().is_err(), "a dead log takes nothing more");
        restart(&mut world, seed % 2 == 0);
        world.come_to_rest();
        world.agree();
        assert_eq!(balance(&world, account), 300);
    }
}

/// A short history: accounts, money, orders, snapshots. Whatever dies on the way is started again.
fn history(world: &mut World, power_fails: bool) -> u64 {
    let mut deaths = 0;
    for step in 0..30 {
        let done = match step {
            step if step % 6 == 5 => world.snapshot(),
            _ => {
                match step {
                    1 => world.open_all(),
                    2 => world.fund_all(),
                    _ => (0..4).for_each(|_| world.submit()),
                }
                world.turn().and_then(|()| world.flush())
            }
        };
        if done.is_err() {
            deaths += 1;
            restart(world, power_fails);
        }
    }
    deaths
}

/// Every change of the log's files, one after the other, is the last one of the process.
#[test]
fn a_death_at_every_change_of_the_log_loses_and_doubles_nothing() {
    for power_fails in [false, true] {
        let mut deaths = 0;
        for changes in 1.. {
            let mut world = World::new(changes);
            world.log_dir.die_after(changes);
            let died = history(&mut world, power_fails);
            restart(&mut world, power_fails);
            world.come_to_rest();
            world.agree();
            deaths += died;
            if died == 0 {
                break;
            }
        }
        assert!(
            deaths > 50,
            "{deaths} deaths are not every change of a history"
        );
    }
}
