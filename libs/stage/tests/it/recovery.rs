//! Crashes, takeovers, lost outputs, damaged snapshots.

use std::sync::Arc;

use prepx_bus::{AppendError, Batch, Log, ReadError, Topic};
use prepx_domain::Micros;
use prepx_stage::lane::Run;
use prepx_stage::{
    Codec, Error, FoldError, Keeper, Pace, Parcel, Partition, Retention, Seat, Snapshots, Takeover,
};
use prepx_trace::Traces;

use crate::world::{TOPOLOGY, World, account, bytes_of, matching};
use prepx_tests::toy::{BankCodec, BankInput, HouseCodec, slot};

fn takeover(who: &str, reemit: bool) -> Takeover<'_> {
    let now = Micros(1_800_000_000_000_000);
    Takeover {
        who,
        now,
        reemit,
        watch: &(),
    }
}

fn open_bank(world: &World, partition: u32) -> Result<Partition<BankCodec>, Error> {
    let snapshots = Snapshots::new(world.snapshot_dir.clone());
    let (seat, takeover) = (account(partition), takeover("a second owner", false));
    Partition::open(
        Arc::new(BankCodec),
        seat,
        TOPOLOGY,
        &*world.log,
        &snapshots,
        takeover,
    )
}

#[test]
fn what_was_durable_is_there_after_a_crash_and_what_was_under_way_arrives() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        let mut told = Vec::new();
        for id in 1..=30i64 {
            world.deposit(id, id % 7, 100);
            world.transfer(100 + id, id % 7, (id * 3) % 7, 60);
            let decided = world.run();
            // The disk gets some of it: what is acknowledged is what a flush has covered.
            if (seed + id as u64).is_multiple_of(3) {
                world.flush();
                told.extend(decided);
            }
            if (seed * 31 + id as u64).is_multiple_of(7) {
                world.crash();
                world.run();
            }
        }
        world.crash();
        world.run();
        world.check();
        let deposited: i64 = world
            .pipeline
            .accounts()
            .flat_map(|bank| bank.machine().decided.iter())
            .filter(|&(&id, _)| id < 100)
            .map(|_| 100)
            .sum();
        assert_eq!(world.total(), deposited, "I3, seed {seed}");
        told.sort_unstable();
        let (first, second): (Vec<_>, Vec<_>) = told.iter().partition(|(id, _)| *id < 100);
        let sorted = |mut replies: Vec<(i64, bool)>| {
            replies.sort_unstable();
            replies
        };
        for &(id, _) in &first {
            world.deposit(id, id % 7, 100);
        }
        assert_eq!(sorted(world.run()), first, "I1, seed {seed}");
        for &(id, _) in &second {
            world.transfer(id, (id - 100) % 7, ((id - 100) * 3) % 7, 60);
        }
        assert_eq!(sorted(world.run()), second, "I1, seed {seed}");
        assert_eq!(world.total(), deposited, "I2, seed {seed}");
    }
}

#[test]
fn a_fenced_owner_appends_nothing_more() {
    let mut world = World::new(11);
    world.deposit(1, 5, 100);
    world.run();
    world.flush();
    let mut successor = open_bank(&world, slot(5).partition(4)).unwrap();
    assert_eq!(successor.machine().balances[&5], 100);
    world.deposit(2, 5, 100);
    let error = world.pipeline.turn().unwrap_err();
    assert!(
        matches!(error, Error::Append(AppendError::Fenced { .. })),
        "{error}"
    );
    successor.append(&*world.log).unwrap().unwrap();
    assert_eq!(successor.head().epoch, 2);
}

/// The same journal on another log, without anything that was sent.
fn bare_copy(world: &World, seat: Seat) -> World {
    let bare = World::new(13);
    let owner = bare.log.fence(seat.journal(), "a copy").unwrap();
    for record in world.log.read(seat.journal(), 0, usize::MAX).unwrap() {
        let mut batch = Batch::new();
        batch.push(seat.journal(), &record.payload);
        bare.log.append(Some(owner), &batch).unwrap();
    }
    bare.flush();
    bare
}

