//! Markets behind a real embedded log: every change once, whatever happens in between.

// What the tests share unwraps as the tests do.
#![allow(clippy::unwrap_used)]

mod read_cache;
mod recorded;
mod shared;

use std::sync::Arc;

use prepx_bus::embedded::Config;
use prepx_bus::faulty::FaultyDir;
use prepx_bus::{Batch, EmbeddedLog, Log as _, Topic};
use prepx_cache::Cache;
use prepx_domain::market::MINUTE_US;
use prepx_domain::update::{MarketChange, MarketUpdate};
use prepx_domain::{AssetClass, Instrument, InstrumentId, Micros, Side, Slot, TradeId, fixture};
use prepx_env::ManualClock;
use prepx_market_data::{App, Deps, Market, Projection, ProjectionError, Query, Store};
use prepx_proto::journal;
use prepx_stage::follow::Tail;
use prepx_stage::{Following, Retention, Runner, Topology, lane};
use prepx_store::{Location, suite};

const TOPOLOGY: Topology = Topology {
    account_partitions: 1,
    matching_partitions: 2,
};
/// 2025-10-09T08:53:00Z, a whole minute.
const START_US: i64 = 1_760_000_000_000_000 - 20_000_000;
const SYMBOL: &str = "BTC/USD";

fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId::next(Slot::of_symbol(SYMBOL), Micros(START_US), None),
        ..fixture::bitcoin()
    }
}

/// Makes numbered changes.
#[derive(Default)]
struct Script {
    updates: Vec<MarketUpdate>,
    last: Option<TradeId>,
}

impl Script {
    fn push(&mut self, at_ms: i64, change: MarketChange) {
        self.updates.push(MarketUpdate {
            instrument: instrument().id,
            number: self.updates.len() as u64 + 1,
            at: Micros(START_US + at_ms * 1_000),
            change,
        });
    }

    fn level(&mut self, at_ms: i64, side: Side, price_ticks: i64, qty_lots: i64) {
        let change = MarketChange::Level {
            side,
            price_ticks,
            qty_lots,
        };
        self.push(at_ms, change);
    }

    fn trade(&mut self, at_ms: i64, price_ticks: i64, qty_lots: i64) {
        let now = Micros(START_US + at_ms * 1_000);
        let trade = TradeId::next(instrument().id.slot(), now, self.last);
        self.last = Some(trade);
        let change = MarketChange::Trade {
            trade,
            price_ticks,
            qty_lots,
            taker: Side::Buy,
        };
        self.push(at_ms, change);
    }
}

/// Two bids, two asks; a buy of 5 takes 3 at 101 and 2 at 102 in one moment; 90 seconds later a
/// trade of 1 at 102, another minute later one at 99.
fn script() -> Script {
    let mut script = Script::default();
    script.push(0, MarketChange::Defined(Box::new(instrument())));
    script.level(1, Side::Buy, 99, 5);
    script.level(2, Side::Buy, 98, 7);
    script.level(3, Side::Sell, 101, 3);
    script.level(4, Side::Sell, 102, 4);
    script.trade(10, 101, 3);
    script.level(10, Side::Sell, 101, 0);
    script.trade(10, 102, 2);
    script.level(10, Side::Sell, 102, 2);
    script.push(20, MarketChange::Halted(true));
    script.push(30, MarketChange::Halted(false));
    script.trade(90_010, 102, 1);
    script.level(90_010, Side::Sell, 102, 1);
    script.trade(150_020, 99, 5);
    script.level(150_020, Side::Buy, 99, 0);
    script
}

struct World {
    log: Arc<EmbeddedLog>,
    /// Only held.
    _sql: tempfile::TempDir,
    location: Location,
}

struct Open {
    store: Store,
    projection: Runner<Projection>,
    following: Following,
    clock: Arc<ManualClock>,
    cache: Cache,
}

impl World {
    async fn new() -> World {
        let sql = tempfile::tempdir().unwrap();
        World {
            log: EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap(),
            location: suite::location(sql.path()).await,
            _sql: sql,
        }
    }

    /// Tells updates on the lane, the first with this number, in one durable record.
    fn tell(&self, first: u64, updates: &[MarketUpdate]) {
        let encode = |update: &MarketUpdate| {
            let mut bytes = Vec::new();
            journal::encode(update, &mut bytes);
            bytes
        };
        let encoded: Vec<Vec<u8>> = updates.iter().map(encode).collect();
        let messages: Vec<&[u8]> = encoded.iter().map(Vec::as_slice).collect();
        let mut batch = Batch::new();
        batch.push_with(Topic::MarketData.partition(1), |to| {
            let source = Topic::MatchingJournal.partition(1);
            lane::write(source, first, first, &messages, to);
        });
        self.log.append(None, &batch).unwrap();
        self.log.flush().unwrap();
    }

    fn following(&self) -> Following {
        Following {
            tail: Tail::new(self.log.clone()),
            retention: Arc::new(Retention::new(self.log.clone())),
            topology: TOPOLOGY,
            clock: Arc::new(ManualClock::new(Micros(START_US))),
            duties: prepx_stage::Duty::always().into(),
        }
    }

