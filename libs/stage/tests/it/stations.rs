//! Partitions whose inputs come through the log, one owner each.

use std::time::Duration;

use prepx_bus::{Batch, Topic};
use prepx_stage::desk::{Question, Refused};
use prepx_stage::{Error, Turn, lane};

use crate::ground::{Disk, Ground, InMemory, NOW, Stations, desk};
use crate::world::TOPOLOGY;
use prepx_tests::toy::{BankCodec, POISON, slot};

fn stations() -> Stations<Disk> {
    Stations::new(Disk::new(8 << 20))
}

/// The bank that has an account.
fn bank_of(account: i64) -> u32 {
    slot(account).partition(TOPOLOGY.account_partitions)
}

#[test]
fn a_command_goes_through_both_stages_and_back() {
    through_both_stages(stations());
}

pub fn through_both_stages<G: Ground>(mut all: Stations<G>) {
    all.deposit(1, 5, 100);
    all.transfer(2, 5, 8, 30);
    all.transfer(3, 5, 8, 71);
    all.until_heard(3);
    all.until("the credit arrives", |all| all.balance(8) == 30);
    assert_eq!(all.balance(5), 70);
    let told: Vec<_> = all
        .heard
        .iter()
        .map(|(id, told)| (*id, &told[..]))
        .collect();
    assert_eq!(told, [(1, &[true][..]), (2, &[true]), (3, &[false])]);
    all.gift(4, 7);
    all.until_heard(4);
    all.until("the gift arrives", |all| {
        let has = |bank: &prepx_stage::Station<BankCodec>| {
            bank.partition().machine().balances.get(&0) == Some(&7)
        };
        all.banks.iter().all(has)
    });
    all.check();
}

/// What holds on Kafka, where that is asked, holds on its double.
#[test]
fn on_brokers_in_memory() {
    for seed in 0..10 {
        let stations = || Stations::new(InMemory::new(seed));
        through_both_stages(stations());
        takeover_in_a_batch(stations(), seed % 2 == 0);
        stale_owner(stations());
        repeats(stations());
    }
}

#[test]
fn i8_a_reply_leaves_when_its_transition_is_durable_and_not_before() {
    let mut all = stations();
    all.turn();
    all.ground.settle();
    all.deposit(1, 5, 100);
    all.turn();
    assert_eq!(all.balance(5), 0, "the command is not durable");
    all.ground.settle();
    all.turn();
    assert_eq!(all.balance(5), 100);
    let replies = Topic::CommandReplies.partition(0);
    let log = all.ground.handle();
    for _ in 0..3 {
        all.turn();
        assert_eq!(log.accepted_end(replies), 0, "the decision is not durable");
    }
    all.ground.settle();
    all.turn();
    assert_eq!(log.accepted_end(replies), 1);
    all.hear();
    assert!(all.heard.is_empty(), "the reply is not durable");
    all.ground.settle();
    all.hear();
    assert_eq!(all.heard[&1], [true]);
}

#[test]
fn transitions_follow_each_other_before_the_first_is_durable() {
    let mut all = stations();
    all.until("everybody is there", |_| true);
    for id in 1..=3_000 {
        all.deposit(id, 5, 1);
    }
    all.ground.settle();
    let bank = &mut all.banks[bank_of(5) as usize];
    let (log, seq) = (all.ground.handle(), bank.partition().head().seq);
    let durable = log.durable();
    while bank.turn(NOW).unwrap() == Turn::More {}
    assert_eq!(log.durable(), durable);
    assert!(bank.partition().head().seq > seq + 4, "groups are bounded");
    assert_eq!(all.balance(5), 3_000);
    all.until_heard(3_000);
    all.check();
}

#[test]
fn a_takeover_in_the_middle_of_a_batch_loses_and_doubles_nothing() {
    takeover_in_a_batch(stations(), false);
    takeover_in_a_batch(stations(), true);
}

pub fn takeover_in_a_batch<G: Ground>(mut all: Stations<G>, reemit: bool) {
    // Some of it is decided and durable, some is decided, some is not read.
    for ids in [1..=700, 701..=1_400, 1_401..=2_000] {
        all.banks[bank_of(5) as usize].turn(NOW).unwrap();
        for id in ids {
            all.deposit(id, 5, 2);
            all.transfer(10_000 + id, 5, 8, 1);
        }
        all.ground.settle();
    }
    let before = all.take_over(bank_of(5), reemit);
    assert!(before.partition().machine().decided.len() < 2 * 2_000);
    drop(before);
    // Those who were not told by the first owner ask again.
    all.now += Duration::from_secs(2);
    assert!(all.desk.expire(all.now).is_empty());
    all.until_heard(4_000);
    all.until("every credit arrives", |all| all.balance(8) == 2_000);
    assert_eq!(all.balance(5), 2_000, "I2");
    assert!(all.heard.values().all(|told| told == &[true]), "I2");
    all.check();
}

#[test]
fn a_stale_owner_tells_nobody_and_its_successor_tells_the_first_decision() {
    stale_owner(stations());
}

pub fn stale_owner<G: Ground>(mut all: Stations<G>) {
    all.until("everybody is there", |_| true);
    all.deposit(1, 5, 100);
    all.ground.settle();
    all.banks[bank_of(5) as usize].turn(NOW).unwrap();
    // A transition of the first owner is in flight. The fence waits for it, or ends it.
    let mut stale = all.take_over(bank_of(5), false);
    all.deposit(2, 5, 10);
    all.ground.settle();
    let error = (0..10_000).find_map(|_| {
        all.ground.settle();
        stale.turn(NOW).err()
    });
    // What is lost to a fence poisons a handle; what comes after one is refused as fenced.
    let said = error.map(|error| error.to_string());
    assert!(
        said.as_ref().is_some_and(|said| said.contains("fenced")),
        "{said:?}"
    );
    all.now += Duration::from_secs(2);
    all.desk.expire(all.now);
    all.until_heard(2);
    assert_eq!(all.balance(5), 110, "I2");
    all.check();
}