fn reopen(world: &World, seat: Seat, reemit: bool) {
    let snapshots = Snapshots::new(world.snapshot_dir.clone());
    let (codec, takeover) = (Arc::new(BankCodec), takeover("the new owner", reemit));
    let log = &*world.log;
    let mut bank = Partition::open(codec, seat, TOPOLOGY, log, &snapshots, takeover).unwrap();
    bank.append(log).unwrap();
    world.flush();
}

/// Number and bytes of every message to a clearing house.
fn sent(world: &World, house: Seat) -> Vec<(u64, Vec<u8>)> {
    let records = world.log.read(house.lanes(), 0, usize::MAX).unwrap();
    let messages = |payload: &[u8]| -> Vec<(u64, Vec<u8>)> {
        let run = Run::decode(payload).unwrap();
        let own = |message: Result<(u64, &[u8]), _>| message.map(|(n, m)| (n, m.to_vec()));
        run.messages()
            .map(|message| own(message).unwrap())
            .collect()
    };
    records
        .iter()
        .flat_map(|record| messages(&record.payload))
        .collect()
}

/// What a clearing house has cleared when it has read everything that was sent to it.
fn cleared_from_the_log(world: &World, seat: Seat) -> i64 {
    let snapshots = Snapshots::new(world.snapshot_dir.clone());
    let (codec, takeover) = (Arc::new(HouseCodec), takeover("a receiver", false));
    let log = &*world.log;
    let mut house = Partition::open(codec, seat, TOPOLOGY, log, &snapshots, takeover).unwrap();
    house.begin(log, takeover.now).unwrap();
    for record in world.log.read(seat.lanes(), 0, usize::MAX).unwrap() {
        let run = Run::decode(&record.payload).unwrap();
        let input = |message: Result<(u64, &[u8]), _>| {
            HouseCodec
                .decode_input(Topic::OrderProcessing, message.unwrap().1)
                .unwrap()
        };
        house
            .take_parcel(&Parcel {
                source: run.source,
                from: seat.lanes(),
                offset: record.offset,
                first: run.first,
                inputs: run.messages().map(input).collect(),
                traces: Traces::default(),
            })
            .unwrap();
    }
    house.machine().cleared
}

#[test]
fn a_new_owner_sends_again_what_may_not_have_left_and_the_receiver_drops_repeats() {
    let mut world = World::new(12);
    let (bank, house) = (
        account(slot(5).partition(4)),
        matching(slot(9).partition(3)),
    );
    world.deposit(1, 5, 1_000);
    for id in 2..20 {
        world.transfer(id, 5, 8, id);
    }
    world.run();
    world.flush();
    let once = sent(&world, house);
    assert_eq!(once.len(), 18);

    let bare = bare_copy(&world, bank);
    reopen(&bare, bank, false);
    assert_eq!(sent(&bare, house), [], "nothing had left");
    reopen(&bare, bank, true);
    assert_eq!(
        sent(&bare, house),
        once,
        "what follows from the journal is what had been sent"
    );
    reopen(&bare, bank, true);
    assert_eq!(sent(&bare, house), [once.clone(), once].concat());
    assert_eq!(cleared_from_the_log(&bare, house), (2..20).sum::<i64>());
}

#[test]
fn a_gap_in_a_lane_stops_the_receiver() {
    let world = World::new(14);
    let mut bank = open_bank(&world, 0).unwrap();
    let parcel = Parcel {
        source: matching(0).journal(),
        from: account(0).lanes(),
        offset: 0,
        first: 2,
        inputs: vec![BankInput::Credit { to: 1, amount: 1 }],
        traces: Traces::default(),
    };
    let error = bank.take_parcel(&parcel).unwrap_err();
    assert_eq!(
        error.to_string(),
        "account-journal/0 has stopped: the lane from matching-journal/0 has a gap: 2 follows 0"
    );
}

