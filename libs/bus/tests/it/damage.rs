//! Damage is loud, failures are for good, and neither is mistaken for a torn tail.

use std::sync::Arc;

use prepx_bus::embedded::{Config, EmbeddedLog, OpenError, Retention, archive};
use prepx_bus::faulty::FaultyDir;
use prepx_bus::file::{Dir, LockError, RealDir};
use prepx_bus::{AppendError, Batch, FenceError, Log, ReadError, Record, Topic, TopicPartition};

use crate::engines::small;

const TO: TopicPartition = Topic::MarketData.partition(0);
const JOURNAL: TopicPartition = Topic::AccountJournal.partition(0);

fn open(dir: &Arc<FaultyDir>) -> Result<Arc<EmbeddedLog>, OpenError> {
    open_with(dir, small())
}

fn open_with(dir: &Arc<FaultyDir>, config: Config) -> Result<Arc<EmbeddedLog>, OpenError> {
    let dir: Arc<dyn Dir> = dir.clone();
    EmbeddedLog::open(dir, config)
}

fn append(log: &EmbeddedLog, payload: &[u8]) {
    let mut batch = Batch::new();
    batch.push(TO, payload);
    log.append(None, &batch).unwrap();
}

/// A log of records of `size` bytes, each flushed alone, and the disk it is on.
fn written(records: u8, size: usize) -> Arc<FaultyDir> {
    let dir = FaultyDir::new(1);
    let log = open(&dir).unwrap();
    for n in 0..records {
        append(&log, &vec![n; size]);
        log.flush().unwrap();
    }
    drop(log);
    dir.kill()
}

fn segments(dir: &FaultyDir) -> Vec<String> {
    dir.list()
        .unwrap()
        .into_iter()
        .filter(|name| name.ends_with(".seg"))
        .collect()
}

