//! Any value of the domain's messages, whether or not it makes sense to a stage.
//!
//! The larger strategies are boxed: their values' trees are too large for a test's stack.

use prepx_domain::message::*;
use prepx_domain::reject::Field;
use prepx_domain::update::*;
use prepx_domain::view::{AccountView, Balance, InstrumentView};
use prepx_domain::*;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::samples::CONTRADICTIONS;
use crate::journal::Part;

/// Numbers of every length, with the ends of the range.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        0i64..1_000,
        select(vec![0, 1, -1, i64::MAX, i64::MIN])
    ]
}

fn id<T: Part<Wire = i64> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    prop_oneof![0..=i64::MAX, Just(0), Just(i64::MAX)]
        .prop_map(|raw| T::from_wire(raw, "an id").expect("not negative"))
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn micros() -> impl Strategy<Value = Micros> {
    number().prop_map(Micros)
}

fn asset() -> impl Strategy<Value = Asset> {
    "[A-Z0-9./-]{1,12}".prop_map(|text| text.parse().expect("a name"))
}

fn symbol() -> impl Strategy<Value = Symbol> {
    "[A-Z0-9./-]{1,24}".prop_map(|text| text.parse().expect("a name"))
}

fn side() -> impl Strategy<Value = Side> {
    select(vec![Side::Buy, Side::Sell])
}

fn kind() -> impl Strategy<Value = OrderKind> {
    prop_oneof![
        Just(OrderKind::Market),
        number().prop_map(|limit| OrderKind::Limit { limit }),
        number().prop_map(|stop| OrderKind::Stop { stop }),
        (number(), number()).prop_map(|(stop, limit)| OrderKind::StopLimit { stop, limit }),
    ]
}

fn time_in_force() -> impl Strategy<Value = TimeInForce> {
    use TimeInForce::*;
    select(vec![Day, GoodTilCanceled, ImmediateOrCancel, FillOrKill])
}

fn status() -> impl Strategy<Value = OrderStatus> {
    use OrderStatus::*;
    let live = [
        New,
        PartiallyFilled,
        PendingCancel,
        PendingReplace,
        PendingNew,
    ];
    let ended = [Filled, Canceled, Expired, Replaced, Rejected];
    select([live, ended].concat())
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::PostOnlyWouldTrade),
        (number(), number()).prop_map(|(low_ticks, high_ticks)| Refusal::OutsideCollar {
            low_ticks,
            high_ticks
        }),
        Just(Refusal::Halted),
        Just(Refusal::SessionClosed),
        Just(Refusal::UnknownInstrument),
        Just(Refusal::NotLiving),
        number().prop_map(|cum_lots| Refusal::QuantityTraded { cum_lots }),
    ]
}

