//! The crash table of ARCHITECTURE.md on brokers, row by row: for each boundary what is lost, what is
//! repeated and what the client sees.

use prepx_domain::AccountId;

use crate::TOPOLOGY;
use crate::brokers::World;
use crate::platform::{self, Platform as _, balance, deposit};

fn funded(seed: u64) -> (World, AccountId) {
    platform::funded(World::new(seed))
}

/// The partition that decides what the account asks for.
fn seat(account: AccountId) -> usize {
    account.slot().partition(TOPOLOGY.account_partitions) as usize
}

/// Every process that clients talk to is gone, and others are there.
fn lose_fronts(world: &mut World) {
    world.fronts.iter().for_each(|front| front.log.kill());
    (0..world.fronts.len()).for_each(|at| world.replace_front(at));
}

/// Every seat is taken; what the client does not know it asks again, and then it stands once.
#[track_caller]
fn asks_again_and_stands_once(mut world: World, account: AccountId) {
    world.fill();
    platform::asks_again_and_stands_once(&mut world, account);
}

#[test]
fn before_a_command_is_on_the_log_it_is_lost_and_nothing_took_effect() {
    for seed in 0..20 {
        let (mut world, account) = funded(seed);
        let at = deposit(&mut world, account);
        lose_fronts(&mut world);
        world.settle();
        assert_eq!(balance(&world, account), 100);
        assert!(!world.clients.was_told(at));
        asks_again_and_stands_once(world, account);
    }
}

#[test]
fn once_a_command_is_on_the_log_it_is_decided_whoever_dies() {
    for seed in 0..20 {
        let (mut world, account) = funded(seed);
        let at = deposit(&mut world, account);
        world.fronts.iter().for_each(|front| front.log.flush());
        lose_fronts(&mut world);
        world.accounts.kill(seat(account));
        world.fill();
        world.settle();
        assert_eq!(balance(&world, account), 200, "I1");
        assert!(!world.clients.was_told(at), "nobody is there to be told");
        asks_again_and_stands_once(world, account);
    }
}

/// The owner decides, and some of what follows has come about.
fn decided(seed: u64) -> (World, AccountId, usize) {
    let (mut world, account) = funded(seed);
    let at = deposit(&mut world, account);
    world.fronts.iter().for_each(|front| front.log.flush());
    while balance(&world, account) == 100 {
        world.turn_account(seat(account));
    }
    (0..seed % 12).for_each(|_| {
        world.brokers.step();
    });
    (world, account, at)
}

/// What became of a decision whose owner is gone: how often it was lost, and how often it stands.
#[derive(Default)]
struct Fates {
    lost: u32,
    stands: u32,
}

impl Fates {
    /// The successor has read the journal and decided nothing yet.
    fn note(&mut self, world: &World, account: AccountId) {
        match balance(world, account) {
            100 => self.lost += 1,
            200 => self.stands += 1,
            other => panic!("a part of a transition took effect: {other}"),
        }
    }

    fn were_both_seen(&self) {
        let Fates { lost, stands } = self;
        let both = *lost > 10 && *stands > 10;
        assert!(
            both,
            "{lost} lost and {stands} stand: one side was not seen"
        );
    }
}

/// The owner decides and is then gone in some way; whoever asked asks again of its successor. `go` says whether the
/// owner is to be looked at, `after` what happens when its successor is there.
fn owners_go(
    seeds: impl Iterator<Item = u64>,
    go: impl Fn(&mut World, u64, AccountId) -> bool,
    after: impl Fn(&mut World),
) {
    let mut fates = Fates::default();
    for seed in seeds {
        let (mut world, account, at) = decided(seed);
        if !go(&mut world, seed, account) {
            continue;
        }
        world.fill();
        fates.note(&world, account);
        assert!(!world.clients.was_told(at), "I8");
        after(&mut world);
        asks_again_and_stands_once(world, account);
    }
    fates.were_both_seen();
}

#[test]
fn a_transition_whose_owner_dies_stands_whole_or_not_at_all() {
    let dies = |world: &mut World, _, account| {
        world.accounts.kill(seat(account));
        true
    };
    owners_go(0..120, dies, |_| {});
}

#[test]
fn an_owner_that_comes_back_from_a_pause_adds_nothing_to_it() {
    let pauses = |world: &mut World, seed: u64, account| {
        world.accounts.pause(seat(account));
        if seed.is_multiple_of(2) {
            world.brokers.expire();
        }
        true
    };
    owners_go(0..120, pauses, |world| {
        let (accounts, _, ground) = world.ground();
        accounts.end_stale(&ground);
    });
}

#[test]
fn a_commit_whose_answer_is_lost_ends_its_owner_and_stands_or_does_not() {
    let loses_answer = |world: &mut World, _, account| {
        world.brokers.lose_answer();
        world.brokers.settle();
        let lost = world.brokers.tally().unanswered > 0;
        if lost {
            world.accounts.kill(seat(account));
        }
        lost
    };
    owners_go((0..120).map(|seed| 12 * seed), loses_answer, |_| {});
}

#[test]
fn a_reply_that_is_lost_is_had_again_and_is_the_first_decision() {
    for seed in 0..20 {
        let (mut world, account) = funded(seed);
        let at = deposit(&mut world, account);
        for _ in 0..4 {
            world.brokers.settle();
            world.turn_account(seat(account));
        }
        assert_eq!(balance(&world, account), 200);
        lose_fronts(&mut world);
        assert!(!world.clients.was_told(at));
        asks_again_and_stands_once(world, account);
    }
}

#[test]
fn after_the_reply_nothing_is_lost_whoever_dies() {
    for seed in 0..20 {
        let (mut world, account) = funded(seed);
        let at = deposit(&mut world, account);
        world.settle();
        assert!(world.clients.was_told(at));
        world.accounts.kill(seat(account));
        lose_fronts(&mut world);
        world.fill();
        assert_eq!(balance(&world, account), 200, "I1");
        asks_again_and_stands_once(world, account);
    }
}
