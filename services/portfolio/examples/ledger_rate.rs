//! How fast the ledger takes order events: `cargo run --release -p prepx-portfolio --example
//! ledger_rate [ORDERS [URL]]`. Each order is placed and filled: two changes, seven postings, an
//! activity. Prints changes and rows a second. Without the URL of an empty PostgreSQL database the
//! ledger is a file.

// A tool for people, as free with panics as a test.
#![allow(clippy::unwrap_used)]

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
use prepx_stage::{Following, Retention, Topology, lane};
use prepx_store::Location;

const ONE: i64 = 100_000_000;
const ACCOUNTS: u64 = 1_000;
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

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let orders = std::env::args()
        .nth(1)
        .map_or(100_000, |n| n.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let dir = RealDir::open(&directory.path().join("log")).unwrap();
    let log = EmbeddedLog::open(dir, Config::default()).unwrap();
    tell(&log, orders);
    let location = match std::env::args().nth(2) {
        Some(url) => Location::parse(&url).unwrap(),
        None => Location::Sqlite(directory.path().join("sql")),
    };
    let ledger = Ledger::open(&location.into()).await.unwrap();
    let log: Arc<dyn Log> = log;
    let following = Following {
        tail: Tail::new(Arc::clone(&log)),
        retention: Arc::new(Retention::new(log)),
        topology: TOPOLOGY,
        clock: Arc::new(SystemClock::new()),
        duty: prepx_stage::Duty::always(),
    };
    let mut projection = Projection::open(following, ledger.clone()).await.unwrap();
    let clock = SystemClock::new();
    let begun = clock.now();
    projection.catch_up(|_| {}).await.unwrap();
    let took_us = clock.now().0 - begun.0;
    let (unbalanced, postings) = ledger.balance().await.unwrap();
    assert_eq!((unbalanced, postings), (None, orders * 7));
    let per_second = |count: u64| count * 1_000_000 / took_us.unsigned_abs().max(1);
    println!(
        "{} order events, {} rows in {} ms: {} events/s, {} rows/s",
        2 * orders,
        9 * orders,
        took_us / 1_000,
        per_second(2 * orders),
        per_second(9 * orders)
    );
}