fn end() -> impl Strategy<Value = End> {
    use CancelReason::*;
    prop_oneof![
        Just(End::Filled),
        select(vec![Requested, Unfilled, NotWhole, SelfTrade, ProtectPrice])
            .prop_map(End::Canceled),
        Just(End::Expired),
        refusal().prop_map(End::Rejected),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (number(), number(), any::<u32>(), number()).prop_map(
        |(order_qty_minor, order_notional_minor, open_orders, position_minor)| Limits {
            order_qty_minor,
            order_notional_minor,
            open_orders,
            position_minor,
        },
    )
}

prop_compose! {
    pub(super) fn instrument()(
        (id, symbol, base, quote) in (id(), symbol(), asset(), asset()),
        (base_scale, quote_scale) in any::<(u32, u32)>(),
        (tick_minor, lot_minor, collar_ppm) in (number(), number(), number()),
        (maker_fee_ppm, taker_fee_ppm) in (number(), number()),
        class in select(vec![AssetClass::UsEquity, AssetClass::Crypto]),
        calendar in select(vec![SessionCalendar::Always, SessionCalendar::Nyse]),
        seed_reference_ticks in option::of(number()),
    ) -> Instrument {
        Instrument {
            id, symbol, class, base, quote, base_scale, quote_scale, tick_minor, lot_minor,
            collar_ppm, maker_fee_ppm, taker_fee_ppm, calendar, seed_reference_ticks,
        }
    }
}

prop_compose! {
    fn place()(
        account in id(), symbol in symbol(), side in side(), kind in kind(),
        time_in_force in time_in_force(), qty_minor in number(), post_only in any::<bool>(),
        extended_hours in any::<bool>(), expires_at in option::of(micros()),
        client_order_id in ".{0,128}",
    ) -> PlaceOrder {
        PlaceOrder {
            account, symbol, side, kind, time_in_force, qty_minor, post_only, extended_hours,
            expires_at, client_order_id,
        }
    }
}

prop_compose! {
    fn replace()(
        (account, order) in (id(), id()),
        qty_minor in option::of(number()),
        limit_minor in option::of(number()),
        stop_minor in option::of(number()),
        time_in_force in option::of((time_in_force(), option::of(micros()))),
        client_order_id in ".{0,128}",
    ) -> ReplaceOrder {
        ReplaceOrder {
            account, order, qty_minor, limit_minor, stop_minor, time_in_force, client_order_id,
        }
    }
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (uuid(), any::<bool>())
            .prop_map(|(user, simulated)| Action::OpenAccount { user, simulated }),
        (id(), asset(), number()).prop_map(|(account, asset, amount_minor)| Action::Deposit {
            account,
            asset,
            amount_minor
        }),
        (id(), asset(), number()).prop_map(|(account, asset, amount_minor)| Action::Withdraw {
            account,
            asset,
            amount_minor
        }),
        place().boxed().prop_map(Action::Place),
        replace().boxed().prop_map(Action::Replace),
        (id(), id()).prop_map(|(account, order)| Action::Cancel { account, order }),
        id().prop_map(|account| Action::CancelAll { account }),
        (id(), ".{0,20}").prop_map(|(order, reason)| Action::EndOrder { order, reason }),
        (id(), any::<bool>())
            .prop_map(|(account, blocked)| Action::SetAccountBlocked { account, blocked }),
        (id(), any::<bool>())
            .prop_map(|(account, suspended)| Action::SetTradeSuspended { account, suspended }),
        (id(), limits()).prop_map(|(account, limits)| Action::SetLimits { account, limits }),
    ]
}

prop_compose! {
    pub(super) fn command()(
        id in uuid(), stamped_at in micros(), slot in 0..4_096u16, action in action().boxed(),
    ) -> Command {
        Command { id, stamped_at, slot: Slot::new(slot).expect("in range"), action }
    }
}

prop_compose! {
    fn book_order()(
        (order, account, instrument) in (id(), id(), id()),
        side in side(), kind in kind(), time_in_force in time_in_force(), qty_lots in number(),
        protect_ticks in option::of(number()), post_only in any::<bool>(),
        (extended_hours, awaits_session) in any::<(bool, bool)>(),
        expires_at in option::of(micros()),
    ) -> BookOrder {
        BookOrder {
            order, account, instrument, side, kind, time_in_force, qty_lots, protect_ticks,
            post_only, extended_hours, awaits_session, expires_at,
        }
    }
}

pub(super) fn to_matching() -> impl Strategy<Value = ToMatching> {
    prop_oneof![
        instrument().boxed().prop_map(ToMatching::Define),
        id().prop_map(ToMatching::Halt),
        id().prop_map(ToMatching::Resume),
        book_order().boxed().prop_map(ToMatching::Place),
        (id(), book_order().boxed())
            .prop_map(|(old, new)| ToMatching::Replace(BookReplace { old, new })),
        (id(), id(), id(), any::<bool>()).prop_map(|(account, instrument, order, answered)| {
            ToMatching::Cancel {
                account,
                instrument,
                order,
                answered,
            }
        }),
    ]
}

