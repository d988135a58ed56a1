//! The ledger behind a real embedded log: every message once, whatever happens in between.

// What the tests share unwraps as the tests do.
#![allow(clippy::unwrap_used)]

mod compacting;
mod compared;
mod power;
mod read_cache;
mod shards;
mod shared;

use std::collections::BTreeMap;
use std::sync::Arc;

use prepx_bus::embedded::Config;
use prepx_bus::faulty::FaultyDir;
use prepx_bus::{Batch, EmbeddedLog, Log as _, Topic};
use prepx_domain::message::{End, Fill};
use prepx_domain::update::{AccountUpdate, Book, Change, OrderEvent, OrderView, Posting};
use prepx_domain::{
    AccountId, Asset, ExecutionId, InstrumentId, Micros, OrderId, OrderStatus, Side, Slot, TradeId,
    fixture,
};
use prepx_env::ManualClock;
use prepx_portfolio::{Asked, Changes, Ledger, Points, Projection, ProjectionError, Shift, View};
use prepx_proto::journal;
use prepx_stage::follow::{Poison, Tail};
use prepx_stage::port::{Line, PastOrders};
use prepx_stage::{Following, Retention, Topology, lane};
use prepx_store::{Layout, Location, suite};
use uuid::Uuid;

const TOPOLOGY: Topology = Topology {
    account_partitions: 2,
    matching_partitions: 1,
};
const START_US: i64 = 1_760_000_000_000_000;
const ONE: i64 = 100_000_000;
const DAY_MS: i64 = 86_400_000;

struct World {
    log: Arc<EmbeddedLog>,
    sql: tempfile::TempDir,
    layout: Layout,
    /// Of its first shard.
    location: Location,
}

fn at(ms: i64) -> Micros {
    Micros(START_US + ms * 1_000)
}

fn slot() -> Slot {
    Slot::new(0).unwrap()
}

fn account() -> AccountId {
    AccountId::next(slot(), at(0), None)
}

fn usd() -> Asset {
    "USD".parse().unwrap()
}

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

fn posting(book: Book, asset: Asset, amount_minor: i64) -> Posting {
    Posting {
        book,
        asset,
        amount_minor,
    }
}

fn deposit(ms: i64, amount: i64) -> AccountUpdate {
    deposit_of(account(), ms, amount)
}

fn deposit_of(account: AccountId, ms: i64, amount: i64) -> AccountUpdate {
    AccountUpdate {
        account,
        at: at(ms),
        change: Change::Deposited {
            command: Uuid::from_u128(ms as u128),
            asset: usd(),
            amount_minor: amount * ONE,
        },
        postings: vec![
            posting(Book::Outside, usd(), -amount * ONE),
            posting(Book::Available(account), usd(), amount * ONE),
        ],
    }
}

fn order(ms: i64) -> OrderView {
    OrderView {
        id: OrderId::next(slot(), at(ms), None),
        account: account(),
        client_order_id: format!("order-{ms}"),
        instrument: InstrumentId::next(slot(), at(0), None),
        qty_minor: 2 * ONE,
        held_minor: 201 * ONE,
        created_at: at(ms),
        updated_at: at(ms),
        ..fixture::order()
    }
}

fn change(view: OrderView, event: OrderEvent, postings: Vec<Posting>) -> AccountUpdate {
    AccountUpdate {
        account: account(),
        at: view.updated_at,
        change: Change::Order {
            order: Box::new(view),
            event,
        },
        postings,
    }
}

