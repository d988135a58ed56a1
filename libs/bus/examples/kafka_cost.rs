//! How long a batch takes to be durable on Kafka, and how many get there: `cargo run --release
//! -p prepx-bus --features kafka --example kafka_cost kafka://HOST:PORT NODES`. The figures of ADR
//! 0012 come from here; `tests/servers/kafka.py run -- …` starts servers for it.

use std::sync::Arc;
use std::time::Duration;

use prepx_bus::kafka::{Config, topics};
use prepx_bus::{AppendError, Batch, KafkaLog, Location, Log, Owner, Position, Topic};
use prepx_env::{Clock, SystemClock};

const RECORD_BYTES: usize = 120;
const LONG: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let from_env = || std::env::var("PREPX_TEST_KAFKA").ok();
    let Some(url) = args.next().or_else(from_env) else {
        anyhow::bail!("say where Kafka is: kafka_cost kafka://127.0.0.1:9092 1");
    };
    let nodes = std::env::var("PREPX_TEST_KAFKA_NODES").ok();
    let nodes: u16 = args.next().or(nodes).map_or(Ok(1), |nodes| nodes.parse())?;
    let Location::Kafka(location) = Location::parse(&format!("{url}/cost"))? else {
        anyhow::bail!("{url} is not Kafka's");
    };
    let mut file = topics::Topics::shipped();
    file.retain(|name| name.parse::<Topic>().is_ok());
    file.replicate(nodes, if nodes > 1 { 2 } else { 1 });
    topics::apply(&location, &file)?;

    let log = KafkaLog::open(location, Config::named("cost"))?;
    let owner = log.fence(Topic::AccountJournal.partition(0), "cost")?;
    one_at_a_time(&log, "one record of nobody", None, &commands(1))?;
    one_at_a_time(&log, "journal and two outputs", Some(owner), &transition())?;
    paced(&log, owner, 1_000, 5_000)?;
    as_many_as_go(&log, "records of nobody", None, &commands(1), 100_000)?;
    as_many_as_go(&log, "transitions", Some(owner), &transition(), 50_000)
}

fn commands(records: u32) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..records {
        batch.push(Topic::TradingCommands.partition(0), &[7; RECORD_BYTES]);
    }
    batch
}

fn transition() -> Batch {
    let mut batch = Batch::new();
    batch.push(Topic::AccountJournal.partition(0), &[7; 2 * RECORD_BYTES]);
    batch.push(Topic::OrderProcessing.partition(0), &[7; RECORD_BYTES]);
    batch.push(Topic::PortfolioUpdates.partition(0), &[7; RECORD_BYTES]);
    batch
}

fn show(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{what}: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, most {:.2} ms",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}

/// Append, wait, again: what a lone order meets.
fn one_at_a_time(
    log: &KafkaLog,
    what: &str,
    owner: Option<Owner>,
    batch: &Batch,
) -> anyhow::Result<()> {
    let clock = SystemClock::new();
    let mut took = Vec::new();
    for round in 0..550 {
        let start = clock.monotonic();
        let position = log.append(owner, batch)?;
        log.wait_durable(position, LONG)?;
        if round >= 50 {
            took.push(clock.monotonic() - start);
        }
    }
    show(&format!("{what}, one at a time"), took);
    Ok(())
}

/// Transitions that come at a steady pace, whatever becomes of those before.
fn paced(log: &Arc<KafkaLog>, owner: Owner, a_second: u32, count: u32) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock::new());
    let batch = transition();
    let begin = clock.monotonic();
    let (send, sent) = std::sync::mpsc::channel::<(Position, Duration)>();
    let waiter = std::thread::spawn({
        let (log, clock) = (Arc::clone(log), Arc::clone(&clock));
        move || -> anyhow::Result<Vec<Duration>> {
            let mut took = Vec::new();
            for (position, due) in sent {
                log.wait_durable(position, LONG)?;
                took.push(clock.monotonic().saturating_sub(due));
            }
            Ok(took)
        }
    });
    for n in 0..count {
        let due = begin + Duration::from_secs(1) * n / a_second;
        while let Some(early) = due.checked_sub(clock.monotonic()) {
            std::thread::sleep(early);
        }
        send.send((log.append(Some(owner), &batch)?, due))?;
    }
    drop(send);
    let Ok(took) = waiter.join() else {
        anyhow::bail!("the waiter has panicked");
    };
    show(&format!("transitions at {a_second}/s"), took?);
    Ok(())
}

fn as_many_as_go(
    log: &KafkaLog,
    what: &str,
    owner: Option<Owner>,
    batch: &Batch,
    count: u32,
) -> anyhow::Result<()> {
    let clock = SystemClock::new();
    let start = clock.monotonic();
    for _ in 0..count {
        loop {
            match log.append(owner, batch) {
                Ok(_) => break,
                Err(AppendError::Full { .. }) => {
                    log.wait_durable(Position(log.durable().0 + 1), LONG)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    log.flush(LONG)?;
    let took = clock.monotonic() - start;
    let each = f64::from(count) / took.as_secs_f64();
    println!("{what}, as many as go: {each:.0} batches/s");
    Ok(())
}