prop_compose! {
    fn fill()(
        (execution, trade, account, order, instrument) in (id(), id(), id(), id(), id()),
        side in side(),
        (price_ticks, qty_lots, notional_minor) in (number(), number(), number()),
        (fee_minor, cum_lots, maker) in (number(), number(), any::<bool>()),
    ) -> Fill {
        Fill {
            execution, trade, account, order, instrument, side, price_ticks, qty_lots,
            notional_minor, fee_minor, cum_lots, maker,
        }
    }
}

pub(super) fn to_account() -> impl Strategy<Value = ToAccount> {
    prop_oneof![
        instrument().boxed().prop_map(ToAccount::Defined),
        (id(), any::<bool>())
            .prop_map(|(instrument, halted)| ToAccount::Halted { instrument, halted }),
        (id(), number()).prop_map(|(instrument, price_ticks)| ToAccount::Reference {
            instrument,
            price_ticks
        }),
        (
            id(),
            select(vec![
                SessionPhase::Closed,
                SessionPhase::Extended,
                SessionPhase::Regular
            ])
        )
            .prop_map(|(instrument, phase)| ToAccount::Session { instrument, phase }),
        (id(), id()).prop_map(|(account, order)| ToAccount::Absent { account, order }),
        (id(), id()).prop_map(|(account, order)| ToAccount::Parked { account, order }),
        (id(), id()).prop_map(|(account, order)| ToAccount::Entered { account, order }),
        (id(), id()).prop_map(|(account, order)| ToAccount::Triggered { account, order }),
        fill().boxed().prop_map(ToAccount::Fill),
        (id(), id(), id(), number()).prop_map(|(account, old, new, cum_lots)| {
            ToAccount::Replaced {
                account,
                old,
                new,
                cum_lots,
            }
        }),
        (id(), id(), id(), refusal()).prop_map(|(account, old, new, refusal)| {
            ToAccount::ReplaceRejected {
                account,
                old,
                new,
                refusal,
            }
        }),
        (id(), id(), number(), end()).prop_map(|(account, order, cum_lots, end)| {
            ToAccount::Ended {
                account,
                order,
                cum_lots,
                end,
            }
        }),
    ]
}

prop_compose! {
    fn order_view()(
        (id, account, instrument) in (id(), id(), id()),
        (client_order_id, symbol) in (".{0,128}", symbol()),
        (side, kind, time_in_force, status) in (side(), kind(), time_in_force(), status()),
        (post_only, extended_hours) in any::<(bool, bool)>(),
        (qty_minor, filled_minor, filled_notional_minor) in (number(), number(), number()),
        (fee_minor, held_minor) in (number(), number()),
        (created_at, updated_at) in (micros(), micros()),
        (expires_at, ended_at) in (option::of(micros()), option::of(micros())),
        (end, replaces, replaced_by) in (option::of(end()), option::of(id()), option::of(id())),
    ) -> OrderView {
        OrderView {
            id, account, client_order_id, instrument, symbol, side, kind, time_in_force,
            post_only, extended_hours, status, qty_minor, filled_minor, filled_notional_minor,
            fee_minor, held_minor, created_at, updated_at, expires_at, ended_at, end, replaces,
            replaced_by,
        }
    }
}