/// A buy of 2 BTC at 100 USD: 1 trades at 100 with a fee of 0.5, the rest is cancelled.
fn trade(ms: i64) -> Vec<AccountUpdate> {
    let (available, held) = (Book::Available(account()), Book::Held(account()));
    let placed = order(ms);
    let fill = Fill {
        execution: ExecutionId::next(slot(), at(ms), None),
        trade: TradeId::next(slot(), at(ms), None),
        account: account(),
        order: placed.id,
        instrument: placed.instrument,
        side: Side::Buy,
        price_ticks: 10_000,
        qty_lots: 1_000,
        notional_minor: 100 * ONE,
        fee_minor: ONE / 2,
        cum_lots: 1_000,
        maker: false,
    };
    let filled = OrderView {
        status: OrderStatus::PartiallyFilled,
        filled_minor: ONE,
        filled_notional_minor: 100 * ONE,
        fee_minor: ONE / 2,
        held_minor: 201 * ONE - 100 * ONE - ONE / 2,
        updated_at: at(ms + 1),
        ..placed.clone()
    };
    let left = filled.held_minor;
    let end = End::Canceled(prepx_domain::message::CancelReason::Requested);
    let ended = OrderView {
        status: OrderStatus::Canceled,
        held_minor: 0,
        updated_at: at(ms + 2),
        ended_at: Some(at(ms + 2)),
        end: Some(end),
        ..filled.clone()
    };
    let event = OrderEvent::Fill {
        fill,
        position_minor: ONE,
    };
    vec![
        change(
            placed,
            OrderEvent::New,
            vec![
                posting(available, usd(), -201 * ONE),
                posting(held, usd(), 201 * ONE),
            ],
        ),
        change(
            filled,
            event,
            vec![
                posting(held, usd(), -100 * ONE - ONE / 2),
                posting(Book::Clearing, usd(), 100 * ONE),
                posting(Book::Clearing, btc(), -ONE),
                posting(available, btc(), ONE),
                posting(Book::Fees, usd(), ONE / 2),
            ],
        ),
        change(
            ended,
            OrderEvent::Ended(end),
            vec![posting(held, usd(), -left), posting(available, usd(), left)],
        ),
    ]
}

impl World {
    /// With a ledger on the engine that is tested.
    async fn new() -> World {
        let mut world = World::in_files();
        world.location = suite::location(world.sql.path()).await;
        world.layout = world.location.clone().into();
        world
    }

    /// With a ledger in a file.
    fn in_files() -> World {
        let sql = tempfile::tempdir().unwrap();
        World {
            log: EmbeddedLog::open(FaultyDir::new(1), Config::default()).unwrap(),
            layout: Location::Sqlite(sql.path().to_owned()).into(),
            location: Location::Sqlite(sql.path().to_owned()),
            sql,
        }
    }

    /// Tells updates on partition 0's lane, the first with this number, in one durable record.
    fn tell(&self, first: u64, updates: &[AccountUpdate]) {
        self.say(first, updates);
        self.log.flush().unwrap();
    }

    /// The same, and the record is not durable yet.
    fn say(&self, first: u64, updates: &[AccountUpdate]) {
        self.say_of(0, first, updates);
    }

    /// The same on the lane of any partition.
    fn say_of(&self, partition: u32, first: u64, updates: &[AccountUpdate]) {
        let encoded: Vec<Vec<u8>> = updates
            .iter()
            .map(|update| {
                let mut bytes = Vec::new();
                journal::encode(update, &mut bytes);
                bytes
            })
            .collect();
        let messages: Vec<&[u8]> = encoded.iter().map(Vec::as_slice).collect();
        let mut batch = Batch::new();
        batch.push_with(Topic::PortfolioUpdates.partition(partition), |to| {
            lane::write(
                Topic::AccountJournal.partition(partition),
                first,
                first,
                &messages,
                to,
            );
        });
        self.log.append(None, &batch).unwrap();
    }

    async fn ledger(&self) -> Ledger {
        Ledger::open(&self.layout).await.unwrap()
    }

    fn following(&self) -> Following {
        Following {
            tail: Tail::new(self.log.clone()),
            retention: Arc::new(Retention::new(self.log.clone())),
            topology: TOPOLOGY,
            clock: Arc::new(ManualClock::new(at(0))),
            duties: prepx_stage::Duty::always().into(),
        }
    }

