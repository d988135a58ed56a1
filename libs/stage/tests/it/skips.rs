//! Poison inputs, and going on without them.

use std::sync::Arc;

use expect_test::expect;
use prepx_bus::{Batch, Log, Topic};
use prepx_domain::Micros;
use prepx_stage::lane::{self, Message};
use prepx_stage::{Error, Partition, PipelineDeps, Snapshots, State, Taken, Takeover, Transition};

use crate::ground::{Disk, Ground, InMemory, NOW, Stations};
use crate::world::{TOPOLOGY, World, account, fold};
use prepx_tests::toy::{BankCodec, POISON, slot};

fn open_bank(world: &World, partition: u32) -> Partition<BankCodec> {
    let snapshots = Snapshots::new(world.snapshot_dir.clone());
    let takeover = Takeover {
        who: "an operator",
        now: Micros(1_800_000_000_000_000),
        reemit: false,
        watch: &(),
    };
    let seat = account(partition);
    let log = &*world.log;
    Partition::open(
        Arc::new(BankCodec),
        seat,
        TOPOLOGY,
        log,
        &snapshots,
        takeover,
    )
    .unwrap()
}

fn skip(world: &World, partition: u32, message: &str) -> Result<(), Error> {
    let message: Message = message.parse().unwrap();
    let mut bank = open_bank(world, partition);
    bank.skip(&*world.log, message, "bug 7")?;
    bank.append(&*world.log)?;
    world.flush();
    Ok(())
}

fn check_stops(world: &mut World, expected: &str) {
    assert_eq!(world.pipeline.turn().unwrap_err().to_string(), expected);
}

/// Three credits on one lane, in one record; the one in the middle cannot be decided.
fn poisoned() -> World {
    let mut world = World::new(21);
    world.deposit(1, 5, 10_000);
    world.transfer(2, 5, 8, 30);
    world.run();
    world.transfer(3, 5, 8, 40);
    world.transfer(4, 5, 8, POISON);
    world.transfer(5, 5, 8, 50);
    world
}

#[test]
fn a_poison_input_stops_its_partition_until_an_operator_has_it_skipped() {
    let mut world = poisoned();
    let stops = "account/3 has stopped at a poison input, matching-journal/0#3, which stands in \
                 order-executions/3 at offset 1: a credit that cannot be decided. It comes again at \
                 every start; to go on without it, for good: prepx stage skip --partition account/3 \
                 --input matching-journal/0#3 --reason …";
    check_stops(&mut world, stops);
    // What sent it is durable, so it comes again at every start.
    for _ in 0..2 {
        world.flush();
        world.crash();
        check_stops(&mut world, stops);
    }
    skip(&world, slot(8).partition(4), "matching-journal/0#3").unwrap();
    for _ in 0..2 {
        world.crash();
        world.run();
        world.check();
        assert_eq!(world.balance(8), 30 + 40 + 50, "all but the poison");
        assert_eq!(world.balance(5), 10_000 - 30 - 40 - POISON - 50);
    }
    world.transfer(6, 5, 8, 1);
    world.run();
    assert_eq!(world.balance(8), 121, "the lane goes on");
    world.check();
}

#[test]
fn a_skip_is_on_the_journal_with_its_reason_and_in_snapshots() {
    let mut world = poisoned();
    world.pipeline.turn().unwrap_err();
    world.flush();
    world.crash();
    let partition = slot(8).partition(4);
    skip(&world, partition, "matching-journal/0#3").unwrap();

    let seat = account(partition);
    let journal = world.log.read(seat.journal(), 0, usize::MAX).unwrap();
    let last = Transition::decode(&journal.last().unwrap().payload).unwrap();
    let expected = Taken::Skip {
        source: Topic::MatchingJournal.partition(0),
        number: 3,
        reason: "bug 7".to_owned(),
    };
    assert_eq!(last.inputs, [expected]);

    let state: State<BankCodec> = fold(&BankCodec, &*world.log, seat);
    assert_eq!(state.head.skips.len(), 1);
    let snapshots = Snapshots::new(world.snapshot_dir.clone());
    let next = journal.len() as u64;
    snapshots.write(&BankCodec, seat, 1, &state, next).unwrap();
    let loaded = snapshots.load(&BankCodec, seat).unwrap();
    assert_eq!((loaded.state.head, loaded.next_offset), (state.head, next));

    world.crash();
    world.run();
    world.check();
    assert_eq!(world.balance(8), 120);
    let bank = world.pipeline.account_partition(slot(8));
    assert!(bank.head().skips.is_empty(), "it has been passed");
}

