//! How fast the ledger takes executions, in steps, so that each can be measured alone; `bench/books/run` makes
//! all but the last:
//!
//! - `ledger_rate tell LOG ORDERS` writes a log on which each order is placed and filled: two changes, seven
//!   postings, an activity, nine rows;
//! - `ledger_rate take LOG URL` runs the projection over it into the empty schema at the URL, and prints rows a
//!   second and CPU a row, the server's too where `PREPX_TEST_POSTGRES_PRIMARY` is its process;
//! - `ledger_rate check LOG URL` looks whether all of it is there and balances;
//! - `ledger_rate see LOG URL` runs the projection over it as in a process that does not take the partition, and prints
//!   CPU an order: what each process pays for each order, whoever takes it.

// A tool for people, as free with panics as a test.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use prepx_bus::embedded::Config;
use prepx_bus::file::RealDir;
use prepx_bus::{Batch, EmbeddedLog, Log, Topic};
use prepx_domain::message::Fill;
use prepx_domain::update::{AccountUpdate, Book, Change, OrderEvent, OrderView, Posting};
use prepx_domain::{
    AccountId, Asset, ExecutionId, InstrumentId, Micros, OrderId, OrderStatus, Side, Slot, TradeId,
    fixture,
};
use prepx_env::{Clock, SystemClock};
use prepx_portfolio::{Ledger, Projection};
use prepx_proto::journal;
use prepx_stage::follow::Tail;
use prepx_stage::{Duty, Following, Retention, Runner, Topology, lane};
use prepx_store::Location;

const ONE: i64 = 100_000_000;
const ACCOUNTS: u64 = 1_000;
const POSTINGS_AN_ORDER: u64 = 7;
/// With the order itself, and the activity.
const ROWS_AN_ORDER: u64 = POSTINGS_AN_ORDER + 2;
const TOPOLOGY: Topology = Topology {
    account_partitions: 1,
    matching_partitions: 1,
};

fn at(number: u64) -> Micros {
    Micros(1_760_000_000_000_000 + number as i64 * 1_000)
}

fn order(number: u64) -> OrderView {
    let slot = Slot::new((number % 4_096) as u16).unwrap();
    OrderView {
        id: OrderId::next(slot, at(number), None),
        account: AccountId::next(slot, at(number % ACCOUNTS), None),
        client_order_id: format!("{number:032x}"),
        instrument: InstrumentId::next(slot, at(0), None),
        created_at: at(number),
        updated_at: at(number),
        ..fixture::order()
    }
}

fn filled(order: &OrderView) -> (OrderView, OrderEvent) {
    let slot = order.id.slot();
    let fill = Fill {
        execution: ExecutionId::next(slot, order.created_at, None),
        trade: TradeId::next(slot, order.created_at, None),
        account: order.account,
        order: order.id,
        instrument: order.instrument,
        side: Side::Buy,
        price_ticks: 10_000,
        qty_lots: 1_000,
        notional_minor: 100 * ONE,
        fee_minor: 0,
        cum_lots: 1_000,
        maker: false,
    };
    let view = OrderView {
        status: OrderStatus::Filled,
        filled_minor: ONE,
        filled_notional_minor: 100 * ONE,
        held_minor: 0,
        ..order.clone()
    };
    let event = OrderEvent::Fill {
        fill,
        position_minor: ONE,
    };
    (view, event)
}

fn change(view: OrderView, event: OrderEvent, legs: &[(Book, Asset, i64)]) -> Vec<u8> {
    let leg = |&(book, asset, amount_minor): &(Book, Asset, i64)| Posting {
        book,
        asset,
        amount_minor,
    };
    let update = AccountUpdate {
        account: view.account,
        at: view.updated_at,
        change: Change::Order {
            order: Box::new(view),
            event,
        },
        postings: legs.iter().map(leg).collect(),
    };
    let mut bytes = Vec::new();
    journal::encode(&update, &mut bytes);
    bytes
}

fn changes(number: u64) -> [Vec<u8>; 2] {
    let (usd, btc) = ("USD".parse().unwrap(), "BTC".parse().unwrap());
    let placed = order(number);
    let (available, held) = (Book::Available(placed.account), Book::Held(placed.account));
    let (view, event) = filled(&placed);
    [
        change(
            placed,
            OrderEvent::New,
            &[(available, usd, -100 * ONE), (held, usd, 100 * ONE)],
        ),
        change(
            view,
            event,
            &[
                (held, usd, -100 * ONE),
                (Book::Clearing, usd, 100 * ONE),
                (Book::Clearing, btc, -ONE),
                (available, btc, ONE),
                (Book::Fees, usd, 0),
            ],
        ),
    ]
}

/// Tells every order's changes, ten orders a record.
fn tell(log: &EmbeddedLog, orders: u64) {
    for first in (0..orders).step_by(10) {
        let encoded: Vec<Vec<u8>> = (first..first + 10).flat_map(changes).collect();
        let messages: Vec<&[u8]> = encoded.iter().map(Vec::as_slice).collect();
        let mut batch = Batch::new();
        batch.push_with(Topic::PortfolioUpdates.partition(0), |to| {
            let source = Topic::AccountJournal.partition(0);
            lane::write(source, first / 10 + 1, 2 * first + 1, &messages, to);
        });
        log.append(None, &batch).unwrap();
        if first % 1_000 == 0 {
            log.flush().unwrap();
        }
    }
    log.flush().unwrap();
}