    async fn catch_up(&self, ledger: &Ledger) -> Result<(), ProjectionError> {
        let mut projection = Projection::open(self.following(), ledger.clone()).await?;
        projection.catch_up(|_| {}).await
    }
}

async fn view(ledger: &Ledger) -> View {
    ledger.view(account()).await.unwrap()
}

async fn sums(ledger: &Ledger) -> BTreeMap<Line, i64> {
    ledger.sums(&[1_000, 1_000]).await.unwrap()
}

#[tokio::test]
async fn a_small_trade_with_a_fee_comes_to_what_a_hand_computes() {
    let world = World::new().await;
    world.tell(1, &[deposit(1, 1_000)]);
    world.tell(2, &trade(10));
    let ledger = world.ledger().await;
    world.catch_up(&ledger).await.unwrap();
    let line = |book, asset| (0, book, asset);
    // 1,000 less 100 for the coin and 0.5 for the fee; what was held beyond that has come back.
    let expected = BTreeMap::from([
        (
            line(Book::Available(account()), usd()),
            1_000 * ONE - 100 * ONE - ONE / 2,
        ),
        (line(Book::Available(account()), btc()), ONE),
        (line(Book::Clearing, usd()), 100 * ONE),
        (line(Book::Clearing, btc()), -ONE),
        (line(Book::Fees, usd()), ONE / 2),
        (line(Book::Outside, usd()), -1_000 * ONE),
    ]);
    assert_eq!(sums(&ledger).await, expected);
    assert_eq!(ledger.balance().await.unwrap(), (None, 11));
    // The order as it was seen last, and the sums when it was just placed.
    let which = PastOrders::ClientOrderId("order-10".into());
    let found = view(&ledger).await.orders(account(), &which).await.unwrap();
    assert_eq!(found[0].status, OrderStatus::Canceled);
    let before = ledger.sums(&[1, 0]).await.unwrap();
    assert_eq!(
        before.len(),
        2,
        "only the deposit had been told: {before:?}"
    );
}

fn points(timeframe: &str, start: Micros) -> Points {
    let asked = Asked {
        timeframe,
        start: Some(start),
        end: Some(start.plus_us(120_000_000)),
        ..Asked::default()
    };
    Points::of(&asked, at(10 * DAY_MS)).unwrap()
}

#[tokio::test]
async fn what_an_account_had_over_time_comes_from_its_postings() {
    const MINUTE_US: i64 = 60_000_000;
    let world = World::new().await;
    world.tell(1, &[deposit(1, 1_000)]);
    world.tell(2, &trade(10));
    world.tell(5, &[deposit(DAY_MS, 7)]);
    // A repeat adds nothing (I2).
    world.tell(5, &[deposit(DAY_MS, 7)]);
    let ledger = world.ledger().await;
    world.catch_up(&ledger).await.unwrap();

    // 1,000 paid in, 100.5 paid for 1 coin and the fee.
    let minute = Micros(at(0).0 - at(0).0 % MINUTE_US);
    let midnight = points("1D", at(0)).midnight();
    for (timeframe, first) in [("1Min", minute), ("1D", midnight)] {
        let of = view(&ledger)
            .await
            .changes(account(), &points(timeframe, at(0)))
            .await;
        let shift = |asset, change_minor, paid_minor| Shift {
            at: first,
            asset,
            change_minor,
            paid_minor,
        };
        let expected = Changes {
            opening: BTreeMap::new(),
            shifts: vec![
                shift(btc(), ONE, 0),
                shift(usd(), 899 * ONE + ONE / 2, 1_000 * ONE),
            ],
        };
        assert_eq!(of.unwrap(), Some(expected), "{timeframe}");
    }
    let next_day = points("1Min", at(DAY_MS));
    let found = view(&ledger)
        .await
        .changes(account(), &next_day)
        .await
        .unwrap()
        .unwrap();
    let opening = BTreeMap::from([(btc(), ONE), (usd(), 899 * ONE + ONE / 2)]);
    assert_eq!(found.opening, opening);
    let [shift] = found.shifts[..] else {
        panic!("one deposit: {:?}", found.shifts);
    };
    let expected = (minute.plus_us(DAY_MS * 1_000), 7 * ONE, 7 * ONE);
    assert_eq!((shift.at, shift.change_minor, shift.paid_minor), expected);
    let other = AccountId::next(slot(), at(0), Some(account()));
    let found = view(&ledger).await.changes(other, &next_day).await.unwrap();
    assert_eq!(found, Some(Changes::default()), "I9");
}