#[test]
fn a_journal_that_is_not_what_was_decided_is_refused() {
    let mut world = World::new(15);
    world.deposit(1, 5, 100);
    world.run();
    world.flush();
    let journal = account(slot(5).partition(4)).journal();
    let mut record = world.log.read(journal, 0, usize::MAX).unwrap()[1]
        .payload
        .to_vec();
    // The sequence number makes it the next transition, the amount makes it another.
    record[2] += 1;
    let at = record.len() - 8 - 16;
    record[at] ^= 1;
    let owner = world.log.fence(journal, "a forger").unwrap();
    let mut batch = Batch::new();
    batch.push(journal, &record);
    world.log.append(Some(owner), &batch).unwrap();
    world.flush();
    match open_bank(&world, journal.partition) {
        Err(Error::BadRecord(bad)) => assert!(matches!(bad.source, FoldError::Hash { seq: 3, .. })),
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn snapshots_are_folded_from_and_a_damaged_one_falls_back_to_the_one_before() {
    let mut world = World::new(16);
    let at = slot(5).partition(4);
    let retention = Retention::new(world.log.clone());
    let snapshots = Snapshots::new(world.snapshot_dir.clone());
    let pace = Pace {
        events: 10,
        log_bytes: u64::MAX,
    };
    let codec = Arc::new(BankCodec);
    let mut keeper = Keeper::open(
        codec,
        account(at),
        &*world.log,
        snapshots.clone(),
        &retention,
        pace,
    )
    .unwrap();
    for id in 1..=3i64 {
        for _ in 0..10 {
            world.deposit(id, 5, 1);
            world.run();
        }
        world.flush();
        let events = world.pipeline.account_partition(slot(5)).head().events;
        assert!(keeper.is_due(&*world.log, events));
        keeper.snapshot(&*world.log, &retention).unwrap();
        assert!(!keeper.is_due(&*world.log, events));
    }
    world.deposit(4, 5, 1);
    world.run();
    world.flush();
    let live = bytes_of(
        &BankCodec,
        world.pipeline.account_partition(slot(5)).machine(),
    );
    assert_eq!(
        world.log.start(account(at).journal()),
        21,
        "behind the older of the two"
    );
    assert_eq!(world.log.start(account(at).commands()), 20);

    let name = |generation| format!("account-journal-{at}-{generation:012}");
    let load =
        |world: &World| open_bank(world, at).map(|bank| bytes_of(&BankCodec, bank.machine()));
    assert_eq!(load(&world).unwrap(), live);
    world.snapshot_dir.corrupt(&name(3), 60, 4);
    assert_eq!(
        load(&world).unwrap(),
        live,
        "from the second and the journal since"
    );

    world.snapshot_dir.corrupt(&name(2), 60, 4);
    match load(&world).unwrap_err() {
        Error::Read(ReadError::Truncated {
            wanted: 0,
            start: 21,
            ..
        }) => {}
        other => panic!("{other}"),
    }
}

#[test]
fn a_snapshot_that_was_found_damaged_is_not_counted_as_one_to_fall_back_to() {
    let mut world = World::new(17);
    let at = slot(5).partition(4);
    let retention = Retention::new(world.log.clone());
    let snapshots = Snapshots::new(world.snapshot_dir.clone());
    let (codec, pace) = (Arc::new(BankCodec), Pace::default());
    let mut keeper =
        Keeper::open(codec, account(at), &*world.log, snapshots, &retention, pace).unwrap();
    let name = |generation| format!("account-journal-{at}-{generation:012}");
    let mut go_on = |world: &mut World, id| {
        world.deposit(id, 5, 1);
        world.run();
        world.flush();
        keeper.snapshot(&*world.log, &retention).unwrap();
    };
    go_on(&mut world, 1);
    go_on(&mut world, 2);
    world.snapshot_dir.corrupt(&name(2), 60, 4);
    go_on(&mut world, 3);
    world.snapshot_dir.corrupt(&name(3), 60, 4);
    let bank = open_bank(&world, at).unwrap();
    assert_eq!(
        bank.machine().balances[&5],
        3,
        "from the first and the journal since"
    );
}
