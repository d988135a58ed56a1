//! What an append costs, and what a durable batch does: `cargo run --release -p prepx-bus
//! --example append_cost [DIR]`. The figures of ADR 0002 come from here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::embedded::{Config, EmbeddedLog, spawn_writer};
use prepx_bus::file::RealDir;
use prepx_bus::{AppendError, Batch, Log, Position, Topic};
use prepx_env::{Clock, SystemClock};

const RECORD_BYTES: usize = 120;
const RECORDS: u64 = 4_000_000;
const LONG: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let chosen = std::env::args().nth(1);
    let temporary = tempfile::tempdir()?;
    let path = chosen.as_deref().map_or(temporary.path(), Path::new);
    for records_a_batch in [1, 4, 100] {
        let dir = RealDir::open(&path.join(records_a_batch.to_string()))?;
        let log = EmbeddedLog::open(dir.clone(), Config::default())?;
        append_only(&log, records_a_batch)?;
        with_writer(&log, records_a_batch)?;
        drop(log);
        reopen(dir)?;
    }
    one_at_a_time(path)?;
    new_segments(path)
}

fn batch_of(records: u64) -> Batch {
    let mut batch = Batch::new();
    for record in 0..records {
        let to = Topic::ALL[(record % 4) as usize].partition(0);
        batch.push(to, &[7; RECORD_BYTES]);
    }
    batch
}

fn nanos_since(clock: &SystemClock, start: Duration) -> f64 {
    (clock.monotonic() - start).as_nanos() as f64
}

/// The CPU of the appending side alone: flushes happen between the timed pieces.
fn append_only(log: &EmbeddedLog, records_a_batch: u64) -> anyhow::Result<()> {
    let (clock, batch, mut spent_ns) = (SystemClock::new(), batch_of(records_a_batch), 0.0);
    let rounds = 40;
    let batches = 100_000 / records_a_batch;
    for _ in 0..rounds {
        let start = clock.monotonic();
        for _ in 0..batches {
            log.append(None, &batch)?;
        }
        spent_ns += nanos_since(&clock, start);
        log.flush()?;
    }
    let each_ns = spent_ns / (rounds * batches) as f64;
    let record_ns = each_ns / records_a_batch as f64;
    println!("append, {records_a_batch} a batch: {each_ns:.0} ns a batch, {record_ns:.0} a record");
    Ok(())
}

/// The rate at which records become durable with the writer's thread beside the appender.
fn with_writer(log: &Arc<EmbeddedLog>, records_a_batch: u64) -> anyhow::Result<()> {
    let (clock, batch) = (SystemClock::new(), batch_of(records_a_batch));
    let writer = spawn_writer(Arc::clone(log))?;
    let (start, mut last) = (clock.monotonic(), Position(0));
    for _ in 0..RECORDS / records_a_batch {
        last = loop {
            let durable = log.durable();
            match log.append(None, &batch) {
                Ok(position) => break position,
                Err(AppendError::Full { .. }) => {
                    log.wait_durable(Position(durable.0 + 1), LONG)?;
                }
                Err(other) => return Err(other.into()),
            }
        };
    }
    log.wait_durable(last, LONG)?;
    let rate = RECORDS as f64 * 1e3 / nanos_since(&clock, start);
    writer.stop()?;
    println!("durable, {records_a_batch} a batch: {rate:.2} million records/s");
    Ok(())
}

fn reopen(dir: Arc<RealDir>) -> anyhow::Result<()> {
    let clock = SystemClock::new();
    let start = clock.monotonic();
    let log = EmbeddedLog::open(dir, Config::default())?;
    let open_ms = nanos_since(&clock, start) / 1e6;
    let start = clock.monotonic();
    let frames = log.check()?;
    let check_ms = nanos_since(&clock, start) / 1e6;
    let gib = log.durable().0 as f64 / f64::from(1 << 30);
    println!("open {gib:.2} GiB, {frames} frames: {open_ms:.0} ms; check all: {check_ms:.0} ms");
    Ok(())
}

/// How long one lone batch takes from append to durable.
fn one_at_a_time(path: &Path) -> anyhow::Result<()> {
    let (clock, batch) = (SystemClock::new(), batch_of(4));
    let log = EmbeddedLog::open(RealDir::open(&path.join("lone"))?, Config::default())?;
    let writer = spawn_writer(Arc::clone(&log))?;
    let mut micros = Vec::new();
    for _ in 0..4_000 {
        let start = clock.monotonic();
        let position = log.append(None, &batch)?;
        log.wait_durable(position, LONG)?;
        micros.push(nanos_since(&clock, start) / 1e3);
    }
    writer.stop()?;
    print_spread("append to durable, alone", micros);
    Ok(())
}

/// What a flush costs when it has to begin a new segment: the slowest of these did.
fn new_segments(path: &Path) -> anyhow::Result<()> {
    let (clock, batch) = (SystemClock::new(), batch_of(100));
    let log = EmbeddedLog::open(RealDir::open(&path.join("rolling"))?, Config::default())?;
    let mut micros = Vec::new();
    for _ in 0..15_000 {
        log.append(None, &batch)?;
        let start = clock.monotonic();
        log.flush()?;
        micros.push(nanos_since(&clock, start) / 1e3);
    }
    print_spread("flush of 14 kB, over three new segments", micros);
    Ok(())
}

fn print_spread(what: &str, mut micros: Vec<f64>) {
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
    let (p50, p99, p999, max) = (at(0.5), at(0.99), at(0.999), at(1.0));
    println!("{what}: p50 {p50:.0} us, p99 {p99:.0} us, p99.9 {p999:.0} us, max {max:.0} us");
}
