//! What it costs to write and read the messages of the log that an order makes: nanoseconds and
//! bytes of one message, on one core. `cargo run --release -p prepx-proto --example journal_cost`.

use std::hint::black_box;
use std::time::Instant;

use prepx_domain::message::*;
use prepx_domain::update::*;
use prepx_domain::*;
use prepx_proto::journal::{Record, decode, encode};
use uuid::Uuid;

const ROUNDS: u32 = 2_000_000;

#[expect(
    clippy::disallowed_methods,
    reason = "a measurement needs the real clock"
)]
fn now() -> Instant {
    Instant::now()
}

fn measure<T: Record>(name: &str, value: &T) {
    let mut bytes = Vec::with_capacity(1_024);
    let start = now();
    for _ in 0..ROUNDS {
        bytes.clear();
        encode(black_box(value), &mut bytes);
        black_box(&bytes);
    }
    let encoded = start.elapsed();
    let start = now();
    for _ in 0..ROUNDS {
        let read = decode::<T>(black_box(&bytes)).ok();
        assert!(black_box(read).is_some());
    }
    let decoded = start.elapsed();
    println!(
        "{name:<24} {:>4} bytes   encode {:>4} ns   decode {:>4} ns",
        bytes.len(),
        encoded.as_nanos() / u128::from(ROUNDS),
        decoded.as_nanos() / u128::from(ROUNDS),
    );
}

fn raw(number: i64) -> i64 {
    (222_163_200_000 << 22) | number
}

fn account() -> AccountId {
    AccountId::new(raw(1)).expect("not negative")
}

fn order() -> OrderId {
    OrderId::new(raw(2)).expect("not negative")
}

fn instrument() -> InstrumentId {
    InstrumentId::new(raw(3)).expect("not negative")
}

fn at() -> Micros {
    Micros(1_800_000_000_000_000)
}

fn place() -> Command {
    Command {
        id: Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef),
        stamped_at: at(),
        slot: account().slot(),
        action: Action::Place(PlaceOrder {
            account: account(),
            symbol: "BTC/USD".parse().expect("a symbol"),
            side: Side::Buy,
            kind: OrderKind::Limit {
                limit: 6_123_456_000_000,
            },
            time_in_force: TimeInForce::GoodTilCanceled,
            qty_minor: 50_000_000,
            post_only: false,
            extended_hours: false,
            expires_at: None,
            client_order_id: "0b6fc8e6-5a5b-4d1e-a4ad-4b8e9a1f2c3d".into(),
        }),
    }
}

fn book_order() -> ToMatching {
    ToMatching::Place(BookOrder {
        order: order(),
        account: account(),
        instrument: instrument(),
        side: Side::Buy,
        kind: OrderKind::Limit { limit: 6_123_456 },
        time_in_force: TimeInForce::GoodTilCanceled,
        qty_lots: 5_000,
        protect_ticks: None,
        post_only: false,
        extended_hours: false,
        awaits_session: false,
        expires_at: None,
    })
}

fn fill() -> Fill {
    Fill {
        execution: ExecutionId::new(raw(4)).expect("not negative"),
        trade: TradeId::new(raw(5)).expect("not negative"),
        account: account(),
        order: order(),
        instrument: instrument(),
        side: Side::Buy,
        price_ticks: 6_123_456,
        qty_lots: 5_000,
        notional_minor: 3_061_728_000_000,
        fee_minor: 7_654_320_000,
        cum_lots: 5_000,
        maker: false,
    }
}

/// A fill's update with its order and the six postings of a trade.
fn update() -> AccountUpdate {
    let posting = |book, amount_minor| Posting {
        book,
        asset: "USD".parse().expect("an asset"),
        amount_minor,
    };
    let view = OrderView {
        id: order(),
        account: account(),
        client_order_id: "0b6fc8e6-5a5b-4d1e-a4ad-4b8e9a1f2c3d".into(),
        instrument: instrument(),
        symbol: "BTC/USD".parse().expect("a symbol"),
        side: Side::Buy,
        kind: OrderKind::Limit {
            limit: 6_123_456_000_000,
        },
        time_in_force: TimeInForce::GoodTilCanceled,
        post_only: false,
        extended_hours: false,
        status: OrderStatus::Filled,
        qty_minor: 50_000_000,
        filled_minor: 50_000_000,
        filled_notional_minor: 3_061_728_000_000,
        fee_minor: 7_654_320_000,
        held_minor: 0,
        created_at: at(),
        updated_at: at(),
        expires_at: None,
        ended_at: Some(at()),
        end: Some(End::Filled),
        replaces: None,
        replaced_by: None,
    };
    AccountUpdate {
        account: account(),
        at: at(),
        change: Change::Order {
            order: Box::new(view),
            event: OrderEvent::Fill {
                fill: fill(),
                position_minor: 150_000_000,
            },
        },
        postings: vec![
            posting(Book::Held(account()), -3_069_382_320_000),
            posting(Book::Clearing, 3_061_728_000_000),
            posting(Book::Fees, 7_654_320_000),
            posting(Book::Clearing, -50_000_000),
            posting(Book::Available(account()), 50_000_000),
            posting(Book::Available(account()), 12),
        ],
    }
}

fn level() -> MarketUpdate {
    MarketUpdate {
        instrument: instrument(),
        number: 123_456,
        at: at(),
        change: MarketChange::Level {
            side: Side::Buy,
            price_ticks: 6_123_456,
            qty_lots: 5_000,
        },
    }
}

fn main() {
    measure("Command (Place)", &place());
    measure("ToMatching (Place)", &book_order());
    measure("ToAccount (Fill)", &ToAccount::Fill(fill()));
    measure("AccountUpdate (Fill)", &update());
    measure("MarketUpdate (Level)", &level());
}
