//! Values that together hold every part of the format at least once.

use prepx_domain::message::*;
use prepx_domain::reject::{Contradiction, Field};
use prepx_domain::update::*;
use prepx_domain::*;
use uuid::Uuid;

use crate::journal::Part;

const AT: Micros = Micros(1_800_000_000_000_000);
const COMMAND: Uuid = Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);

/// The id whose last digits are `n`.
fn id<T: Part<Wire = i64>>(n: i64) -> T {
    T::from_wire((222_163_200_000 << 22) | n, "an id").expect("not negative")
}

fn usd() -> Asset {
    "USD".parse().expect("an asset")
}

fn symbol() -> Symbol {
    "BTC/USD".parse().expect("a symbol")
}

fn instrument() -> Instrument {
    Instrument {
        id: id(5),
        maker_fee_ppm: -100,
        taker_fee_ppm: 2_500,
        seed_reference_ticks: Some(6_000_000),
        ..fixture::bitcoin()
    }
}

fn share() -> Instrument {
    Instrument {
        symbol: "AAPL".parse().expect("a symbol"),
        class: AssetClass::UsEquity,
        base: "AAPL".parse().expect("an asset"),
        calendar: SessionCalendar::Nyse,
        seed_reference_ticks: None,
        ..instrument()
    }
}

fn limits() -> Limits {
    Limits {
        order_qty_minor: 1_000_000_000,
        order_notional_minor: 100_000_000_000_000,
        open_orders: 500,
        position_minor: 10_000_000_000,
    }
}

fn place() -> PlaceOrder {
    PlaceOrder {
        account: id(1),
        symbol: symbol(),
        side: Side::Buy,
        kind: OrderKind::Limit {
            limit: 6_123_456_000_000,
        },
        time_in_force: TimeInForce::GoodTilCanceled,
        qty_minor: 50_000_000,
        post_only: true,
        extended_hours: true,
        expires_at: Some(AT),
        client_order_id: "mine-1".into(),
    }
}

fn replace() -> ReplaceOrder {
    ReplaceOrder {
        account: id(1),
        order: id(2),
        qty_minor: Some(60_000_000),
        limit_minor: Some(6_123_457_000_000),
        stop_minor: Some(0),
        time_in_force: Some((TimeInForce::Day, Some(AT))),
        client_order_id: "mine-2".into(),
    }
}

fn book_order() -> BookOrder {
    BookOrder {
        order: id(2),
        account: id(1),
        instrument: id(5),
        side: Side::Sell,
        kind: OrderKind::StopLimit {
            stop: 6_100_000,
            limit: 6_090_000,
        },
        time_in_force: TimeInForce::FillOrKill,
        qty_lots: 5_000,
        protect_ticks: Some(5_800_000),
        post_only: true,
        extended_hours: true,
        awaits_session: true,
        expires_at: Some(AT),
    }
}

fn fill() -> Fill {
    Fill {
        execution: id(3),
        trade: id(4),
        account: id(1),
        order: id(2),
        instrument: id(5),
        side: Side::Buy,
        price_ticks: 6_123_456,
        qty_lots: 1,
        notional_minor: 612_345_600,
        fee_minor: 1_530_864,
        cum_lots: 7,
        maker: true,
    }
}

fn order_view() -> OrderView {
    OrderView {
        id: id(2),
        account: id(1),
        client_order_id: "mine-1".into(),
        instrument: id(5),
        symbol: symbol(),
        side: Side::Buy,
        kind: OrderKind::Limit {
            limit: 6_123_456_000_000,
        },
        time_in_force: TimeInForce::GoodTilCanceled,
        post_only: false,
        extended_hours: true,
        status: OrderStatus::PartiallyFilled,
        qty_minor: 50_000_000,
        filled_minor: 10_000,
        filled_notional_minor: 612_345_600,
        fee_minor: 1_530_864,
        held_minor: 3_070_000_000_000,
        created_at: AT,
        updated_at: AT.plus_us(1),
        expires_at: Some(AT.plus_us(2)),
        ended_at: Some(AT.plus_us(3)),
        end: Some(End::Expired),
        replaces: Some(id(6)),
        replaced_by: Some(id(7)),
    }
}