fn open(path: &Path) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(RealDir::open(path).unwrap(), Config::default()).unwrap()
}

async fn ledger(url: &str) -> Ledger {
    let location = Location::parse(url).unwrap();
    Ledger::open(&location.into()).await.unwrap()
}

async fn projection(path: &Path, ledger: &Ledger, duty: Duty) -> Runner<Projection> {
    let log: Arc<dyn Log> = open(path);
    let following = Following {
        tail: Tail::new(Arc::clone(&log)),
        retention: Arc::new(Retention::new(log)),
        topology: TOPOLOGY,
        clock: Arc::new(SystemClock::new()),
        duties: duty.into(),
    };
    Projection::open(following, ledger.clone()).await.unwrap()
}

async fn see(path: &Path, url: &str) {
    let mut projection = projection(path, &ledger(url).await, Duty::standing_by()).await;
    let (mut changes, used) = (0, Cpu::used());
    projection
        .catch_up(|batch| changes += batch.len())
        .await
        .unwrap();
    let (orders, used) = (changes / 2, Cpu::used().since(used));
    println!(
        "{orders} orders seen: CPU {:.2} µs each",
        used.own_us as f64 / orders as f64
    );
}

async fn take(path: &Path, url: &str) {
    let (ledger, clock) = (ledger(url).await, SystemClock::new());
    let mut projection = projection(path, &ledger, Duty::always()).await;
    let (begun, used) = (clock.now(), Cpu::used());
    projection.catch_up(|_| {}).await.unwrap();
    // The server writes some of it later.
    ledger.sync(&[0]).await.unwrap();
    let (took_us, used) = (clock.now().0 - begun.0, Cpu::used().since(used));
    let rows = ledger.lanes(1).await.unwrap()[0] / 2 * ROWS_AN_ORDER;
    println!(
        "{rows} rows in {} ms: {} rows/s; CPU {:.2} µs a row here, {:.2} µs in the server",
        took_us / 1_000,
        rows * 1_000_000 / took_us.unsigned_abs().max(1),
        used.own_us as f64 / rows as f64,
        used.server_us as f64 / rows as f64,
    );
}

async fn check(path: &Path, url: &str) {
    let end = open(path).end(Topic::PortfolioUpdates.partition(0));
    let ledger = ledger(url).await;
    assert_eq!(ledger.positions(1).await.unwrap(), [end]);
    let changes = ledger.lanes(1).await.unwrap()[0];
    let balance = ledger.balance().await.unwrap();
    assert_eq!(balance, (None, changes / 2 * POSTINGS_AN_ORDER));
    println!("{} postings, and they balance", balance.1);
}

/// CPU time of this process, and of the server's.
#[derive(Clone, Copy)]
struct Cpu {
    own_us: u64,
    server_us: u64,
}

impl Cpu {
    fn used() -> Cpu {
        let server = std::env::var("PREPX_TEST_POSTGRES_PRIMARY").ok();
        let server = server.map(|pid| pid.parse().unwrap());
        let processes = std::fs::read_dir("/proc").unwrap();
        let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let stats: Vec<Stat> = numbers.filter_map(Stat::of).collect();
        let of = |pid: Option<u32>, is_child: bool| {
            let its = |stat: &&Stat| Some(stat.pid) == pid || is_child && Some(stat.parent) == pid;
            stats.iter().filter(its).map(|stat| stat.used_us).sum()
        };
        Cpu {
            own_us: of(Some(std::process::id()), false),
            server_us: of(server, true),
        }
    }

    const fn since(self, begun: Cpu) -> Cpu {
        Cpu {
            own_us: self.own_us - begun.own_us,
            server_us: self.server_us.saturating_sub(begun.server_us),
        }
    }
}

/// What the system tells of a process, with what its children used that are no more.
struct Stat {
    pid: u32,
    parent: u32,
    used_us: u64,
}

impl Stat {
    /// A hundredth of a second, as the system counts.
    const TICK_US: u64 = 10_000;

    fn of(pid: u32) -> Option<Stat> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may have spaces in it: state, parent and so on.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = fields[11..15]
            .iter()
            .map(|ticks| ticks.parse::<u64>().unwrap());
        Some(Stat {
            pid,
            parent: fields[1].parse().unwrap(),
            used_us: ticks.sum::<u64>() * Self::TICK_US,
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let told: Vec<String> = std::env::args().skip(1).collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    match told[..] {
        ["tell", log, orders] => tell(&open(Path::new(log)), orders.parse().unwrap()),
        ["take", log, url] => take(Path::new(log), url).await,
        ["check", log, url] => check(Path::new(log), url).await,
        ["see", log, url] => see(Path::new(log), url).await,
        _ => panic!("tell LOG ORDERS, take LOG URL, check LOG URL or see LOG URL"),
    }
}