fn order_event() -> impl Strategy<Value = OrderEvent> {
    prop_oneof![
        Just(OrderEvent::New),
        Just(OrderEvent::Accepted),
        Just(OrderEvent::PendingNew),
        Just(OrderEvent::PendingCancel),
        Just(OrderEvent::PendingReplace),
        Just(OrderEvent::Triggered),
        (fill().boxed(), number()).prop_map(|(fill, position_minor)| OrderEvent::Fill {
            fill,
            position_minor
        }),
        Just(OrderEvent::Replaced),
        refusal().prop_map(OrderEvent::ReplaceRejected),
        end().prop_map(OrderEvent::Ended),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (uuid(), any::<bool>()).prop_map(|(user, simulated)| Change::Opened { user, simulated }),
        (uuid(), asset(), number()).prop_map(|(command, asset, amount_minor)| {
            Change::Deposited {
                command,
                asset,
                amount_minor,
            }
        }),
        (uuid(), asset(), number()).prop_map(|(command, asset, amount_minor)| {
            Change::Withdrawn {
                command,
                asset,
                amount_minor,
            }
        }),
        any::<bool>().prop_map(Change::Blocked),
        any::<bool>().prop_map(Change::Suspended),
        limits().prop_map(Change::LimitsSet),
        (order_view().boxed(), order_event().boxed()).prop_map(|(order, event)| Change::Order {
            order: Box::new(order),
            event
        }),
    ]
}

/// The books that an update of `own` may move, others' too.
pub(crate) fn posting(own: AccountId) -> impl Strategy<Value = Posting> {
    let account = || prop_oneof![Just(own), id()];
    let book = prop_oneof![
        account().prop_map(Book::Available),
        account().prop_map(Book::Held),
        select(vec![Book::Clearing, Book::Fees, Book::Outside]),
    ];
    (book, asset(), number()).prop_map(|(book, asset, amount_minor)| Posting {
        book,
        asset,
        amount_minor,
    })
}

pub(super) fn account_update() -> impl Strategy<Value = AccountUpdate> {
    (id(), micros(), change().boxed()).prop_flat_map(|(account, at, change)| {
        prop::collection::vec(posting(account), 0..7).prop_map(move |postings| AccountUpdate {
            account,
            at,
            change: change.clone(),
            postings,
        })
    })
}

fn market_change() -> impl Strategy<Value = MarketChange> {
    prop_oneof![
        instrument()
            .boxed()
            .prop_map(|instrument| MarketChange::Defined(Box::new(instrument))),
        any::<bool>().prop_map(MarketChange::Halted),
        (id(), number(), number(), side()).prop_map(|(trade, price_ticks, qty_lots, taker)| {
            MarketChange::Trade {
                trade,
                price_ticks,
                qty_lots,
                taker,
            }
        }),
        (side(), number(), number()).prop_map(|(side, price_ticks, qty_lots)| {
            MarketChange::Level {
                side,
                price_ticks,
                qty_lots,
            }
        }),
    ]
}

prop_compose! {
    pub(super) fn market_update()(
        instrument in id(), number in any::<u64>(), at in micros(), change in market_change().boxed(),
    ) -> MarketUpdate {
        MarketUpdate { instrument, number, at, change }
    }
}

fn ack() -> impl Strategy<Value = Ack> {
    prop_oneof![
        id().prop_map(Ack::Opened),
        (asset(), number()).prop_map(|(asset, available_minor)| Ack::Moved {
            asset,
            available_minor
        }),
        order_view()
            .boxed()
            .prop_map(|order| Ack::Order(Box::new(order))),
        id().prop_map(Ack::PastOrder),
        prop::collection::vec(id(), 0..5).prop_map(Ack::Canceling),
        Just(Ack::Done),
    ]
}

fn field() -> impl Strategy<Value = Field> {
    select(vec![
        Field::Qty,
        Field::LimitPrice,
        Field::StopPrice,
        Field::Amount,
    ])
}

fn plain_reject() -> impl Strategy<Value = Reject> {
    select(vec![
        Reject::UnknownAccount,
        Reject::UnknownOrder,
        Reject::AccountBlocked,
        Reject::TradeSuspended,
        Reject::OrderEnded,
        Reject::ReplacePending,
        Reject::CancelPending,
        Reject::AccountExists,
    ])
}

