//! Copies that stand by for an owner: a takeover with one comes to the same as one without, and has less to fold.

use std::sync::Arc;

use prepx_bus::{Batch, Log, ReadError};
use prepx_stage::{
    Begun, Error, Keeper, Origin, Pace, Partition, Retention, Snapshots, Standby, Takeover,
};
use proptest::prelude::*;

use crate::ground::{Ground, InMemory, NOW, Stations};
use crate::world::{TOPOLOGY, World, account, bytes_of};
use prepx_tests::toy::{BankCodec, slot};

type Bank = Partition<BankCodec>;

/// The account whose partition is stood by for.
const OF: i64 = 5;

fn at() -> u32 {
    slot(OF).partition(TOPOLOGY.account_partitions)
}

fn standby(world: &World) -> Standby<BankCodec> {
    let snapshots = Snapshots::new(world.snapshot_dir.clone());
    Standby::new(Arc::new(BankCodec), account(at()), snapshots)
}

/// Follows the journal to its end.
fn catch_up(standby: &Standby<BankCodec>, log: &dyn Log) {
    standby.load().unwrap();
    while standby.follow(log).unwrap() {}
}

/// One transition each.
fn pay(world: &mut World, ids: std::ops::RangeInclusive<i64>) {
    for id in ids {
        world.deposit(id, OF, 1);
        world.run();
    }
    world.flush();
}

fn open(log: &dyn Log, origin: &impl Origin<BankCodec>, reemit: bool) -> Result<Bank, Error> {
    let (codec, seat) = (Arc::new(BankCodec), account(at()));
    let takeover = Takeover {
        who: "who stood by",
        now: NOW,
        reemit,
        watch: &(),
    };
    Partition::open(codec, seat, TOPOLOGY, log, origin, takeover)
}

/// Everything that two takeovers must agree about.
fn state_of(bank: &Bank) -> (Vec<u8>, prepx_stage::Head) {
    (bytes_of(&BankCodec, bank.machine()), bank.head().clone())
}

#[test]
fn a_warm_takeover_folds_only_the_rest_and_comes_to_the_same_as_a_cold_one() {
    let mut world = World::new(31);
    let standby = standby(&world);
    pay(&mut world, 1..=20);
    catch_up(&standby, &*world.log);
    pay(&mut world, 21..=23);
    let warm = open(&*world.log, &standby, false).unwrap();
    let cold = open(&*world.log, standby.snapshots(), false).unwrap();
    assert_eq!(
        [warm.begun(), cold.begun()],
        [(true, 3), (false, 24)].map(|(warm, records)| Begun { warm, records }),
    );
    assert!(state_of(&warm) == state_of(&cold), "I6");
    assert!(standby.next_offset().is_none(), "a copy is given away once");
}

#[test]
fn a_copy_begins_with_the_newest_snapshot() {
    let (mut world, retention, mut keeper) = kept(32);
    pay(&mut world, 1..=9);
    keeper.snapshot(&*world.log, &retention).unwrap();
    let standby = standby(&world);
    standby.load().unwrap();
    assert_eq!(standby.next_offset(), Some(10));
    assert!(standby.bytes() > Some(0));
    assert!(!standby.follow(&*world.log).unwrap(), "nothing is new");
    let warm = open(&*world.log, &standby, false).unwrap();
    assert_eq!(warm.begun().records, 0);
}

/// With a keeper that cuts the journal behind the older of two snapshots.
fn kept(seed: u64) -> (World, Retention, Keeper<BankCodec>) {
    let world = World::new(seed);
    let retention = Retention::new(world.log.clone());
    let snapshots = Snapshots::new(world.snapshot_dir.clone());
    let (codec, pace) = (Arc::new(BankCodec), Pace::default());
    let keeper = Keeper::open(
        codec,
        account(at()),
        &*world.log,
        snapshots,
        &retention,
        pace,
    );
    (world, retention, keeper.unwrap())
}

/// A standby that has seen three payments, and a journal that begins behind them.
fn behind_a_cut_journal() -> (World, Standby<BankCodec>) {
    let (mut world, retention, mut keeper) = kept(33);
    let standby = standby(&world);
    pay(&mut world, 1..=3);
    catch_up(&standby, &*world.log);
    for first in [4, 10] {
        pay(&mut world, first..=first + 5);
        keeper.snapshot(&*world.log, &retention).unwrap();
    }
    assert!(world.log.start(account(at()).journal()) > 4);
    (world, standby)
}

#[test]
fn a_copy_behind_a_cut_journal_is_given_up_and_another_one_begun() {
    let (world, standby) = behind_a_cut_journal();
    match standby.follow(&*world.log).unwrap_err() {
        Error::Read(ReadError::Truncated { wanted: 4, .. }) => {}
        other => panic!("{other}"),
    }
    assert!(standby.next_offset().is_none());
    catch_up(&standby, &*world.log);
    let warm = open(&*world.log, &standby, false).unwrap();
    assert!(warm.begun().warm && warm.machine().balances[&OF] == 15);
}