    async fn open(&self) -> Open {
        self.open_with(self.following()).await
    }

    async fn open_with(&self, following: Following) -> Open {
        let store = Store::open(&self.location).await.unwrap();
        let projection = Projection::open(following.clone(), store.clone());
        let clock = Arc::new(ManualClock::new(Micros(START_US + 200_000_000)));
        Open {
            cache: Cache::open(prepx_cache::Location::Memory, clock.clone()).await,
            clock,
            projection: projection.await.unwrap(),
            store,
            following,
        }
    }
}

impl Open {
    async fn catch_up(&mut self) -> Result<(), ProjectionError> {
        self.projection.catch_up(|_| {}).await
    }

    fn app(&self) -> App {
        let deps = Deps {
            following: self.following.clone(),
            clock: self.clock.clone(),
            cache: self.cache.clone(),
            bytes_max: None,
        };
        let (markets, progress) = (
            self.projection.consumer().markets(),
            self.projection.progress(),
        );
        App::new(deps, self.store.clone(), markets, progress)
    }

    async fn market(&self) -> Market {
        let symbols = [SYMBOL.to_owned()].into();
        let show = |market: &Market| Some(market.clone());
        let found = self.app().newest(AssetClass::Crypto, &symbols, show).await;
        found.unwrap().remove(SYMBOL).unwrap()
    }
}

fn everything(limit: usize) -> Query {
    Query {
        symbols: [SYMBOL.to_owned()].into(),
        start: Micros(START_US),
        end: Micros(START_US + 1_000_000_000),
        newest_first: false,
        past: None,
        limit,
    }
}

#[tokio::test]
async fn quotes_bars_and_the_book_are_what_a_hand_computes() {
    let world = World::new().await;
    world.tell(1, &script().updates);
    let mut open = world.open().await;
    open.catch_up().await.unwrap();
    let market = open.market().await;
    let levels: Vec<_> = market.book.bids().chain(market.book.asks()).collect();
    let levels: Vec<_> = levels.iter().map(|l| (l.price_ticks, l.qty_lots)).collect();
    assert_eq!(levels, [(98, 7), (102, 1)]);
    assert_eq!(market.book.number(), 15);

    let quotes = open
        .app()
        .past::<prepx_market_data::Quote>(AssetClass::Crypto, &everything(100), ())
        .await
        .unwrap();
    let shown = |q: &prepx_market_data::Quote| {
        let at_ms = (q.at.0 - START_US) / 1_000;
        (at_ms, q.bid_ticks, q.bid_lots, q.ask_ticks, q.ask_lots)
    };
    let quotes: Vec<_> = quotes.lists[0].1.iter().map(shown).collect();
    // The bid of 98 and the ask of 102 change nothing, and the sweep is one change.
    assert_eq!(
        quotes,
        [
            (1, 99, 5, 0, 0),
            (3, 99, 5, 101, 3),
            (10, 99, 5, 102, 2),
            (90_010, 99, 5, 102, 1),
            (150_020, 98, 7, 102, 1),
        ]
    );
}

#[tokio::test]
async fn bars_of_every_width_are_what_a_hand_computes() {
    let world = World::new().await;
    world.tell(1, &script().updates);
    let mut open = world.open().await;
    open.catch_up().await.unwrap();
    let app = open.app();
    let bars = |timeframe: &'static str, query: Query| {
        let form = (timeframe.parse().unwrap(), AssetClass::Crypto);
        let app = &app;
        async move {
            let found = app
                .past::<prepx_domain::market::Bar>(AssetClass::Crypto, &query, form)
                .await
                .unwrap();
            let list = found.lists.into_iter().next().map(|(_, bars)| bars);
            let shown: Vec<_> = list
                .unwrap_or_default()
                .iter()
                .map(|bar| {
                    let minute = (bar.start.0 - START_US) / MINUTE_US;
                    let prices = [
                        bar.open_ticks,
                        bar.high_ticks,
                        bar.low_ticks,
                        bar.close_ticks,
                    ];
                    (minute, prices, bar.volume_lots, bar.trades, bar.turnover)
                })
                .collect();
            (shown, found.next)
        }
    };
    let minutes = [
        (0, [101, 102, 101, 102], 5, 2, 507),
        (1, [102, 102, 102, 102], 1, 1, 102),
        (2, [99, 99, 99, 99], 5, 1, 495),
    ];
    assert_eq!(bars("1Min", everything(100)).await.0, minutes);
    // 08:53 is in the ten minutes from 08:50, which begin before the start.
    assert_eq!(bars("10Min", everything(100)).await.0, []);
    let early = |query| Query {
        start: Micros(START_US - 13 * 60 * MINUTE_US),
        ..query
    };
    let whole = |minute| (minute, [101, 102, 99, 99], 11, 4, 1_104);
    assert_eq!(bars("10Min", early(everything(100))).await.0, [whole(-3)]);
    assert_eq!(bars("1Hour", early(everything(100))).await.0, [whole(-53)]);
    assert_eq!(bars("1Day", early(everything(100))).await.0, [whole(-533)]);

    // Pages of two minutes and of one, forwards and backwards, with the start within its minute.
    for newest_first in [false, true] {
        let mut query = Query {
            start: Micros(START_US + 30_000_000),
            newest_first,
            ..everything(2)
        };
        let (mut found, next) = bars("1Min", query.clone()).await;
        query.past = Some(next.expect("there is a third"));
        let (rest, next) = bars("1Min", query).await;
        assert_eq!((found.len(), rest.len(), next), (2, 1, None));
        found.extend(rest);
        if newest_first {
            found.reverse();
        }
        assert_eq!(found, minutes);
    }
}

