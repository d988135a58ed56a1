//! The engines' query plans for the projection, for reads and for transfers.

use expect_test::expect_file;
use prepx_bus::Topic;
use prepx_domain::message::Fill;
use prepx_domain::update::{AccountUpdate, Change, OrderEvent, OrderView, Posting};
use prepx_domain::{
    Asset, ExecutionId, InstrumentId, Micros, OrderId, OrderStatus, Slot, TradeId, fixture,
};
use prepx_proto::journal;
use prepx_stage::follow::{Message, Run};
use prepx_stage::port::{PastOrders, PastQuery};
use prepx_store::plans::Plans;
use prepx_trace::Traces;
use uuid::Uuid;

use super::*;
use crate::domain::activity::{Kind, Place, Query};
use crate::domain::points::{Asked, Points};
use crate::domain::transfer::{Direction, Transfer, Wanted};
use crate::store::{MIGRATIONS as TRANSFERS, Store as _, sql::Sql};

/// This many accounts trade in turn, each about once a day, except one that makes every sixteenth trade.
const ACCOUNTS: u64 = 1_000;
const BUSY: u64 = 4;
const QUIET: u64 = 9;
const TRADES: u64 = 20_000;
const A_BATCH: usize = 2_000;
/// Tables with few rows, however much happens: one for each lane and partition.
const SMALL: &[&str] = &["positions"];

fn at(trade: u64) -> Micros {
    Micros(1_760_000_000_000_000 + trade as i64 * 86_400_000)
}

fn slot(trade: u64) -> Slot {
    let trader = match trade % 16 {
        0 => BUSY,
        _ => trade % ACCOUNTS,
    };
    Slot::new(trader as u16).unwrap()
}

fn account(trade: u64) -> AccountId {
    AccountId::next(slot(trade), at(0), None)
}

fn usd() -> Asset {
    "USD".parse().unwrap()
}

fn order(trade: u64) -> OrderView {
    OrderView {
        id: OrderId::next(slot(trade), at(trade), None),
        account: account(trade),
        client_order_id: format!("{trade:032x}"),
        status: OrderStatus::Filled,
        created_at: at(trade),
        ..fixture::order()
    }
}

/// A trade that moves a dollar.
fn update(trade: u64) -> AccountUpdate {
    let order = order(trade);
    let posting = |book, amount_minor| Posting {
        book,
        asset: usd(),
        amount_minor,
    };
    let fill = Fill {
        execution: ExecutionId::next(slot(trade), at(trade), None),
        trade: TradeId::next(slot(trade), at(trade), None),
        account: order.account,
        order: order.id,
        instrument: InstrumentId::next(slot(trade), at(0), None),
        side: Side::Buy,
        price_ticks: 1,
        qty_lots: 1,
        notional_minor: 1,
        fee_minor: 0,
        cum_lots: 1,
        maker: false,
    };
    let postings = vec![
        posting(Book::Available(order.account), -1),
        posting(Book::Clearing, 1),
    ];
    AccountUpdate {
        account: order.account,
        at: at(trade),
        change: Change::Order {
            order: Box::new(order),
            event: OrderEvent::Fill {
                fill,
                position_minor: 1,
            },
        },
        postings,
    }
}

/// A batch of trades that begins with this number.
fn batch(first: u64, trades: usize) -> Batch {
    let message = |trade| {
        let mut payload = Vec::new();
        journal::encode(&update(trade), &mut payload);
        Message {
            seq: trade + 1,
            offset: trade,
            payload: payload.into(),
        }
    };
    let run = Run {
        source: Topic::AccountJournal.partition(0),
        first: first + 1,
        messages: (first..).take(trades).map(message).collect(),
        traces: Traces::default(),
    };
    Batch {
        partition: source(0),
        from: first,
        next: first + trades as u64,
        runs: vec![run],
    }
}

async fn filled(location: &prepx_store::Location) -> Ledger {
    let ledger = Ledger::open(&location.clone().into()).await.unwrap();
    for first in (0..TRADES).step_by(A_BATCH) {
        ledger.take(&batch(first, A_BATCH)).await.unwrap();
    }
    ledger
}

#[tokio::test]
async fn plans_are_those_that_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let location = prepx_store::suite::location(directory.path()).await;
    let ledger = filled(&location).await;
    let mut plans = Plans::of(&ledger.shards.all()[0], SMALL).await.unwrap();
    plans
        .add(
            "the projection takes a trade",
            ledger.take(&batch(TRADES, 1)),
        )
        .await;
    orders(&ledger, &mut plans).await;
    activities(&ledger, &mut plans).await;
    changes(&ledger, &mut plans).await;
    if let Some(file) = plans.file("../../../plans/books") {
        expect_file![file].assert_eq(plans.text());
    }
}

