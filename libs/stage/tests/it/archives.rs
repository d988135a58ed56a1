//! Journals in object storage: what the log lets go of is there, whatever the store does, and is folded like the rest.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::faulty::FaultyDir;
use prepx_bus::{Log, ReadError, Record};
use prepx_objects::Objects;
use prepx_stage::{
    ArchivePace, Archived, Archives, Archivist, Error, Keeper, Pace, Partition, Retention,
    Snapshots, Takeover,
};

use crate::ground::{Ground, InMemory, NOW, Stations};
use crate::world::{TOPOLOGY, World, account, bytes_of};
use prepx_tests::toy::{BankCodec, slot};

const OF: i64 = 5;
const PACE: ArchivePace = ArchivePace {
    events: 10,
    age: Duration::from_secs(900),
    keep: Duration::from_secs(3_600),
};

fn at() -> u32 {
    slot(OF).partition(TOPOLOGY.account_partitions)
}

fn snapshots(world: &World) -> Snapshots {
    Snapshots::new(world.snapshot_dir.clone())
}

/// A bank's journal with everything that holds on to it.
struct Kept {
    world: World,
    store: Arc<FaultyDir>,
    retention: Retention,
    keeper: Keeper<BankCodec>,
    archivist: Archivist,
    paid: i64,
}

impl Kept {
    fn new(seed: u64) -> Kept {
        Kept::with(seed, FaultyDir::new(seed), |store| store)
    }

    fn with(
        seed: u64,
        store: Arc<FaultyDir>,
        behind: impl FnOnce(Arc<dyn Objects>) -> Arc<dyn Objects>,
    ) -> Kept {
        let world = World::new(seed);
        let retention = Retention::of_journals(world.log.clone());
        let archives = Archives::new(behind(store.clone()));
        let (log, seat) = (&*world.log, account(at()));
        let archivist = Archivist::open(seat, log, archives, &retention, PACE, NOW).unwrap();
        let (codec, snapshots) = (Arc::new(BankCodec), snapshots(&world));
        let pace = Pace::default();
        let keeper = Keeper::open(codec, seat, log, snapshots, &retention, pace).unwrap();
        Kept {
            world,
            store,
            retention,
            keeper,
            archivist,
            paid: 0,
        }
    }

    fn archives(&self) -> Archives {
        Archives::new(self.store.clone())
    }

    /// One transition each.
    fn pay(&mut self, count: i64) {
        for _ in 0..count {
            self.paid += 1;
            self.world.deposit(self.paid, OF, 1);
            self.world.run();
        }
        self.world.flush();
    }

    fn look(&mut self, seconds: i64) -> Result<(), prepx_stage::archive::Error> {
        let (log, now) = (&*self.world.log, NOW.plus_us(seconds * 1_000_000));
        let events = self.paid as u64;
        self.archivist.look(log, &self.retention, events, now)
    }

    /// Two snapshots: nothing but the archive holds on to the journal.
    fn snapshot_twice(&mut self) {
        for _ in 0..2 {
            self.keeper
                .snapshot(&*self.world.log, &self.retention)
                .unwrap();
        }
    }

    fn start(&self) -> u64 {
        self.world.log.start(account(at()).journal())
    }

    fn open(&self, log: &dyn Log) -> Result<Partition<BankCodec>, Error> {
        let takeover = Takeover {
            who: "a second owner",
            now: NOW,
            reemit: false,
            watch: &(),
        };
        let (codec, snapshots) = (Arc::new(BankCodec), snapshots(&self.world));
        Partition::open(codec, account(at()), TOPOLOGY, log, &snapshots, takeover)
    }

    fn archived(&self) -> Arc<dyn Log> {
        Archived::of(self.world.log.clone(), Some(&self.archives()))
    }
}

/// Every record of a journal that a log has or knows where to find.
fn all(log: &dyn Log) -> Vec<Record> {
    let (journal, mut records) = (account(at()).journal(), Vec::<Record>::new());
    loop {
        let next = records.last().map_or(0, |last| last.offset + 1);
        let read = log.read(journal, next, 1_000).unwrap();
        if read.is_empty() {
            return records;
        }
        records.extend(read);
    }
}