fn refusals() -> [Refusal; 7] {
    [
        Refusal::PostOnlyWouldTrade,
        Refusal::OutsideCollar {
            low_ticks: 5_700_000,
            high_ticks: 6_300_000,
        },
        Refusal::Halted,
        Refusal::SessionClosed,
        Refusal::UnknownInstrument,
        Refusal::NotLiving,
        Refusal::QuantityTraded { cum_lots: 7 },
    ]
}

fn ends() -> Vec<End> {
    use CancelReason::*;
    let canceled = [Requested, Unfilled, NotWhole, SelfTrade, ProtectPrice].map(End::Canceled);
    let rejected = refusals().map(End::Rejected);
    [&[End::Filled, End::Expired], &canceled[..], &rejected[..]].concat()
}

pub(super) fn commands() -> Vec<Command> {
    let kinds = [
        (OrderKind::Market, TimeInForce::Day),
        (OrderKind::Stop { stop: 1 }, TimeInForce::ImmediateOrCancel),
        (
            OrderKind::StopLimit { stop: 1, limit: 2 },
            TimeInForce::FillOrKill,
        ),
    ];
    let mut actions = vec![
        Action::OpenAccount {
            user: COMMAND,
            simulated: true,
        },
        Action::Deposit {
            account: id(1),
            asset: usd(),
            amount_minor: 100_000_000_000,
        },
        Action::Withdraw {
            account: id(1),
            asset: usd(),
            amount_minor: 100_000_000_000,
        },
        Action::Place(place()),
        Action::Replace(replace()),
        Action::Cancel {
            account: id(1),
            order: id(2),
        },
        Action::EndOrder {
            order: id(2),
            reason: "bug 7".to_owned(),
        },
        Action::CancelAll { account: id(1) },
        Action::SetAccountBlocked {
            account: id(1),
            blocked: true,
        },
        Action::SetTradeSuspended {
            account: id(1),
            suspended: true,
        },
        Action::SetLimits {
            account: id(1),
            limits: limits(),
        },
    ];
    actions.extend(kinds.map(|(kind, time_in_force)| {
        let (side, expires_at, post_only, extended_hours) = (Side::Sell, None, false, false);
        Action::Place(PlaceOrder {
            side,
            kind,
            time_in_force,
            expires_at,
            post_only,
            extended_hours,
            ..place()
        })
    }));
    let slot = Slot::new(4_095).expect("in range");
    let command = |action| Command {
        id: COMMAND,
        stamped_at: AT,
        slot,
        action,
    };
    actions.into_iter().map(command).collect()
}

pub(super) fn to_matching() -> Vec<ToMatching> {
    vec![
        ToMatching::Define(instrument()),
        ToMatching::Define(share()),
        ToMatching::Halt(id(5)),
        ToMatching::Resume(id(5)),
        ToMatching::Place(book_order()),
        ToMatching::Replace(BookReplace {
            old: id(6),
            new: book_order(),
        }),
        ToMatching::Cancel {
            account: id(1),
            instrument: id(5),
            order: id(2),
            answered: false,
        },
        ToMatching::Cancel {
            account: id(1),
            instrument: id(5),
            order: id(2),
            answered: true,
        },
    ]
}