async fn orders(ledger: &Ledger, plans: &mut Plans) {
    let page = PastQuery {
        only_ended: false,
        after: None,
        until: None,
        side: None,
        symbols: Vec::new(),
        newest_first: true,
        limit: 50,
    };
    let narrow = PastQuery {
        only_ended: true,
        after: Some(at(0)),
        until: Some(at(TRADES)),
        side: Some(Side::Buy),
        symbols: vec!["BTC/USD".to_owned(), "ACME".to_owned()],
        newest_first: false,
        ..page.clone()
    };
    for (what, which) in [
        ("an order", PastOrders::Id(order(BUSY).id)),
        (
            "an order by its owner's name for it",
            PastOrders::ClientOrderId(order(BUSY).client_order_id),
        ),
        ("the newest orders of an account", PastOrders::Query(page)),
        (
            "ended orders of an account, of some symbols, by time",
            PastOrders::Query(narrow),
        ),
    ] {
        let mut view = ledger.view(account(BUSY)).await.unwrap();
        let found = plans.add(what, view.orders(account(BUSY), &which)).await;
        assert!(!found.is_empty(), "{what}");
    }
}

async fn activities(ledger: &Ledger, plans: &mut Plans) {
    let newest = Query {
        account: account(BUSY),
        kinds: Kind::ALL.to_vec(),
        after: None,
        until: None,
        newest_first: true,
        past: None,
        limit: 50,
    };
    let narrow = Query {
        kinds: vec![Kind::Fill, Kind::Fee],
        after: Some(at(0)),
        until: Some(at(TRADES)),
        newest_first: false,
        past: Some(Place {
            at: at(BUSY),
            partition: 0,
            number: BUSY + 1,
            kind: Kind::Fill,
        }),
        ..newest.clone()
    };
    for (what, asked) in [
        ("the newest activities of an account", newest),
        ("the next activities of some kinds, by time", narrow),
    ] {
        let mut view = ledger.view(account(BUSY)).await.unwrap();
        let found = plans.add(what, view.activities(&asked)).await;
        assert!(!found.is_empty(), "{what}");
    }
}

async fn changes(ledger: &Ledger, plans: &mut Plans) {
    for (what, timeframe, trades) in [
        ("what an account had, by day", "1D", 2 * ACCOUNTS),
        ("what an account had, by hour", "1H", ACCOUNTS / 4),
    ] {
        let asked = Asked {
            timeframe,
            start: Some(at(5 * ACCOUNTS)),
            end: Some(at(5 * ACCOUNTS + trades)),
            ..Asked::default()
        };
        let points = Points::of(&asked, at(TRADES)).unwrap();
        let mut view = ledger.view(account(QUIET)).await.unwrap();
        let found = plans.add(what, view.changes(account(QUIET), &points)).await;
        assert_ne!(
            found,
            Some(crate::domain::worth::Changes::default()),
            "{what}"
        );
    }
    plans
        .add("how far a partition has been taken", ledger.position(0))
        .await;
}

#[tokio::test]
async fn plans_of_transfers_are_those_that_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let location = prepx_store::suite::location(directory.path()).await;
    let options = Options::new("transfers", prepx_store::Durability::Source);
    let shards = Shards::open(&location.into(), &options, TRANSFERS)
        .await
        .unwrap();
    let mut tx = shards.all()[0].begin().await.unwrap();
    let into = "INSERT INTO transfers (account_id, idempotency_key, command_id, stamped_at_us,
        direction, asset, amount_minor, settled)";
    let transfers: Vec<_> = (0..TRADES).map(transfer).collect();
    tx.insert_rows(into, 8, "", &transfers, |transfer, values| {
        values
            .push(transfer.wanted.account.raw())
            .push(&transfer.idempotency_key)
            .push(transfer.command.as_bytes().as_slice())
            .push(transfer.stamped_at.0)
            .push(1i64)
            .push("USD")
            .push(1i64)
            .push(1i64);
    })
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let mut plans = Plans::of(&shards.all()[0], SMALL).await.unwrap();
    let (sql, transfer) = (Sql::new(shards), transfer(TRADES));
    plans
        .add("a transfer is asked for", sql.remember(&transfer))
        .await;
    plans
        .add("a transfer has been made", sql.settle(&transfer))
        .await;
    plans
        .add("a transfer was refused", sql.forget(&transfer))
        .await;
    if let Some(file) = plans.file("../../../plans/transfers") {
        expect_file![file].assert_eq(plans.text());
    }
}

fn transfer(number: u64) -> Transfer {
    Transfer {
        wanted: Wanted {
            account: account(number),
            direction: Direction::Incoming,
            asset: usd(),
            amount_minor: 1,
        },
        idempotency_key: format!("payday {number}"),
        command: Uuid::from_u128(number.into()),
        stamped_at: at(number),
        settled: false,
    }
}