#[test]
fn a_repeat_is_told_the_first_decision_and_changes_nothing() {
    repeats(stations());
}

pub fn repeats<G: Ground>(mut all: Stations<G>) {
    all.deposit(1, 5, 100);
    all.until_heard(1);
    all.transfer(2, 5, 8, 101);
    all.until_heard(2);
    all.deposit(3, 5, 100);
    all.transfer(2, 5, 8, 101);
    all.deposit(1, 5, 100);
    all.until("all are told again", |all| {
        all.heard[&1].len() == 2 && all.heard.len() == 3
    });
    assert_eq!(
        (&all.heard[&1][..], &all.heard[&2][..]),
        (&[true, true][..], &[false, false][..])
    );
    assert_eq!(all.balance(5), 200);
    all.check();
}

#[test]
fn what_has_no_reply_is_repeated_and_then_given_up() {
    let mut all = stations();
    all.deposit(1, 5, 100);
    let seconds = |from: u64| (1..=from).map(Duration::from_secs);
    let given_up: Vec<i64> = seconds(11).flat_map(|now| all.desk.expire(now)).collect();
    assert_eq!((given_up, all.desk.waiting()), (vec![], 1));
    assert_eq!(all.desk.expire(Duration::from_secs(12)), [1]);
    all.ground.settle();
    let commands = Topic::TradingCommands.partition(bank_of(5));
    assert_eq!(
        all.ground.handle().end(commands),
        1 + 5,
        "asked, and again every two seconds"
    );
    all.until("it is decided all the same", |all| all.balance(5) > 0);
    assert_eq!(all.balance(5), 100, "I2");
}

#[test]
fn i10_more_than_may_wait_is_refused_before_it_is_accepted() {
    let mut all = stations();
    (1..=5_000).for_each(|id| all.deposit(id, 5, 1));
    let question = Question {
        who: 5_001,
        to: Topic::TradingCommands.partition(0),
        input: b"any".to_vec(),
        repeats: true,
    };
    let refused = all.desk.ask(question, all.now);
    assert!(matches!(refused, Err((5_001, Refused::Waiting(5_000)))));
    all.until_heard(5_000);
}

#[test]
fn a_full_log_blocks_a_station_and_loses_nothing() {
    let mut all = Stations::new(Disk::new(64 << 10));
    for id in 1..=2_000 {
        all.deposit(id, 5, 1);
        all.ground.settle();
    }
    let bank = &mut all.banks[bank_of(5) as usize];
    let mut blocked = 0;
    loop {
        match bank.turn(NOW).unwrap() {
            Turn::Idle => break,
            Turn::More => {}
            Turn::Blocked => {
                blocked += 1;
                all.ground.settle();
            }
        }
    }
    assert!(blocked > 1, "the buffer was never full");
    all.until_heard(2_000);
    assert_eq!(all.balance(5), 2_000);
    all.check();
}

#[test]
fn a_gap_on_a_lane_stops_the_station() {
    let mut all = stations();
    all.deposit(1, 5, 100);
    all.transfer(2, 5, 8, 30);
    all.until("the credit arrives", |all| all.balance(8) == 30);
    let (lanes, source) = (
        Topic::OrderExecutions.partition(bank_of(8)),
        Topic::MatchingJournal.partition(0),
    );
    let last = all.banks[bank_of(8) as usize].partition().head().received[&source];
    let mut batch = Batch::new();
    batch.push_with(lanes, |to| {
        lane::write(source, 99, last + 2, &[&[1; 33]], to)
    });
    all.ground.handle().append(None, &batch).unwrap();
    all.ground.settle();
    let bank = &mut all.banks[bank_of(8) as usize];
    let error = bank.turn(NOW).unwrap_err();
    assert!(matches!(error, Error::Gap { .. }), "{error}");
    let said = error.to_string();
    assert!(
        said.ends_with(&format!("has a gap: {} follows {last}", last + 2)),
        "{said}"
    );
}

#[test]
fn a_command_that_cannot_be_decided_names_itself_and_comes_again() {
    let mut all = stations();
    all.until("everybody is there", |_| true);
    all.deposit(1, 5, POISON);
    all.ground.settle();
    for _ in 0..2 {
        let bank = &mut all.banks[bank_of(5) as usize];
        let error = (0..3)
            .find_map(|_| bank.turn(NOW).err())
            .unwrap()
            .to_string();
        let expected = format!(
            "account/{0} has stopped at a command that it cannot decide, which stands in \
             trading-commands/{0} at offset 0: a deposit that cannot be decided. It comes again at \
             every start",
            bank_of(5)
        );
        assert_eq!(error, expected);
        all.take_over(bank_of(5), false);
    }
}

#[test]
fn replies_to_somebody_before_are_nobody_s() {
    let mut all = stations();
    all.deposit(1, 5, 100);
    all.desk = desk(all.ground.handle(), 1 << 50);
    all.until("it is decided", |all| all.balance(5) == 100);
    all.deposit(2, 5, 1);
    all.until("the second is told", |all| all.heard.contains_key(&2));
}