fn reject_with_numbers() -> impl Strategy<Value = Reject> {
    let numbers = || (number(), number(), any::<u32>());
    prop_oneof![
        (asset(), numbers()).prop_map(|(asset, (needed_minor, available_minor, scale))| {
            Reject::InsufficientBalance {
                asset,
                scale,
                needed_minor,
                available_minor,
            }
        }),
        (field(), numbers()).prop_map(|(field, (value_minor, _, scale))| {
            Reject::NotPositive {
                field,
                value_minor,
                scale,
            }
        }),
        (field(), numbers()).prop_map(|(field, (value_minor, step_minor, scale))| {
            Reject::OffStep {
                field,
                value_minor,
                step_minor,
                scale,
            }
        }),
        (number(), numbers()).prop_map(|(price_minor, (low_minor, high_minor, scale))| {
            Reject::OutsideCollar {
                price_minor,
                low_minor,
                high_minor,
                scale,
            }
        }),
        numbers().prop_map(|(asked_minor, limit_minor, scale)| {
            Reject::OrderQuantityLimit {
                asked_minor,
                limit_minor,
                scale,
            }
        }),
        numbers().prop_map(|(asked_minor, limit_minor, scale)| {
            Reject::OrderNotionalLimit {
                asked_minor,
                limit_minor,
                scale,
            }
        }),
        (asset(), numbers()).prop_map(|(asset, (asked_minor, limit_minor, scale))| {
            Reject::PositionLimit {
                asset,
                asked_minor,
                limit_minor,
                scale,
            }
        }),
        numbers().prop_map(|(asked_minor, traded_minor, scale)| {
            Reject::QuantityTraded {
                asked_minor,
                traded_minor,
                scale,
            }
        }),
        (number(), number()).prop_map(|(age_s, limit_s)| Reject::Stale { age_s, limit_s }),
        (number(), number()).prop_map(|(ahead_s, limit_s)| Reject::Ahead { ahead_s, limit_s }),
    ]
}

fn reject() -> impl Strategy<Value = Reject> {
    prop_oneof![
        plain_reject(),
        reject_with_numbers(),
        select(CONTRADICTIONS.to_vec()).prop_map(Reject::Contradiction),
        symbol().prop_map(Reject::UnknownInstrument),
        symbol().prop_map(Reject::Halted),
        symbol().prop_map(Reject::SessionClosed),
        symbol().prop_map(Reject::NoReferencePrice),
        field().prop_map(|field| Reject::TooLarge { field }),
        field().prop_map(|field| Reject::NoSuchPrice { field }),
        any::<u32>().prop_map(|limit| Reject::OpenOrdersLimit { limit }),
        any::<u32>().prop_map(|limit| Reject::TooManyClientOrderIds { limit }),
        ".{0,128}".prop_map(Reject::DuplicateClientOrderId),
    ]
}

pub(super) fn reply() -> impl Strategy<Value = Reply> {
    (
        uuid(),
        prop_oneof![ack().boxed().prop_map(Ok), reject().boxed().prop_map(Err)],
    )
        .prop_map(|(command, outcome)| Reply { command, outcome })
}

prop_compose! {
    fn balance()(
        asset in asset(), scale in any::<u32>(),
        (available_minor, held_minor, cost_minor) in (number(), number(), number()),
    ) -> Balance {
        Balance { asset, scale, available_minor, held_minor, cost_minor }
    }
}

prop_compose! {
    pub(crate) fn account_view()(
        (account, user, opened_at) in (id(), uuid(), micros()),
        (simulated, blocked, suspended) in any::<(bool, bool, bool)>(),
        limits in limits(),
        balances in proptest::collection::vec(balance(), 0..5),
        open_orders in any::<u32>(),
    ) -> AccountView {
        AccountView {
            account, user, opened_at, simulated, blocked, suspended, limits, balances, open_orders,
        }
    }
}

prop_compose! {
    pub(crate) fn instrument_view()(
        instrument in instrument(),
        halted in any::<bool>(),
        reference_ticks in option::of(number()),
    ) -> InstrumentView {
        InstrumentView { instrument, halted, reference_ticks }
    }
}