#[test]
fn the_log_lets_go_of_what_is_archived_snapshotted_and_old_enough_and_nothing_is_lost() {
    let mut kept = Kept::new(41);
    kept.pay(9);
    kept.look(0).unwrap();
    assert_eq!(kept.archivist.next_offset(), 0, "a segment is not due");
    kept.pay(6);
    kept.look(1).unwrap();
    assert_eq!(kept.archivist.next_offset(), 16);
    kept.pay(3);
    kept.look(900).unwrap();
    assert_eq!(
        kept.archivist.next_offset(),
        16,
        "all was archived a moment ago"
    );
    kept.look(901).unwrap();
    assert_eq!(kept.archivist.next_offset(), 19);
    let before = all(&*kept.world.log);

    kept.look(3_599).unwrap();
    kept.snapshot_twice();
    assert_eq!(kept.start(), 0, "somebody may be behind by so much");
    kept.look(3_600).unwrap();
    assert_eq!(kept.start(), 19);
    kept.pay(1);
    let archived = kept.archived();
    assert_eq!(archived.start(account(at()).journal()), 0);
    let after = all(&*archived);
    assert!(after[..19] == before && after.len() == 20);
}

#[test]
fn a_partition_without_a_good_snapshot_is_folded_from_the_archive() {
    let mut kept = Kept::new(42);
    kept.pay(20);
    kept.look(0).unwrap();
    kept.snapshot_twice();
    kept.look(3_600).unwrap();
    kept.pay(5);
    for generation in 1..=2 {
        let name = format!("account-journal-{}-{generation:012}", at());
        kept.world.snapshot_dir.corrupt(&name, 60, 4);
    }
    let without = kept.open(&*kept.world.log).err().unwrap();
    assert!(
        matches!(without, Error::Read(ReadError::Truncated { .. })),
        "{without}"
    );
    let bank = kept.open(&*kept.archived()).unwrap();
    let live = kept.world.pipeline.account_partition(slot(OF)).machine();
    assert!(
        bytes_of(&BankCodec, bank.machine()) == bytes_of(&BankCodec, live),
        "I1"
    );
}

#[test]
fn i1_a_store_that_fails_costs_nothing_and_is_tried_again() {
    let mut kept = Kept::new(43);
    kept.pay(20);
    kept.store.set_capacity(100);
    kept.look(0).unwrap_err();
    kept.snapshot_twice();
    kept.store.set_capacity(u64::MAX);
    kept.look(9).unwrap();
    assert_eq!(
        kept.archivist.next_offset(),
        0,
        "it is not asked all the time"
    );
    assert_eq!(kept.start(), 0);
    kept.look(10).unwrap();
    kept.look(3_600).unwrap();
    assert_eq!(kept.start(), 21);
    assert_eq!(all(&*kept.archived()).len(), 21);
}

/// A store that keeps less than it was given, and says nothing.
struct Forgetful(Arc<dyn Objects>);

impl Objects for Forgetful {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.put(name, &bytes[..bytes.len() / 2])
    }

    fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0.get(name)
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        self.0.list(prefix)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn settle(&self) -> io::Result<()> {
        self.0.settle()
    }
}

#[test]
fn i1_what_does_not_read_back_is_not_let_go_of_and_archived_anew() {
    let store = FaultyDir::new(44);
    let mut kept = Kept::with(44, store, |store| Arc::new(Forgetful(store)));
    kept.pay(20);
    kept.snapshot_twice();
    let error = kept.look(0).unwrap_err().to_string();
    assert!(error.contains("does not read back"), "{error}");
    assert_eq!(kept.start(), 0);
    // Whoever comes next does not believe it either.
    let (log, archives) = (&*kept.world.log, kept.archives());
    let next = Archivist::open(account(at()), log, archives, &kept.retention, PACE, NOW);
    kept.archivist = next.unwrap();
    assert_eq!(kept.archivist.next_offset(), 0);
    kept.look(0).unwrap();
    kept.look(3_600).unwrap();
    assert_eq!((kept.start(), all(&*kept.archived()).len()), (21, 21));
}