#[test]
fn a_takeover_with_a_copy_behind_a_cut_journal_is_cold() {
    let (world, standby) = behind_a_cut_journal();
    let cold = open(&*world.log, &standby, false).unwrap();
    assert!(!cold.begun().warm);
    assert_eq!(cold.machine().balances[&OF], 15, "I1");
}

#[test]
fn a_copy_does_not_go_on_behind_a_bad_record() {
    let mut world = World::new(34);
    let standby = standby(&world);
    pay(&mut world, 1..=3);
    catch_up(&standby, &*world.log);
    let journal = account(at()).journal();
    let last = world.log.read(journal, 3, 1 << 20).unwrap();
    let owner = world.log.fence(journal, "a forger").unwrap();
    let mut batch = Batch::new();
    batch.push(journal, &last[0].payload);
    world.log.append(Some(owner), &batch).unwrap();
    world.flush();
    let error = standby.follow(&*world.log).unwrap_err();
    assert!(matches!(error, Error::BadRecord(_)), "{error}");
    assert!(standby.next_offset().is_none());
    let error = open(&*world.log, &standby, false).err().unwrap();
    assert!(matches!(error, Error::BadRecord(_)), "nor does an owner");
}

#[test]
fn what_was_not_told_is_told_again_from_a_snapshot_and_not_from_a_copy() {
    let mut world = World::new(35);
    let standby = standby(&world);
    pay(&mut world, 1..=3);
    catch_up(&standby, &*world.log);
    let again = open(&*world.log, &standby, true).unwrap();
    assert!(!again.begun().warm);
}

#[test]
fn a_fence_that_fails_leaves_the_copy_for_the_next_try() {
    let mut all = Stations::new(InMemory::new(36));
    let standby = Standby::new(Arc::new(BankCodec), account(at()), all.snapshots.clone());
    all.deposit(1, OF, 100);
    all.until_heard(1);
    all.ground.0.set_rough(true);
    let refused = (0..1_000).any(|_| {
        let log = all.ground.handle();
        catch_up(&standby, &*log);
        matches!(open(&*log, &standby, false), Err(Error::Fence(_)))
    });
    assert!(refused, "the brokers were there each time");
    all.ground.0.set_rough(false);
    all.take_over_from(&standby, at());
    assert!(all.banks[at() as usize].partition().begun().warm);
    all.check();
}

#[test]
fn a_partition_moves_to_whoever_stands_by() {
    moves_warm(Stations::new(InMemory::new(37)));
}

pub fn moves_warm<G: Ground>(mut all: Stations<G>) {
    let standby = Standby::new(Arc::new(BankCodec), account(at()), all.snapshots.clone());
    let log = all.ground.handle();
    standby.load().unwrap();
    for id in 1..=20 {
        all.deposit(id, OF, 1);
        all.until_heard(id as usize);
    }
    all.until("the copy has most of it", |_| {
        standby.follow(&*log).unwrap();
        standby.next_offset() >= Some(15)
    });
    let inputs = standby.inputs();
    all.take_over_from(&standby, at());
    let taken = &all.banks[at() as usize].partition().head().consumed;
    assert!(
        inputs
            .iter()
            .any(|(from, _)| *from == account(at()).commands())
    );
    assert!(inputs.iter().all(|(from, next)| *next <= taken[from]));
    let Begun { warm, records } = all.banks[at() as usize].partition().begun();
    assert!(warm && records < 10, "{records} were left");
    assert_eq!(all.balance(OF), 20, "I1");
    all.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However often somebody stands by, follows and takes over, and whoever does so: nothing is lost, nothing comes twice.
    #[test]
    fn a_partition_that_moves_to_those_who_stand_by_stays_whole(
        seed in 0_u64..1_000,
        steps in prop::collection::vec(0_u32..4, 1..30),
    ) {
        let mut all = Stations::new(InMemory::new(seed));
        let standby = Standby::new(Arc::new(BankCodec), account(at()), all.snapshots.clone());
        let (log, mut paid) = (all.ground.handle(), 0);
        for step in steps {
            match step {
                0 => standby.load().unwrap(),
                1 => drop(standby.follow(&*log).unwrap()),
                2 => all.take_over_from(&standby, at()),
                _ => {
                    paid += 1;
                    all.deposit(paid, OF, 1);
                    all.until_heard(paid as usize);
                }
            }
        }
        all.until("all are there", |_| true);
        prop_assert_eq!(all.balance(OF), paid);
        all.check();
    }
}