pub(super) fn to_account() -> Vec<ToAccount> {
    let (account, order, old, new, cum_lots) = (id(1), id(2), id(2), id(6), 7);
    let session = |phase| ToAccount::Session {
        instrument: id(5),
        phase,
    };
    let mut all = vec![
        ToAccount::Defined(instrument()),
        ToAccount::Halted {
            instrument: id(5),
            halted: true,
        },
        ToAccount::Halted {
            instrument: id(5),
            halted: false,
        },
        ToAccount::Reference {
            instrument: id(5),
            price_ticks: 6_123_456,
        },
        session(SessionPhase::Closed),
        session(SessionPhase::Extended),
        session(SessionPhase::Regular),
        ToAccount::Absent { account, order },
        ToAccount::Parked { account, order },
        ToAccount::Entered { account, order },
        ToAccount::Triggered { account, order },
        ToAccount::Fill(fill()),
        ToAccount::Replaced {
            account,
            old,
            new,
            cum_lots,
        },
        ToAccount::ReplaceRejected {
            account,
            old,
            new,
            refusal: Refusal::NotLiving,
        },
    ];
    all.extend(ends().into_iter().map(|end| ToAccount::Ended {
        account,
        order,
        cum_lots,
        end,
    }));
    all
}

fn postings() -> Vec<Posting> {
    let posting = |(book, amount_minor)| Posting {
        book,
        asset: usd(),
        amount_minor,
    };
    let legs = [
        (Book::Available(id(1)), 5),
        (Book::Held(id(1)), -613_876_464),
        (Book::Clearing, 612_345_600),
        (Book::Fees, 1_530_864),
        (Book::Outside, -5),
        (Book::Available(id(8)), 0),
    ];
    legs.map(posting).into()
}

pub(super) fn account_updates() -> Vec<AccountUpdate> {
    let order = |event, status| {
        let order = Box::new(OrderView {
            status,
            ..order_view()
        });
        Change::Order { order, event }
    };
    let stop = OrderView {
        kind: OrderKind::Stop {
            stop: 6_123_456_000_000,
        },
        post_only: true,
        status: OrderStatus::New,
        ..order_view()
    };
    let (command, asset, amount_minor) = (COMMAND, usd(), 100_000_000_000);
    let filled = OrderEvent::Fill {
        fill: fill(),
        position_minor: -10_000,
    };
    let refused = OrderEvent::ReplaceRejected(Refusal::NotLiving);
    let canceled = OrderEvent::Ended(End::Canceled(CancelReason::Requested));
    let rejected = OrderEvent::Ended(End::Rejected(Refusal::Halted));
    let changes = vec![
        Change::Opened {
            user: COMMAND,
            simulated: true,
        },
        Change::Deposited {
            command,
            asset,
            amount_minor,
        },
        Change::Withdrawn {
            command,
            asset,
            amount_minor,
        },
        Change::Blocked(true),
        Change::Suspended(true),
        Change::LimitsSet(limits()),
        Change::Order {
            order: Box::new(stop),
            event: OrderEvent::New,
        },
        order(OrderEvent::Accepted, OrderStatus::Accepted),
        order(OrderEvent::PendingNew, OrderStatus::PendingNew),
        order(OrderEvent::PendingCancel, OrderStatus::PendingCancel),
        order(OrderEvent::PendingReplace, OrderStatus::PendingReplace),
        order(OrderEvent::Triggered, OrderStatus::PartiallyFilled),
        order(filled, OrderStatus::Filled),
        order(OrderEvent::Replaced, OrderStatus::Replaced),
        order(refused, OrderStatus::New),
        order(canceled, OrderStatus::Canceled),
        order(OrderEvent::Ended(End::Expired), OrderStatus::Expired),
        order(rejected, OrderStatus::Rejected),
    ];
    let update = |change| AccountUpdate {
        account: id(1),
        at: AT,
        change,
        postings: vec![],
    };
    let mut all: Vec<_> = changes.into_iter().map(update).collect();
    all[0].postings = postings();
    all
}

