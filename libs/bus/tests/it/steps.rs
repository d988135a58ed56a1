//! One short history, with the process dying at every single change to the disk, under many fates
//! of what was not synced; the log is opened again and lives through a second death.

use std::sync::Arc;

use prepx_bus::embedded::{EmbeddedLog, OpenError};
use prepx_bus::faulty::FaultyDir;
use prepx_bus::file::Dir;
use prepx_bus::{Batch, Log, Poisoned, Topic, TopicPartition};

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

/// Opens, takes over, appends over two segments with a sync for each pair, and cleans up behind.
fn live(dir: &Arc<FaultyDir>, told: &mut Told) -> Result<(), OpenError> {
    let log = open(dir)?;
    check(&log, told);
    told.accepted = log.end(JOURNAL);
    // A log that fails tells so and the process ends: for this history that is a death as any.
    let _: Result<(), Poisoned> = work(&log, told);
    Ok(())
}

fn work(log: &EmbeddedLog, told: &mut Told) -> Result<(), Poisoned> {
    let Ok(owner) = log.fence(JOURNAL, "a test") else {
        return Ok(());
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

#[test]
fn i1_i2_a_death_at_any_step_loses_nothing_that_was_told() {
    let mut deaths = 0;
    for fate in 0..80 {
        for death in 1.. {
            let mut told = Told::default();
            let dir = FaultyDir::new(fate);
            dir.die_after(death);
            let first = live(&dir, &mut told);
            let died = dir.list().is_err();
            deaths += u64::from(died);
            let reborn = |dir: &FaultyDir, even: bool| match even {
                true => dir.crash(),
                false => dir.kill(),
            };
            let dir = reborn(&dir, fate % 3 > 0);
            // The second life dies where the first did, counted from its own beginning.
            dir.die_after(death);
            let second = live(&dir, &mut told);
            let dir = reborn(&dir, fate % 2 > 0);
            live(&dir, &mut told).unwrap_or_else(|error| panic!("{fate}, {death}: {error}"));
            for result in [first, second] {
                assert!(
                    matches!(result, Ok(()) | Err(OpenError::Io(_))),
                    "{fate}, {death}"
                );
            }
            if !died {
                break;
            }
        }
    }
    assert!(deaths > 80 * 20, "the history has only {deaths} steps");
}
