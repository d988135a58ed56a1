//! One short history, with the process dying at every single change to the disk, under many fates
//! of what was not synced; the log is opened again and lives through a second death.

use std::sync::Arc;

use prepx_bus::embedded::{EmbeddedLog, OpenError};
use prepx_bus::faulty::FaultyDir;
use prepx_bus::file::Dir;
use prepx_bus::{Batch, FenceError, Log, Poisoned, Topic, TopicPartition};

use crate::engines::small;

const JOURNAL: TopicPartition = Topic::MatchingJournal.partition(0);
const OUTPUT: TopicPartition = Topic::MarketData.partition(0);

/// What the outside was told before the process died.
#[derive(Default)]
struct Told {
    epoch: u32,
    durable: u64,
    accepted: u64,
}

fn open(dir: &Arc<FaultyDir>) -> Result<Arc<EmbeddedLog>, OpenError> {
    let dir: Arc<dyn Dir> = dir.clone();
    EmbeddedLog::open(dir, small())
}

/// Opens, takes over, appends over two segments with a sync for each pair, and cleans up behind;
/// whether it got to its end.
fn live(dir: &Arc<FaultyDir>, told: &mut Told) -> Result<bool, OpenError> {
    let log = open(dir)?;
    check(&log, told);
    // What can be read counts as told: whoever reads it may act on it (I8).
    told.durable = log.end(JOURNAL);
    told.accepted = told.durable;
    Ok(work(&log, told).is_ok())
}

fn work(log: &EmbeddedLog, told: &mut Told) -> Result<(), Poisoned> {
    let owner = match log.fence(JOURNAL, "a test") {
        Err(FenceError::Poisoned(poisoned)) => return Err(poisoned),
        owner => owner.unwrap(),
    };
    assert!(owner.epoch > told.epoch, "{owner:?} after {}", told.epoch);
    told.epoch = owner.epoch;
    for _ in 0..6 {
        for _ in 0..2 {
            let mut batch = Batch::new();
            batch.push(JOURNAL, &told.accepted.to_le_bytes());
            batch.push(OUTPUT, &[told.accepted as u8; 500]);
            if log.append(Some(owner), &batch).is_ok() {
                told.accepted += 1;
            }
        }
        log.flush()?;
        told.durable = told.accepted;
    }
    log.truncate_before(OUTPUT, told.durable - 1)?;
    log.truncate_before(JOURNAL, told.durable - 1)
}

fn check(log: &EmbeddedLog, told: &Told) {
    let end = log.end(JOURNAL);
    assert!(
        (told.durable..=told.accepted).contains(&end),
        "{end} of {}",
        told.accepted
    );
    assert_eq!(log.end(OUTPUT), end, "I2: a batch came apart");
    for (partition, size) in [(JOURNAL, 8), (OUTPUT, 500)] {
        for at in log.start(partition)..end {
            let records = log.read(partition, at, 1).unwrap_or_default();
            // A process that is about to die cannot read; then there is nothing to compare.
            let Some(record) = records.first() else {
                continue;
            };
            assert_eq!((record.offset, record.payload.len()), (at, size));
            assert_eq!(record.payload[0], at as u8);
        }
    }
}

/// How a life ends: at a change to the disk, or with a sync that fails.
fn doom(dir: &FaultyDir, by_sync: bool, step: u64) {
    match by_sync {
        true => dir.fail_sync_after(step - 1),
        false => dir.die_after(step),
    }
}

/// How the disk is found after it.
fn reborn(dir: &FaultyDir, power_was_lost: bool) -> Arc<FaultyDir> {
    match power_was_lost {
        true => dir.crash(),
        false => dir.kill(),
    }
}

/// Two lives that end at the given steps and one that must not; whether the first was complete.
fn lives(fate: u64, first: u64, second: u64) -> bool {
    let mut told = Told::default();
    let mut life = |dir: &Arc<FaultyDir>| match live(dir, &mut told) {
        Ok(complete) => complete,
        Err(OpenError::Io(_)) => false,
        Err(error) => panic!("fate {fate}, deaths {first} and {second}: {error}"),
    };
    let dir = FaultyDir::new(fate);
    doom(&dir, fate.is_multiple_of(5), first);
    let complete = life(&dir);
    let dir = reborn(&dir, fate.is_multiple_of(2));
    doom(&dir, fate.is_multiple_of(7), second);
    life(&dir);
    let dir = reborn(&dir, !fate.is_multiple_of(3));
    assert!(
        life(&dir),
        "fate {fate}, deaths {first} and {second}: the last life was not whole"
    );
    complete
}

#[test]
fn i1_i2_a_death_at_any_step_loses_nothing_that_was_told() {
    let mut runs = 0;
    for fate in 0..200 {
        for first in 1.. {
            let second = 1 + (first * 7 + fate) % 40;
            runs += 1;
            if lives(fate, first, second) {
                break;
            }
        }
    }
    assert!(runs > 200 * 20, "the history has only {runs} steps");
}
