//! The engines' query plans for the projection, its start and the reads of the past.

use expect_test::expect_file;
use prepx_bus::Topic;
use prepx_domain::{Micros, Side, TradeId, fixture};
use prepx_stage::follow::Run;
use prepx_store::plans::Plans;

use super::*;
use crate::domain::market::{MarketRow, WIDTHS_US};
use crate::page::Place;

const TRADES: i64 = 20_000;
const INSTRUMENTS: i64 = 100;
/// Tables with few rows, however much happens: one for each lane or instrument.
const SMALL: &[&str] = &["positions", "markets"];

fn at(trade: i64) -> Micros {
    Micros(1_760_000_000_000_000 + trade * 60_000_000)
}

fn instrument(number: i64) -> InstrumentId {
    InstrumentId::new(number % INSTRUMENTS + 1).unwrap()
}

/// One trade, with its minute, hour and day, the level and the quote.
fn add(trade: i64, rows: &mut Rows) {
    let (id, at) = (instrument(trade), at(trade));
    let made = Trade {
        id: TradeId::new(trade + 1).unwrap(),
        at,
        price_ticks: trade,
        qty_lots: 1,
        taker: Side::Buy,
    };
    rows.trades.push((id, made));
    rows.levels.insert((id, 1, trade), 1);
    let quote = Quote {
        at,
        ..Quote::default()
    };
    rows.quotes.insert((id, at.millis()), quote);
    for width_us in WIDTHS_US {
        let start = prepx_domain::market::interval(at, width_us);
        let bar = Bar::of(start, trade, 1);
        rows.bars.insert((id, width_us, start), bar);
    }
    let market = MarketRow {
        instrument: prepx_domain::Instrument {
            id,
            ..fixture::bitcoin()
        },
        number: 1,
        book_at: None,
        quote_at: None,
    };
    rows.markets.insert(id, market);
}

async fn filled(location: &Location) -> Store {
    let store = Store::open(location).await.unwrap();
    let mut rows = Rows::default();
    for trade in 0..TRADES {
        add(trade, &mut rows);
    }
    let mut tx = store.pool.begin().await.unwrap();
    write::rows(&mut tx, &rows).await.unwrap();
    tx.commit().await.unwrap();
    store
}

#[tokio::test]
async fn plans_are_those_that_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let location = prepx_store::suite::location(directory.path()).await;
    let store = filled(&location).await;
    let mut plans = Plans::of(&store.pool, SMALL).await.unwrap();
    plans.add("a batch is taken", take(&store)).await;
    plans
        .add("markets at a start", store.markets(|_| true))
        .await;
    past(&store, &mut plans).await;
    if let Some(file) = plans.file("../../plans") {
        expect_file![file].assert_eq(plans.text());
    }
}

async fn take(store: &Store) -> std::result::Result<(), Error> {
    let mut rows = Rows::default();
    add(TRADES, &mut rows);
    // A level that was removed.
    rows.levels.insert((instrument(7), 1, 7), 0);
    let taking = store.begin(&batch()).await?;
    let keep = Keep {
        rows: 100,
        minutes: Some(100),
    };
    Ok(store
        .finish(taking, &rows, &[(instrument(7), keep)])
        .await?)
}

/// A repeated run: its updates do not matter here.
fn batch() -> Batch {
    Batch {
        partition: Topic::MarketData.partition(0),
        from: 0,
        next: 1,
        runs: Vec::<Run>::new(),
    }
}

async fn past(store: &Store, plans: &mut Plans) {
    let newest = Range {
        start: at(0),
        end: at(TRADES),
        newest_first: true,
        past: None,
        limit: 10,
    };
    let next = Range {
        newest_first: false,
        past: Some(Place {
            at: at(INSTRUMENTS),
            number: 1,
        }),
        ..newest
    };
    let of = instrument(8);
    for (which, range) in [("newest", newest), ("next", next)] {
        // On the primary: a replica may not have the new statistics yet.
        let mut view = View(store.pool.read().await.unwrap());
        let trades = plans.add(format!("the {which} trades"), view.trades(of, &range));
        assert!(!trades.await.is_empty(), "{which}");
        let quotes = plans.add(format!("the {which} quotes"), view.quotes(of, &range));
        assert!(!quotes.await.is_empty(), "{which}");
        let minutes = view.bars(of, WIDTHS_US[0], &range);
        let minutes = plans.add(format!("the {which} minutes"), minutes);
        assert!(!minutes.await.is_empty(), "{which}");
    }
}