fn is_damaged(result: Result<Arc<EmbeddedLog>, OpenError>) -> bool {
    match result {
        Ok(_) => false,
        Err(OpenError::Damaged { .. }) => true,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_flipped_byte_that_was_durable_is_noticed() {
    let dir = written(3, 20);
    let name = &segments(&dir)[0];
    let (header, frame) = (36, 36 + 18 + 20);
    for at in 0..header + 3 * frame {
        dir.corrupt(name, at, 0x10);
        let last = at >= header + 2 * frame;
        match open(&dir) {
            // Nothing behind the last frame proves that it was durable: it goes as a torn one.
            Ok(log) if last => assert_eq!(log.end(TO), 2, "byte {at}"),
            result => assert!(is_damaged(result), "byte {at}"),
        }
        if last {
            break;
        }
        dir.corrupt(name, at, 0x10);
    }
}

#[test]
fn a_refused_log_is_left_as_it_was() {
    let dir = written(3, 20);
    let name = segments(&dir)[0].clone();
    dir.corrupt(&name, 50, 0xFF);
    for _ in 0..2 {
        let Err(error) = open(&dir) else {
            panic!("damage was overlooked")
        };
        let message = error.to_string();
        assert!(
            message.contains(&name) && message.contains("restore"),
            "{message}"
        );
    }
    dir.corrupt(&name, 50, 0xFF);
    assert_eq!(open(&dir).unwrap().end(TO), 3);
}

#[test]
fn damage_in_a_sealed_segment_is_found_by_reads_by_check_and_without_its_index() {
    let dir = written(12, 1_000);
    let names = segments(&dir);
    assert!(names.len() > 2);
    dir.corrupt(&names[1], 1_500, 1);
    let log = open(&dir).unwrap();
    assert!(matches!(log.read(TO, 0, 100), Ok(records) if records.len() == 1));
    let damaged = (0..12).filter(|&at| matches!(log.read(TO, at, 1), Err(ReadError::Damaged(_))));
    assert!(damaged.count() >= 1);
    assert!(matches!(log.check(), Err(ReadError::Damaged(_))));
    drop(log);
    dir.remove(&names[1].replace(".seg", ".idx")).unwrap();
    assert!(is_damaged(open(&dir)));
}

#[test]
fn a_damaged_index_is_made_again() {
    let dir = written(12, 1_000);
    for name in segments(&dir).iter().rev().skip(1) {
        dir.corrupt(&name.replace(".seg", ".idx"), 9, 1);
    }
    for _ in 0..2 {
        let log = open(&dir).unwrap();
        for at in 0..12 {
            assert_eq!(
                log.read(TO, at, 1).unwrap()[0].payload[..],
                [at as u8; 1_000]
            );
        }
        assert_eq!(log.check().unwrap(), 12);
    }
}

#[test]
fn frames_of_a_future_that_never_was_do_not_come_back() {
    let dir = FaultyDir::new(3);
    let log = open(&dir).unwrap();
    (0..3).for_each(|n| append(&log, &[n; 20]));
    log.flush().unwrap();
    drop(log);
    let dir = dir.kill();
    // The first of three frames of one sync is torn, as if the power had gone before its end.
    dir.corrupt(&segments(&dir)[0], 100, 1);
    let log = open(&dir).unwrap();
    assert_eq!(log.end(TO), 0);
    // A frame of the same length fits exactly before those that were behind the torn one.
    append(&log, &[9; 20]);
    log.flush().unwrap();
    drop(log);
    let log = open(&dir.kill()).unwrap();
    assert_eq!(log.end(TO), 1);
    assert_eq!(log.read(TO, 0, 100).unwrap()[0].payload[..], [9; 20]);
}

#[test]
fn a_missing_segment_is_damage() {
    let dir = written(12, 1_000);
    let names = segments(&dir);
    dir.remove(&names[1]).unwrap();
    dir.remove(&names[0].replace(".seg", ".idx")).unwrap();
    assert!(is_damaged(open(&dir)));
    let dir = written(12, 1_000);
    dir.remove(&segments(&dir)[1]).unwrap();
    assert!(
        is_damaged(open(&dir)),
        "an index must not hide a missing segment"
    );
}

#[test]
fn i8_a_failed_sync_ends_everything_but_reading_what_was_durable() {
    let dir = FaultyDir::new(5);
    let log = open(&dir).unwrap();
    append(&log, b"safe");
    log.flush().unwrap();
    dir.fail_sync_after(0);
    append(&log, b"lost");
    let poisoned = log.flush().unwrap_err();
    assert!(
        poisoned.to_string().contains("failed to sync"),
        "{poisoned}"
    );

    let mut batch = Batch::new();
    batch.push(TO, b"later");
    assert_eq!(
        log.append(None, &batch),
        Err(AppendError::Poisoned(poisoned.clone()))
    );
    assert_eq!(
        log.fence(JOURNAL, "x"),
        Err(FenceError::Poisoned(poisoned.clone()))
    );
    assert_eq!(log.truncate_before(TO, 1), Err(poisoned.clone()));
    assert_eq!(log.flush(), Err(poisoned.clone()));
    assert_eq!(log.watermark().failure(), Some(&poisoned));
    assert_eq!((log.end(TO), log.read(TO, 0, 100).unwrap().len()), (1, 1));
}

#[test]
fn a_full_disk_ends_the_process_and_loses_nothing_acknowledged() {
    let dir = FaultyDir::new(6);
    dir.set_capacity(10_000);
    let log = open(&dir).unwrap();
    let mut durable = 0;
    let poisoned = loop {
        append(&log, &[7; 500]);
        match log.flush() {
            Ok(_) => durable += 1,
            Err(poisoned) => break poisoned,
        }
        assert!(durable < 100, "the disk never got full");
    };
    assert!(poisoned.to_string().contains("segment"), "{poisoned}");
    let dir = dir.kill();
    dir.set_capacity(u64::MAX);
    let log = open(&dir).unwrap();
    assert!(log.end(TO) >= durable);
    append(&log, b"on it goes");
    log.flush().unwrap();
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let path = tempfile::tempdir().unwrap();
    let open = || EmbeddedLog::open(RealDir::open(path.path()).unwrap(), small());
    let log = open().unwrap();
    match open() {
        Err(OpenError::Lock(LockError::Held { holder, .. })) => assert_eq!(holder, "a test"),
        other => panic!("{:?}", other.map(|_| "opened twice")),
    }
    drop(log);
    assert!(open().is_ok());
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let dir = FaultyDir::new(0);
    for config in [
        Config {
            segment_bytes: 100,
            ..small()
        },
        Config {
            buffer_bytes: 10,
            ..small()
        },
        Config {
            buffer_bytes: 4 << 30,
            ..small()
        },
    ] {
        let dir: Arc<dyn Dir> = dir.clone();
        assert!(matches!(
            EmbeddedLog::open(dir, config),
            Err(OpenError::Config(_))
        ));
    }
}

#[test]
fn retention_gives_back_segments_that_nobody_needs_and_keeps_offsets_and_epochs() {
    let dir = FaultyDir::new(9);
    let log = open(&dir).unwrap();
    let owner = log.fence(JOURNAL, "x").unwrap();
    for n in 0..40u8 {
        let mut batch = Batch::new();
        batch.push(TO, &[n; 500]);
        batch.push(JOURNAL, &[n; 100]);
        log.append(Some(owner), &batch).unwrap();
        log.flush().unwrap();
    }
    let before = segments(&dir).len();
    log.truncate_before(TO, 40).unwrap();
    assert_eq!(segments(&dir).len(), before, "the journal still needs them");
    log.truncate_before(JOURNAL, 39).unwrap();
    assert!(segments(&dir).len() <= 2 && before > 5);
    assert_eq!(
        log.read(JOURNAL, 39, 100).unwrap()[0].payload[..],
        [39; 100]
    );
    drop(log);

    let dir = dir.crash();
    let log = open(&dir).unwrap();
    assert_eq!((log.end(TO), log.end(JOURNAL)), (40, 40));
    assert!(log.start(JOURNAL) > 0, "what is gone was said to be there");
    let mut batch = Batch::new();
    batch.push(JOURNAL, b"next");
    log.append(Some(owner), &batch).unwrap();
    log.flush().unwrap();
    assert_eq!(log.end(JOURNAL), 41);
    assert_eq!(log.fence(JOURNAL, "y").unwrap().epoch, owner.epoch + 1);
}

/// Where the segments begin, and how many records they have.
fn scanned(log: &EmbeddedLog) -> (u64, u64) {
    let mut count = 0;
    log.scan(log.first_address(), |_, _| count += 1).unwrap();
    (log.first_address(), count)
}

#[test]
fn retired_segments_are_archived_with_every_record_and_the_oldest_can_be_dropped() {
    let config = Config {
        retention: Retention::Archive,
        ..small()
    };
    let dir = FaultyDir::new(11);
    let log = open_with(&dir, config).unwrap();
    for n in 0..60u8 {
        append(&log, &[n; 500]);
        log.flush().unwrap();
    }
    log.truncate_before(TO, 60).unwrap();
    let archives = archive::list(&*dir).unwrap();
    assert!(archives.len() > 5 && segments(&dir).len() <= 1);
    let mut next = 0;
    for archived in &archives {
        let each = |to, record: Record| {
            assert_eq!((to, record.offset), (TO, next));
            assert_eq!(record.payload[..], [next as u8; 500]);
            next += 1;
        };
        archive::read(&*dir, archived, each).unwrap();
    }
    assert!(next > 50, "{next} records are in the archives");

    let bytes = archives
        .iter()
        .map(|archive| archive.size_bytes)
        .sum::<u64>();
    assert!(
        bytes < 60 * 500,
        "an archive is not smaller than what is in it"
    );
    assert_eq!(scanned(&log), (archives.last().unwrap().end, 60 - next));

    let dropped = archive::drop_before(&*dir, archives[1].base).unwrap();
    assert_eq!(dropped, archives[..1]);
    assert_eq!(archive::list(&*dir).unwrap(), archives[1..]);
    assert_eq!(archive::drop_before(&*dir, archives[1].base).unwrap(), []);

    let name = archives[1].name();
    assert!(archives.windows(2).all(|pair| pair[0].end == pair[1].base));
    let records = |archive: &archive::Archive| {
        let mut records = Vec::new();
        archive::read(&*dir, archive, |_, record| records.push(record)).map(|()| records)
    };
    let whole = records(&archives[1]).unwrap();
    // Damage may also change nothing: a match at another distance in repeated bytes, or a cut
    // behind the last block.
    let sound = |archive: &archive::Archive| match records(archive) {
        Ok(records) => records == whole,
        Err(error) => matches!(error, ReadError::Damaged(_)),
    };
    for at in 0..archives[1].size_bytes {
        dir.corrupt(&name, at as usize, 4);
        assert!(sound(&archives[1]), "byte {at}");
        dir.corrupt(&name, at as usize, 4);
        assert!(
            sound(&archive::Archive {
                size_bytes: at,
                ..archives[1]
            }),
            "cut at {at}"
        );
    }
    let cut = archive::Archive {
        size_bytes: archives[1].size_bytes / 2,
        ..archives[1]
    };
    assert!(records(&cut).is_err());
}

/// Whenever the process dies while a segment is archived, its records stay somewhere.
#[test]
fn i1_a_crash_while_archiving_loses_nothing() {
    let config = Config {
        retention: Retention::Archive,
        ..small()
    };
    for death in 1..40 {
        let dir = FaultyDir::new(death);
        let log = open_with(&dir, config.clone()).unwrap();
        for n in 0..20u8 {
            append(&log, &[n; 500]);
            log.flush().unwrap();
        }
        dir.die_after(death);
        let done = log.truncate_before(TO, 20).is_ok();
        drop(log);
        let dir = dir.crash();
        let log = open_with(&dir, config.clone()).unwrap();
        assert_eq!(log.end(TO), 20);
        let mut archived = 0;
        for archive in archive::list(&*dir).unwrap() {
            archive::read(&*dir, &archive, |_, record| archived = record.offset + 1).unwrap();
        }
        let start = log.start(TO);
        assert!(
            start <= archived,
            "death {death}: {archived}..{start} is nowhere"
        );
        assert!(!done || start > 10, "death {death}");
        log.truncate_before(TO, 20).unwrap();
        assert!(segments(&dir).len() <= 1);
    }
}