#[test]
fn only_what_has_yet_to_be_taken_can_be_skipped() {
    let mut world = poisoned();
    world.pipeline.turn().unwrap_err();
    world.flush();
    world.crash();
    let partition = slot(8).partition(4);
    for message in [
        "matching-journal/0#1",
        "matching-journal/0#5",
        "matching-journal/1#3",
        "account-journal/2#3",
    ] {
        let refused = skip(&world, partition, message).unwrap_err();
        assert!(matches!(refused, Error::NothingToSkip { .. }), "{refused}");
    }
    skip(&world, partition, "matching-journal/0#3").unwrap();
    let refused = skip(&world, partition, "matching-journal/0#3").unwrap_err();
    assert!(matches!(refused, Error::NothingToSkip { .. }), "{refused}");
}

#[test]
fn a_message_that_cannot_be_read_is_poison_too() {
    let mut world = World::new(22);
    world.deposit(1, 5, 100);
    world.run();
    let seat = account(slot(5).partition(4));
    let mut batch = Batch::new();
    batch.push_with(seat.lanes(), |to| {
        let source = Topic::MatchingJournal.partition(0);
        lane::write(source, 1, 1, &[b"of another version"], to);
    });
    world.log.append(None, &batch).unwrap();
    world.flush();
    let open = |world: &World| {
        prepx_stage::Pipeline::<BankCodec, prepx_tests::toy::HouseCodec>::open(
            (Arc::new(BankCodec), Arc::new(prepx_tests::toy::HouseCodec)),
            PipelineDeps {
                log: world.log.clone(),
                snapshots: &Snapshots::new(world.snapshot_dir.clone()),
                topology: TOPOLOGY,
                clock: world.clock.clone(),
                who: "a test",
                watch: &(),
            },
        )
    };
    let refused = open(&world).err().unwrap().to_string();
    expect!["account/0 has stopped at a poison input, matching-journal/0#1, which stands in order-executions/0 at offset 0: a toy value cannot be decoded: 18. It comes again at every start; to go on without it, for good: prepx stage skip --partition account/0 --input matching-journal/0#1 --reason …"].assert_eq(&refused);
    skip(&world, seat.partition, "matching-journal/0#1").unwrap();
    assert!(open(&world).is_ok());
}

#[test]
fn a_command_that_cannot_be_decided_was_never_recorded() {
    let mut world = World::new(23);
    world.deposit(1, 5, 100);
    world.run();
    world.flush();
    let from = Topic::TradingCommands.partition(slot(5).partition(4));
    let before = world.log.read(from, 0, usize::MAX).unwrap();
    world.deposit(2, 5, POISON);
    check_stops(
        &mut world,
        "account/0 has stopped: it cannot decide a command, which was not recorded and has had no \
         effect: a deposit that cannot be decided",
    );
    world.flush();
    assert_eq!(world.log.read(from, 0, usize::MAX).unwrap(), before);
    world.crash();
    world.run();
    assert_eq!(world.balance(5), 100);
    world.check();
}

/// Where inputs come through the log, and other partitions go on.
#[test]
fn on_disks_and_brokers() {
    skipped_by_an_operator(Stations::new(Disk::new(8 << 20)));
    skipped_by_an_operator(Stations::new(InMemory::new(22)));
}

pub fn skipped_by_an_operator<G: Ground>(mut all: Stations<G>) {
    let to = slot(8).partition(TOPOLOGY.account_partitions);
    all.deposit(1, 5, 10_000);
    all.until_heard(1);
    for (id, amount) in [(2, 40), (3, POISON), (4, 50)] {
        all.transfer(id, 5, 8, amount);
    }
    // Everybody has turns but for who is going to stop.
    let stops = (0..100_000).find_map(|_| {
        all.ground.settle();
        for (at, bank) in (0u32..).zip(&mut all.banks) {
            if let Err(error) = bank.turn(NOW) {
                assert_eq!(at, to, "{error}");
                return Some(error.to_string());
            }
        }
        for house in &mut all.houses {
            house.turn(NOW).unwrap();
        }
        None
    });
    let stops = stops.unwrap();
    assert!(stops.contains("poison input, matching-journal/"), "{stops}");
    let named = stops.split("--input ").nth(1).unwrap();
    let message: Message = named.split(' ').next().unwrap().parse().unwrap();

    let log = all.ground.handle();
    let takeover = Takeover {
        who: "an operator",
        now: NOW,
        reemit: false,
        watch: &(),
    };
    let (codec, seat) = (Arc::new(BankCodec), account(to));
    let opened = Partition::open(codec, seat, TOPOLOGY, &*log, &all.snapshots, takeover);
    let mut bank = opened.unwrap();
    bank.skip(&*log, message, "bug 7").unwrap();
    let position = bank.append(&*log).unwrap().unwrap();
    all.ground.settle();
    log.wait_durable(position, std::time::Duration::from_secs(30))
        .unwrap();
    all.take_over(to, false);
    all.until("what is not poison arrives", |all| all.balance(8) == 90);
    all.check();
}
