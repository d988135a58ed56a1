//! Deciding again what was decided, on every log; what is left of it when the log has let go of inputs, or of journals.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::Log;
use prepx_bus::faulty::FaultyDir;
use prepx_stage::shadow::Shadow;
use prepx_stage::{
    ArchivePace, Archived, Archives, Archivist, Codec, Event, Keeper, Pace, Retention, Seat,
    Snapshots,
};

use crate::ground::{Disk, Ground, InMemory, NOW, Stations};
use crate::world::{TOPOLOGY, account};
use prepx_tests::toy::{BankCodec, HouseCodec, slot};

/// Transitions that were decided again, and those that were only folded. None may differ (I7).
fn again<C: Codec>(codec: C, seat: Seat, (log, snapshots): (&dyn Log, &Snapshots)) -> (u64, u64)
where
    Event<C>: Debug,
{
    let mut shadow = Shadow::open(Arc::new(codec), seat, log, snapshots, None).unwrap();
    let (mut decided, mut folded) = (0, 0);
    while let Some(again) = shadow.decide(log).unwrap() {
        assert!(again.differences.is_empty(), "I7: {:?}", again.differences);
        decided += u64::from(again.decided);
        folded += u64::from(!again.decided);
    }
    (decided, folded)
}

/// Some work for everybody, in transitions that take many inputs and in some that take one.
fn work<G: Ground>(all: &mut Stations<G>, first: i64) {
    for id in first..first + 200 {
        all.deposit(id, 5, 2);
        all.transfer(10_000 + id, 5, 8, 1);
        if id % 50 == 0 {
            all.until("a part of it is decided", |_| true);
        }
    }
    let told = all.heard.len() + all.desk.waiting();
    all.until_heard(told);
    all.until("every credit arrives", |all| {
        all.balance(8) == all.balance(5)
    });
}

#[test]
fn what_was_decided_on_a_disk_is_decided_again() {
    decided_again(Stations::new(Disk::new(8 << 20)));
}

#[test]
fn what_was_decided_on_brokers_is_decided_again() {
    for seed in 0..5 {
        decided_again(Stations::new(InMemory::new(seed)));
    }
}

pub fn decided_again<G: Ground>(mut all: Stations<G>) {
    work(&mut all, 1);
    all.gift(5_000, 7);
    work(&mut all, 201);
    all.take_over(slot(5).partition(TOPOLOGY.account_partitions), false);
    work(&mut all, 401);
    let log = all.ground.handle();
    all.check_on(&log);
    let from = (&*log, &all.snapshots);
    for bank in &all.banks {
        let (seat, seq) = (bank.partition().seat(), bank.partition().head().seq);
        assert_eq!(again(BankCodec, seat, from), (seq, 0), "{seat}");
    }
    for house in &all.houses {
        let (seat, seq) = (house.partition().seat(), house.partition().head().seq);
        assert_eq!(again(HouseCodec, seat, from), (seq, 0), "{seat}");
    }

    let seat = account(slot(5).partition(TOPOLOGY.account_partitions));
    let seq = all.banks[seat.partition as usize].partition().head().seq;
    let commands = seat.commands();
    let half = (log.start(commands) + log.end(commands)) / 2;
    log.truncate_before(commands, half).unwrap();
    let (decided, folded) = again(BankCodec, seat, from);
    assert!(
        decided > 0 && folded > 0 && decided + folded == seq,
        "{decided} and {folded} of {seq}"
    );
}

#[test]
fn what_the_log_has_let_go_of_is_read_from_the_archive() {
    archived(Stations::new(Disk::new(8 << 20)));
    archived(Stations::new(InMemory::new(7)));
}

pub fn archived<G: Ground>(mut all: Stations<G>) {
    let seat = account(slot(5).partition(TOPOLOGY.account_partitions));
    let (log, archives) = (all.ground.handle(), Archives::new(FaultyDir::new(3)));
    let retention = Retention::of_journals(Arc::clone(&log));
    let pace = ArchivePace {
        events: 1,
        keep: Duration::from_secs(60),
        ..ArchivePace::default()
    };
    work(&mut all, 1);
    all.check_on(&log);
    let opened = Archivist::open(seat, &*log, archives.clone(), &retention, pace, NOW);
    let mut archivist = opened.unwrap();
    archivist.look(&*log, &retention, 1_000, NOW).unwrap();
    let (codec, snapshots) = (Arc::new(BankCodec), all.snapshots.clone());
    let keeper = Keeper::open(codec, seat, &*log, snapshots, &retention, Pace::default());
    let mut keeper = keeper.unwrap();
    for _ in 0..2 {
        keeper.snapshot(&*log, &retention).unwrap();
    }
    let later = NOW.plus_us(61_000_000);
    archivist.look(&*log, &retention, 1_000, later).unwrap();
    assert!(log.start(seat.journal()) > 0, "it is let go of");
    work(&mut all, 201);
    let whole = Archived::of(Arc::clone(&log), Some(&archives));
    all.check_on(&whole);

    let seq = all.banks[seat.partition as usize].partition().head().seq;
    let (decided, folded) = again(BankCodec, seat, (&*log, &all.snapshots));
    assert!(
        decided > 0 && decided < seq && folded == 0,
        "from the snapshot on: {decided} and {folded} of {seq}"
    );
    assert_eq!(again(BankCodec, seat, (&*whole, &all.snapshots)), (seq, 0));
}