pub(super) fn market_updates() -> Vec<MarketUpdate> {
    let (price_ticks, qty_lots) = (6_123_456, 5_000);
    let changes = [
        MarketChange::Defined(Box::new(instrument())),
        MarketChange::Halted(true),
        MarketChange::Trade {
            trade: id(4),
            price_ticks,
            qty_lots,
            taker: Side::Sell,
        },
        MarketChange::Level {
            side: Side::Buy,
            price_ticks,
            qty_lots,
        },
    ];
    let update = |change| MarketUpdate {
        instrument: id(5),
        number: 300,
        at: AT,
        change,
    };
    changes.map(update).into()
}

#[expect(clippy::too_many_lines, reason = "one line a reason")]
fn rejects() -> Vec<Reject> {
    let (asset, field, scale) = (usd(), Field::Qty, 8);
    let (asked_minor, limit_minor, traded_minor) = (300, 200, 100);
    let (needed_minor, available_minor, value_minor, step_minor) = (300, 200, -1, 10_000);
    let mut rejects = vec![
        Reject::UnknownAccount,
        Reject::UnknownInstrument(symbol()),
        Reject::UnknownOrder,
        Reject::InsufficientBalance {
            asset,
            scale,
            needed_minor,
            available_minor,
        },
        Reject::AccountBlocked,
        Reject::TradeSuspended,
        Reject::Halted(symbol()),
        Reject::SessionClosed(symbol()),
        Reject::NotPositive {
            field,
            value_minor,
            scale,
        },
        Reject::OffStep {
            field,
            value_minor,
            step_minor,
            scale,
        },
        Reject::TooLarge { field },
        Reject::NoReferencePrice(symbol()),
        Reject::OutsideCollar {
            price_minor: 300,
            low_minor: 100,
            high_minor: 200,
            scale,
        },
        Reject::OrderQuantityLimit {
            asked_minor,
            limit_minor,
            scale,
        },
        Reject::OrderNotionalLimit {
            asked_minor,
            limit_minor,
            scale,
        },
        Reject::OpenOrdersLimit { limit: 500 },
        Reject::PositionLimit {
            asset,
            asked_minor,
            limit_minor,
            scale,
        },
        Reject::DuplicateClientOrderId("mine-1".into()),
        Reject::TooManyClientOrderIds { limit: 500 },
        Reject::OrderEnded,
        Reject::ReplacePending,
        Reject::CancelPending,
        Reject::NoSuchPrice {
            field: Field::StopPrice,
        },
        Reject::QuantityTraded {
            asked_minor,
            traded_minor,
            scale,
        },
        Reject::Stale {
            age_s: 90_000,
            limit_s: 86_400,
        },
        Reject::Ahead {
            ahead_s: 11,
            limit_s: 10,
        },
        Reject::AccountExists,
    ];
    let fields = [Field::LimitPrice, Field::Amount];
    rejects.extend(fields.map(|field| Reject::TooLarge { field }));
    rejects.extend(CONTRADICTIONS.map(Reject::Contradiction));
    rejects
}

pub(super) const CONTRADICTIONS: [Contradiction; 9] = [
    Contradiction::ClientOrderIdLength,
    Contradiction::PostOnlyType,
    Contradiction::PostOnlyTimeInForce,
    Contradiction::ExtendedHours,
    Contradiction::StopTimeInForce,
    Contradiction::Expired,
    Contradiction::StopSetOff,
    Contradiction::ForeignSlot,
    Contradiction::NegativeLimit,
];

pub(super) fn replies() -> Vec<Reply> {
    let acks = [
        Ack::Opened(id(1)),
        Ack::Moved {
            asset: usd(),
            available_minor: 100_000_000_000,
        },
        Ack::Order(Box::new(order_view())),
        Ack::PastOrder(id(2)),
        Ack::Canceling(vec![id(2), id(6)]),
        Ack::Done,
    ];
    let outcomes = acks
        .into_iter()
        .map(Ok)
        .chain(rejects().into_iter().map(Err));
    outcomes
        .map(|outcome| Reply {
            command: COMMAND,
            outcome,
        })
        .collect()
}
