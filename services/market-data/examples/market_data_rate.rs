//! How many market updates a second the projection takes from a log in memory into SQLite on disk:
//! of ten updates nine change a level near the best and one is a trade, 500 a millisecond. Run with
//! `--release`; give the updates in thousands. With `see` after that it only folds them, as a process that does not
//! take the partition.

use std::sync::Arc;

use prepx_bus::embedded::Config;
use prepx_bus::faulty::FaultyDir;
use prepx_bus::{Batch, EmbeddedLog, Log as _, Topic};
use prepx_domain::update::{MarketChange, MarketUpdate};
use prepx_domain::{Micros, Side, TradeId, fixture};
use prepx_env::SystemClock;
use prepx_market_data::{Projection, Store};
use prepx_proto::journal;
use prepx_stage::follow::Tail;
use prepx_stage::{Duty, Following, Retention, Topology, lane};
use prepx_store::Location;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const START_US: i64 = 1_760_000_000_000_000;
const RECORD: u64 = 100;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let thousands: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(500), |given| given.parse())?;
    let duty = match std::env::args().nth(2).as_deref() {
        Some("see") => Duty::standing_by(),
        _ => Duty::always(),
    };
    let log = EmbeddedLog::open(FaultyDir::new(1), Config::default())?;
    fill(&log, thousands * 1_000)?;
    let directory = tempfile::TempDir::new_in(".")?;
    let store = Store::open(&Location::Sqlite(directory.path().to_owned())).await?;
    let following = Following {
        tail: Tail::new(log.clone()),
        retention: Arc::new(Retention::new(log.clone())),
        topology: Topology {
            account_partitions: 1,
            matching_partitions: 1,
        },
        clock: Arc::new(SystemClock::new()),
        duties: duty.into(),
    };
    let mut projection = Projection::open(following, store).await?;
    let started = tokio::time::Instant::now();
    let mut taken = 0;
    projection.catch_up(|batch| taken += batch.len()).await?;
    let took = started.elapsed().as_secs_f64();
    println!("{taken} updates, {:.0} updates/s", taken as f64 / took);
    Ok(())
}

fn fill(log: &EmbeddedLog, updates: u64) -> Result<(), AnyError> {
    let instrument = fixture::bitcoin();
    let mut trade = None;
    for first in (1..=updates).step_by(RECORD as usize) {
        let mut encoded = Vec::new();
        for number in first..first + RECORD {
            let at = Micros(START_US + number as i64 * 2);
            let wobble = (number as i64 * 7_919) % 40;
            let change = if number == 1 {
                MarketChange::Defined(Box::new(instrument))
            } else if number.is_multiple_of(10) {
                let id = TradeId::next(instrument.id.slot(), at, trade);
                trade = Some(id);
                MarketChange::Trade {
                    trade: id,
                    price_ticks: 10_000 + wobble % 3,
                    qty_lots: 1 + wobble,
                    taker: Side::Buy,
                }
            } else {
                MarketChange::Level {
                    side: Side::Buy,
                    price_ticks: 9_999 - wobble,
                    qty_lots: (number as i64 * 31) % 50,
                }
            };
            let update = MarketUpdate {
                instrument: instrument.id,
                number,
                at,
                change,
            };
            let mut bytes = Vec::new();
            journal::encode(&update, &mut bytes);
            encoded.push(bytes);
        }
        let messages: Vec<&[u8]> = encoded.iter().map(Vec::as_slice).collect();
        let mut batch = Batch::new();
        batch.push_with(Topic::MarketData.partition(0), |to| {
            let source = Topic::MatchingJournal.partition(0);
            lane::write(source, first, first, &messages, to);
        });
        log.append(None, &batch)?;
        // The log buffers a bounded amount before it wants a sync.
        log.flush()?;
    }
    Ok(())
}