#[tokio::test]
async fn i2_repeats_after_a_takeover_are_dropped_and_what_follows_them_is_taken() {
    let world = World::new().await;
    world.tell(1, &[deposit(1, 10), deposit(2, 20)]);
    world.tell(2, &[deposit(2, 20), deposit(3, 30)]);
    world.tell(1, &[deposit(1, 10)]);
    let ledger = world.ledger().await;
    world.catch_up(&ledger).await.unwrap();
    assert_eq!(ledger.balance().await.unwrap(), (None, 6));
    assert_eq!(ledger.lanes(2).await.unwrap(), [3, 0]);
    assert_eq!(ledger.positions(2).await.unwrap(), [3, 0]);
}

#[tokio::test]
async fn i2_a_gap_stops_the_projection_and_takes_nothing() {
    let world = World::new().await;
    world.tell(1, &[deposit(1, 10)]);
    let ledger = world.ledger().await;
    world.catch_up(&ledger).await.unwrap();
    world.tell(3, &[deposit(3, 30)]);
    let error = world.catch_up(&ledger).await.unwrap_err();
    assert!(
        matches!(
            error,
            ProjectionError::Store(prepx_store::Error::Gap { .. })
        ),
        "{error}"
    );
    assert_eq!(ledger.positions(2).await.unwrap(), [1, 0]);
}

#[tokio::test]
async fn a_message_of_a_newer_version_stops_the_projection() {
    let world = World::new().await;
    let mut batch = Batch::new();
    batch.push_with(Topic::PortfolioUpdates.partition(0), |to| {
        lane::write(Topic::AccountJournal.partition(0), 1, 1, &[b"\xff\xff"], to);
    });
    world.log.append(None, &batch).unwrap();
    world.log.flush().unwrap();
    let error = world.catch_up(&world.ledger().await).await.unwrap_err();
    assert!(
        matches!(error, ProjectionError::Poison(Poison { offset: 0, .. })),
        "{error}"
    );
}

/// The projection dies between any two batches and goes on with a new connection: the books are
/// those of one that never died.
#[tokio::test]
async fn it_goes_on_where_it_was_after_a_death_between_any_two_batches() {
    let script: Vec<(u64, Vec<AccountUpdate>)> = vec![
        (1, vec![deposit(1, 1_000)]),
        (2, trade(10)),
        (2, trade(10)),
        (4, [trade(10).split_off(2), trade(20)].concat()),
        (8, vec![deposit(30, 7)]),
    ];
    let mut outcomes = Vec::new();
    for death in 0..=script.len() {
        let world = World::new().await;
        for (step, (first, updates)) in script.iter().enumerate() {
            world.tell(*first, updates);
            if step < death {
                let ledger = world.ledger().await;
                world.catch_up(&ledger).await.unwrap();
                ledger.close().await;
            }
        }
        let ledger = world.ledger().await;
        world.catch_up(&ledger).await.unwrap();
        outcomes.push((
            sums(&ledger).await,
            ledger.balance().await.unwrap(),
            ledger.positions(2).await.unwrap(),
            ledger.lanes(2).await.unwrap(),
        ));
    }
    assert_eq!(outcomes[0].1, (None, 2 + 9 + 9 + 2));
    assert!(outcomes.windows(2).all(|two| two[0] == two[1]));
}