#[tokio::test]
async fn days_of_equities_are_those_of_new_york_from_the_store_too() {
    const HOUR_MS: i64 = 3_600_000;
    let mut script = Script::default();
    let share = Instrument {
        class: AssetClass::UsEquity,
        ..instrument()
    };
    script.push(0, MarketChange::Defined(Box::new(share)));
    // 04:53 in New York; 19:53 and 21:53, of which the latter is the next day UTC; 00:53 and 10:53 the day after.
    for (hour, price_ticks, qty_lots) in [
        (0, 101, 3),
        (15, 103, 1),
        (17, 99, 2),
        (20, 104, 1),
        (30, 105, 4),
    ] {
        script.trade(hour * HOUR_MS, price_ticks, qty_lots);
    }
    let world = World::new().await;
    world.tell(1, &script.updates);
    let mut open = world.open().await;
    open.catch_up().await.unwrap();
    let query = Query {
        start: Micros(START_US - 48 * 60 * MINUTE_US),
        end: Micros(START_US + 48 * 60 * MINUTE_US),
        ..everything(100)
    };
    let form = ("1Day".parse().unwrap(), AssetClass::UsEquity);
    let found = open
        .app()
        .past::<prepx_domain::market::Bar>(AssetClass::UsEquity, &query, form)
        .await
        .unwrap();
    let days = &found.lists[0].1;
    let first = Micros(START_US - (4 * 60 + 53) * MINUTE_US);
    let shown = |day: &prepx_domain::market::Bar| {
        let prices = [
            day.open_ticks,
            day.high_ticks,
            day.low_ticks,
            day.close_ticks,
        ];
        (day.start, prices, day.volume_lots, day.trades)
    };
    assert_eq!(
        days.iter().map(shown).collect::<Vec<_>>(),
        [
            (first, [101, 103, 99, 99], 6, 3),
            (
                first.plus_us(24 * 60 * MINUTE_US),
                [104, 105, 104, 105],
                5,
                2
            ),
        ]
    );
    for app in [open.app(), world.open().await.app()] {
        let newest = |market: &Market| Some((market.day_before, market.day()));
        let symbols = [SYMBOL.to_owned()].into();
        let found = app
            .newest(AssetClass::UsEquity, &symbols, newest)
            .await
            .unwrap();
        assert_eq!(found[SYMBOL], (Some(days[0]), Some(days[1])));
    }
}

/// The projection dies between any two batches, and batches repeat: store and memory are those of
/// one that never died.
#[tokio::test]
async fn i2_it_goes_on_where_it_was_after_a_death_between_any_two_batches() {
    let updates = script().updates;
    let script = [(0, 4), (4, 7), (2, 9), (9, 9), (9, 12), (12, 15)];
    let mut outcomes = Vec::new();
    for death in 0..=script.len() {
        let world = World::new().await;
        for (step, (from, until)) in script.into_iter().enumerate() {
            if until > from {
                world.tell(from as u64 + 1, &updates[from..until]);
            }
            if step < death {
                world.open().await.catch_up().await.unwrap();
            }
        }
        let mut open = world.open().await;
        open.catch_up().await.unwrap();
        let in_memory = open.market().await;
        let from_store = world.open().await.market().await;
        assert_eq!(in_memory, from_store, "death {death}");
        let trades = open
            .app()
            .past::<prepx_market_data::Trade>(AssetClass::Crypto, &everything(100), ())
            .await
            .unwrap();
        assert_eq!(trades.lists[0].1.len(), 4);
        outcomes.push((in_memory, trades.lists[0].1.clone()));
    }
    assert!(outcomes.windows(2).all(|two| two[0] == two[1]));
}

#[tokio::test]
async fn a_missing_change_stops_the_projection_and_takes_nothing() {
    let updates = script().updates;
    let world = World::new().await;
    world.tell(1, &updates[..5]);
    let mut open = world.open().await;
    open.catch_up().await.unwrap();
    let before = open.market().await;
    // The lane is whole, and a number of the instrument is missing.
    world.tell(6, &[updates[5].clone(), updates[7].clone()]);
    let error = open.catch_up().await.unwrap_err();
    assert!(matches!(error, ProjectionError::Market(_)), "{error}");
    assert_eq!(open.market().await, before, "memory is as the store again");
    let taken = Topic::MarketData.partition(1);
    assert_eq!(open.store.position(taken).await.unwrap(), 1);
}
