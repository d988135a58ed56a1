//! The log with its writer: many appenders, followers and waiters at once.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use prepx_bus::embedded::{Config, EmbeddedLog, spawn_writer};
use prepx_bus::faulty::FaultyDir;
use prepx_bus::file::{Dir, RealDir};
use prepx_bus::{AppendError, Batch, Log, Position, Progress, Topic, TopicPartition, WaitError};

const LONG: Duration = Duration::from_secs(60);
const SHARED: TopicPartition = Topic::TradingCommands.partition(0);

fn config() -> Config {
    Config {
        segment_bytes: 256 << 10,
        buffer_bytes: 64 << 10,
        batch_bytes_max: 16 << 10,
        tail_bytes: 32 << 10,
        holder: "a test".into(),
        ..Config::default()
    }
}

/// Appends, and when the buffer is full waits for it to move, as callers do.
fn append(log: &dyn Log, batch: &Batch) -> Position {
    loop {
        let durable = log.durable();
        match log.append(None, batch) {
            Ok(position) => return position,
            Err(AppendError::Full { .. }) => {
                log.wait_durable(Position(durable.0 + 1), LONG).unwrap();
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn appenders_and_followers_agree_whatever_the_threads_do() {
    const APPENDERS: u32 = 4;
    const EACH: u32 = 3_000;
    let path = tempfile::tempdir().unwrap();
    let open = || EmbeddedLog::open(RealDir::open(path.path()).unwrap(), config()).unwrap();
    let log = open();
    let writer = spawn_writer(Arc::clone(&log)).unwrap();
    thread::scope(|scope| {
        for appender in 0..APPENDERS {
            let log = &log;
            scope.spawn(move || {
                let mut batch = Batch::new();
                let mut last = Position(0);
                for n in 0..EACH {
                    batch.clear();
                    let payload = [appender.to_le_bytes(), n.to_le_bytes()].concat();
                    batch.push(SHARED, &payload);
                    batch.push(Topic::MarketData.partition(appender), &payload);
                    let position = append(&**log, &batch);
                    assert!(position > last);
                    last = position;
                }
                log.wait_durable(last, LONG).unwrap();
            });
        }
        scope.spawn(|| follow(&*log, u64::from(APPENDERS * EACH)));
    });
    writer.stop().unwrap();
    log.check().unwrap();
    drop(log);
    let log = open();
    follow(&*log, u64::from(APPENDERS * EACH));
    for appender in 0..APPENDERS {
        assert_eq!(
            log.end(Topic::MarketData.partition(appender)),
            u64::from(EACH)
        );
    }
}

/// Reads the shared partition to `end` while it grows; each appender's records are in order.
fn follow(log: &dyn Log, end: u64) {
    let (mut at, mut next) = (0, [0u32; 8]);
    while at < end {
        let durable = log.durable();
        let records = log.read(SHARED, at, 8_000).unwrap();
        if records.is_empty() {
            log.wait_durable(Position(durable.0 + 1), LONG).unwrap();
        }
        for record in records {
            assert_eq!(record.offset, at);
            let number = |from: usize| {
                u32::from_le_bytes(record.payload[from..from + 4].try_into().unwrap())
            };
            let expected = &mut next[number(0) as usize];
            assert_eq!(number(4), *expected);
            *expected += 1;
            at += 1;
        }
    }
}

#[test]
fn a_record_from_the_disk_keeps_nothing_else_in_memory() {
    let dir: Arc<dyn Dir> = FaultyDir::new(0);
    let log = EmbeddedLog::open(dir, config()).unwrap();
    let writer = spawn_writer(Arc::clone(&log)).unwrap();
    let mut batch = Batch::new();
    for number in 0..40u64 {
        batch.clear();
        batch.push(SHARED, &number.to_le_bytes());
        batch.push(Topic::MarketData.partition(0), &[7; 12 << 10]);
        append(&*log, &batch);
    }
    writer.stop().unwrap();
    // The newest are shared with the tail in memory.
    let records = log.read(SHARED, 0, 1 << 20).unwrap();
    assert_eq!(records.len(), 40);
    let alone = records.iter().filter(|record| record.payload.is_unique());
    assert!(alone.count() >= 36);
    for (record, number) in records.iter().zip(0u64..) {
        assert_eq!(record.payload, number.to_le_bytes().as_slice());
    }
}

#[test]
fn stopping_the_writer_flushes_and_another_may_follow() {
    let dir: Arc<dyn Dir> = FaultyDir::new(0);
    let log = EmbeddedLog::open(dir, config()).unwrap();
    let mut batch = Batch::new();
    batch.push(SHARED, b"x");
    for round in 1..=3u64 {
        let writer = spawn_writer(Arc::clone(&log)).unwrap();
        for _ in 0..10 {
            log.append(None, &batch).unwrap();
        }
        writer.stop().unwrap();
        assert_eq!(log.end(SHARED), round * 10);
    }
    assert!(matches!(
        log.wait_durable(Position(u64::MAX), Duration::ZERO),
        Err(WaitError::Timeout { .. })
    ));
}

#[test]
fn what_is_announced_together_is_written_together() {
    let dir: Arc<dyn Dir> = FaultyDir::new(0);
    let log = EmbeddedLog::open(dir, config()).unwrap();
    let (send, heard) = std::sync::mpsc::channel();
    log.watermark()
        .subscribe(move |progress| drop(send.send(progress.clone())));
    let writer = spawn_writer(Arc::clone(&log)).unwrap();
    let mut batch = Batch::new();
    batch.push(SHARED, b"x");
    log.begin_group();
    let first = log.append(None, &batch).unwrap();
    let early = log.wait_durable(first, Duration::from_millis(20));
    assert!(matches!(early, Err(WaitError::Timeout { .. })), "{early:?}");
    let last = log.append(None, &batch).unwrap();
    log.end_group();
    log.wait_durable(last, LONG).unwrap();
    writer.stop().unwrap();
    let heard: Vec<_> = heard.try_iter().collect();
    let both = [Position(0), last].map(Progress::Durable);
    assert_eq!(heard, both);
}

#[test]
fn i8_waiters_and_subscribers_hear_that_a_sync_failed() {
    let faulty = FaultyDir::new(0);
    let dir: Arc<dyn Dir> = faulty.clone();
    let log = EmbeddedLog::open(dir, config()).unwrap();
    let (send, heard) = std::sync::mpsc::channel();
    log.watermark()
        .subscribe(move |progress| drop(send.send(progress.clone())));
    let writer = spawn_writer(Arc::clone(&log)).unwrap();
    faulty.fail_sync_after(0);
    let mut batch = Batch::new();
    batch.push(SHARED, b"x");
    let position = log.append(None, &batch).unwrap();
    let Err(WaitError::Poisoned(poisoned)) = log.wait_durable(position, LONG) else {
        panic!("a waiter was told that a failed sync had worked");
    };
    assert_eq!(
        heard.recv_timeout(LONG).unwrap(),
        Progress::Durable(Position(0))
    );
    assert_eq!(
        heard.recv_timeout(LONG).unwrap(),
        Progress::Failed(poisoned.clone())
    );
    assert_eq!(writer.stop(), Err(poisoned));
}

#[test]
fn a_subscriber_that_panics_fails_the_log_and_hangs_nobody() {
    let dir: Arc<dyn Dir> = FaultyDir::new(0);
    let log = EmbeddedLog::open(dir, config()).unwrap();
    log.watermark().subscribe(|progress| match progress {
        Progress::Durable(Position(0)) | Progress::Failed(_) => {}
        Progress::Durable(_) => panic!("a test's hook panics"),
    });
    let writer = spawn_writer(Arc::clone(&log)).unwrap();
    let mut batch = Batch::new();
    batch.push(SHARED, b"x");
    log.append(None, &batch).unwrap();
    let far = Position(u64::MAX);
    assert!(matches!(
        log.wait_durable(far, LONG),
        Err(WaitError::Poisoned(_))
    ));
    assert!(writer.stop().is_err());
}