#[test]
fn another_owner_goes_on_where_the_last_has_ended_and_one_of_two_may_be_damaged() {
    let mut kept = Kept::new(45);
    kept.pay(20);
    let (log, archives) = (&*kept.world.log, kept.archives());
    let open = || {
        Archivist::open(
            account(at()),
            log,
            archives.clone(),
            &kept.retention,
            PACE,
            NOW,
        )
    };
    let mut stale = open().unwrap();
    kept.look(0).unwrap();
    kept.pay(5);
    let (log, retention) = (&*kept.world.log, &kept.retention);
    stale.look(log, retention, 25, NOW).unwrap();
    let journal = account(at()).journal();
    let segments = kept.archives().segments(journal).unwrap();
    let spans = segments.iter().map(|segment| (segment.first, segment.next));
    assert_eq!(spans.collect::<Vec<_>>(), [(0, 21), (0, 26)]);
    let next = Archivist::open(account(at()), log, kept.archives(), retention, PACE, NOW);
    assert_eq!(next.unwrap().next_offset(), 26);
    kept.snapshot_twice();
    kept.look(3_600).unwrap();
    let names = Objects::list(&*kept.store, "account-journal-").unwrap();
    kept.store.corrupt(&names[0], 30, 4);
    assert_eq!(all(&*kept.archived()).len(), 26);
    kept.store.corrupt(&names[1], 30, 4);
    let damaged = kept.archived().read(journal, 0, 1_000).unwrap_err();
    assert!(matches!(damaged, ReadError::Damaged(_)), "{damaged}");
}

/// Where offsets have holes, and a record of nobody's at the end.
#[test]
fn a_journal_on_brokers_is_archived_whole() {
    archived_whole(Stations::new(InMemory::new(46)));
}

pub fn archived_whole<G: Ground>(mut stations: Stations<G>) {
    let log = stations.ground.handle();
    let retention = Retention::of_journals(Arc::clone(&log));
    let archives = Archives::new(FaultyDir::new(46));
    let (journal, codec) = (account(at()).journal(), Arc::new(BankCodec));
    let open = |archives| Archivist::open(account(at()), &*log, archives, &retention, PACE, NOW);
    let mut archivist = open(archives.clone()).unwrap();
    for id in 1..=30 {
        stations.deposit(id, OF, 1);
        stations.until_heard(id as usize);
        archivist.look(&*log, &retention, id as u64, NOW).unwrap();
        if id % 15 == 0 {
            stations.take_over(at(), false);
            archivist = open(archives.clone()).unwrap();
        }
    }
    let sum = |all: &Stations<G>| all.balance(OF) == 30;
    stations.until("the last owner has all", sum);
    let before = all(&*log);
    let later = |seconds: i64| NOW.plus_us(seconds * 1_000_000);
    archivist
        .look(&*log, &retention, 100, later(1_000))
        .unwrap();
    let mut found = Vec::<Record>::new();
    for segment in archives.segments(journal).unwrap() {
        let next = found.last().map_or(0, |last| last.offset + 1);
        assert_eq!(next, segment.first);
        found.extend(archives.read(&segment).unwrap());
    }
    assert!(found.starts_with(&before), "I1");

    let (snapshots, pace) = (stations.snapshots.clone(), Pace::default());
    let keeper = Keeper::open(codec, account(at()), &*log, snapshots, &retention, pace);
    let mut keeper = keeper.unwrap();
    for _ in 0..2 {
        keeper.snapshot(&*log, &retention).unwrap();
    }
    archivist
        .look(&*log, &retention, 100, later(4_000))
        .unwrap();
    assert!(
        log.start(journal) > 0,
        "the log keeps what nobody needs there"
    );
    let whole = all(&*Archived::of(log, Some(&archives)));
    assert!(whole.starts_with(&before), "I1");
    stations.deposit(31, OF, 1);
    stations.take_over(at(), false);
    stations.until("a new owner goes on", |all| all.balance(OF) == 31);
}
