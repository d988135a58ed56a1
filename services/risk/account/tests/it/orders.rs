//! What is accepted and what is refused, with which words and numbers.

use expect_test::{Expect, expect};
use prepx_account::Config;
use prepx_domain::message::{Action, CancelReason, End, Limits, PlaceOrder, Refusal, ToAccount};
use prepx_domain::{Instrument, OrderKind, Side, TimeInForce};

use crate::desk::{Desk, START, share};

fn check(actual: String, expect: Expect) {
    expect.assert_eq(&actual);
}

fn place(desk: &mut Desk, change: impl FnOnce(&mut PlaceOrder)) -> String {
    let mut ask = desk.ask(Side::Buy, OrderKind::Limit { limit: 1_000 }, 1);
    change(&mut ask);
    desk.command(Action::Place(ask))
}

#[test]
fn an_order_that_says_nonsense_is_told_what_would_be_right() {
    let mut desk = Desk::new();
    let stop = OrderKind::Stop { stop: 900 };
    check(
        place(&mut desk, |ask| ask.client_order_id = String::new()),
        expect![[r#"
            reply: CONTRADICTION client_order_id must have 1 to 128 characters
        "#]],
    );
    check(
        place(&mut desk, |ask| ask.client_order_id = "x".repeat(129)),
        expect![[r#"
            reply: CONTRADICTION client_order_id must have 1 to 128 characters
        "#]],
    );
    check(
        place(&mut desk, |ask| {
            (ask.post_only, ask.kind) = (true, OrderKind::Market)
        }),
        expect![[r#"
            reply: CONTRADICTION post-only is for limit orders: an order of this type takes liquidity
        "#]],
    );
    check(
        place(&mut desk, |ask| {
            (ask.post_only, ask.time_in_force) = (true, TimeInForce::FillOrKill);
        }),
        expect![[r#"
            reply: CONTRADICTION post-only needs time_in_force day or gtc: ioc and fok never rest
        "#]],
    );
    check(
        place(&mut desk, |ask| {
            (ask.kind, ask.time_in_force) = (stop, TimeInForce::ImmediateOrCancel);
        }),
        expect![[r#"
            reply: CONTRADICTION a stop waits for its price: it needs time_in_force day or gtc
        "#]],
    );
    check(
        place(&mut desk, |ask| ask.expires_at = Some(START)),
        expect![[r#"
            reply: CONTRADICTION the order would have expired already: its session is over
        "#]],
    );
}

#[test]
fn what_does_not_exist_or_fit_is_refused_by_name() {
    let mut desk = Desk::new();
    check(
        place(&mut desk, |ask| ask.symbol = "NOPE".parse().unwrap()),
        expect![[r#"
            reply: UNKNOWN_INSTRUMENT asset NOPE not found; GET /v2/assets lists what trades here
        "#]],
    );
    check(
        place(&mut desk, |ask| {
            ask.account = prepx_domain::AccountId::new(5).unwrap()
        }),
        expect![[r#"
            reply: UNKNOWN_ACCOUNT account not found
        "#]],
    );
    check(
        place(&mut desk, |ask| ask.qty_minor = 0),
        expect![[r#"
        reply: NOT_POSITIVE qty is 0: it must be above 0
    "#]],
    );
    check(
        place(&mut desk, |ask| ask.qty_minor = 150),
        expect![[r#"
        reply: OFF_STEP qty 1.5 is not a multiple of 1
    "#]],
    );
    check(
        place(&mut desk, |ask| ask.qty_minor = i64::MAX - 7),
        expect![[r#"
            reply: TOO_LARGE qty is too large: an order has at most 281474976710656 lots and holds at most 9223372036854775807 of the smallest units of what it pays
        "#]],
    );
    check(
        place(&mut desk, |ask| ask.kind = OrderKind::Limit { limit: -5 }),
        expect![[r#"
            reply: NOT_POSITIVE limit_price is -0.05: it must be above 0
        "#]],
    );
    check(
        place(&mut desk, |ask| {
            ask.kind = OrderKind::Limit { limit: 1 << 48 };
            ask.qty_minor = (1 << 48) * 100;
        }),
        expect![[r#"
            reply: ORDER_QUANTITY_LIMIT qty 281474976710656 is above this account's limit of 100000000000000 per order
        "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 50 + 0 held
        USD 1000 + 0 held
    "#]],
    );
}

#[test]
fn prices_off_the_tick_are_refused_by_field() {
    let instrument = Instrument {
        tick_minor: 5,
        ..share()
    };
    let mut desk = Desk::with(Config::default(), instrument);
    check(
        desk.buy(1, 1_001),
        expect![[r#"
        reply: OFF_STEP limit_price 10.01 is not a multiple of 0.05
    "#]],
    );
    let kind = OrderKind::StopLimit {
        stop: 1_003,
        limit: 1_005,
    };
    check(
        desk.place(Side::Buy, kind, 1),
        expect![[r#"
        reply: OFF_STEP stop_price 10.03 is not a multiple of 0.05
    "#]],
    );
}

#[test]
fn the_collar_stops_only_the_wrong_side() {
    let mut desk = Desk::new();
    check(
        desk.buy(1, 1_101),
        expect![[r#"
        reply: OUTSIDE_COLLAR limit_price 11.01 is outside the allowed band 9 to 11
    "#]],
    );
    check(
        desk.sell(1, 899),
        expect![[r#"
        reply: OUTSIDE_COLLAR limit_price 8.99 is outside the allowed band 9 to 11
    "#]],
    );
    assert!(desk.buy(1, 1_100).starts_with("to market"));
    assert!(desk.sell(1, 900).starts_with("to market"));
    assert!(
        desk.buy(1, 1).starts_with("to market"),
        "a low bid harms nobody"
    );
    assert!(desk.sell(1, 9_000).starts_with("to market"));
    let instrument = share().id;
    let moved = ToAccount::Reference {
        instrument,
        price_ticks: 2_000,
    };
    assert_eq!(desk.market(moved), "");
    assert!(desk.buy(1, 2_200).starts_with("to market"));
    check(
        desk.buy(1, 2_201),
        expect![[r#"
        reply: OUTSIDE_COLLAR limit_price 22.01 is outside the allowed band 18 to 22
    "#]],
    );
}

#[test]
fn without_a_reference_limits_are_taken_and_market_orders_are_not() {
    let instrument = Instrument {
        seed_reference_ticks: None,
        ..share()
    };
    let mut desk = Desk::with(Config::default(), instrument);
    assert!(desk.buy(1, 9_000).starts_with("to market"));
    check(
        desk.place(Side::Buy, OrderKind::Market, 1),
        expect![[r#"
        reply: NO_REFERENCE_PRICE ACME has no reference price yet: send a limit order, or wait for a first trade
    "#]],
    );
    assert!(
        desk.place(Side::Buy, OrderKind::Stop { stop: 1_000 }, 1)
            .starts_with("to market")
    );
}

#[test]
fn limits_of_an_account() {
    let mut desk = Desk::new();
    let account = desk.account;
    let limits = Limits {
        order_qty_minor: 2_000,
        order_notional_minor: 15_000,
        open_orders: 2,
        position_minor: 6_000,
    };
    check(
        desk.command(Action::SetLimits { account, limits }),
        expect![[r#"
            update: LimitsSet(Limits { order_qty_minor: 2000, order_notional_minor: 15000, open_orders: 2, position_minor: 6000 })
            reply: done
        "#]],
    );
    check(
        desk.buy(21, 100),
        expect![[r#"
        reply: ORDER_QUANTITY_LIMIT qty 21 is above this account's limit of 20 per order
    "#]],
    );
    check(
        desk.buy(16, 1_000),
        expect![[r#"
        reply: ORDER_NOTIONAL_LIMIT the order's value of 160.00 is above this account's limit of 150.00 per order
    "#]],
    );
    check(
        desk.buy(11, 1_000),
        expect![[r#"
        reply: POSITION_LIMIT the position in ACME could become 61, above this account's limit of 60
    "#]],
    );
    assert!(desk.buy(6, 1_000).starts_with("to market"));
    check(
        desk.buy(5, 1_000),
        expect![[r#"
        reply: POSITION_LIMIT the position in ACME could become 61, above this account's limit of 60
    "#]],
    );
    assert!(desk.sell(1, 1_000).starts_with("to market"));
    check(
        desk.sell(1, 1_000),
        expect![[r#"
        reply: OPEN_ORDERS_LIMIT 2 orders are open, which is this account's limit: cancel one first
    "#]],
    );
    desk.end(1, End::Canceled(CancelReason::Requested));
    assert!(desk.buy(10, 1_000).starts_with("to market"));
    let limits = Limits {
        position_minor: -1,
        ..limits
    };
    check(
        desk.command(Action::SetLimits { account, limits }),
        expect![[r#"
            reply: CONTRADICTION a limit must not be negative
        "#]],
    );
}

#[test]
fn a_stopped_account_can_only_cancel() {
    let mut desk = Desk::new();
    let account = desk.account;
    desk.buy(1, 1_000);
    check(
        desk.command(Action::SetAccountBlocked {
            account,
            blocked: true,
        }),
        expect![[r#"
            update: Blocked(true)
            reply: done
        "#]],
    );
    check(
        desk.buy(1, 1_000),
        expect![[r#"
        reply: ACCOUNT_BLOCKED the account is stopped by an operator: only cancels are accepted
    "#]],
    );
    check(
        desk.amend(1, 2, 1_000),
        expect![[r#"
        reply: ACCOUNT_BLOCKED the account is stopped by an operator: only cancels are accepted
    "#]],
    );
    check(
        desk.withdraw("USD", 1),
        expect![[r#"
        reply: ACCOUNT_BLOCKED the account is stopped by an operator: only cancels are accepted
    "#]],
    );
    assert!(
        desk.deposit("USD", 1).contains("available"),
        "money on its way arrives"
    );
    assert!(desk.cancel(1).starts_with("to market: cancel o1"));
    check(
        desk.command(Action::SetAccountBlocked {
            account,
            blocked: false,
        }),
        expect![[r#"
            update: Blocked(false)
            reply: done
        "#]],
    );
}

#[test]
fn an_account_that_its_owner_suspended_can_only_cancel() {
    let mut desk = Desk::new();
    let account = desk.account;
    let suspend = |suspended| Action::SetTradeSuspended { account, suspended };
    let block = |blocked| Action::SetAccountBlocked { account, blocked };
    desk.buy(1, 1_000);
    check(
        desk.command(suspend(true)),
        expect![[r#"
            update: Suspended(true)
            reply: done
        "#]],
    );
    check(
        desk.buy(1, 1_000),
        expect![[r#"
            reply: TRADE_SUSPENDED trading is suspended by the account's owner: only cancels are accepted until suspend_trade is false
        "#]],
    );
    assert!(
        desk.amend(1, 2, 1_000)
            .starts_with("reply: TRADE_SUSPENDED")
    );
    // Money is not trade, and the operator's switch is another one.
    assert!(desk.withdraw("USD", 1).contains("available"));
    desk.command(block(true));
    assert!(desk.buy(1, 1_000).starts_with("reply: ACCOUNT_BLOCKED"));
    desk.command(block(false));
    assert!(desk.buy(1, 1_000).starts_with("reply: TRADE_SUSPENDED"));
    assert!(desk.cancel(1).starts_with("to market: cancel o1"));
    desk.command(suspend(false));
    assert!(desk.buy(1, 1_000).starts_with("to market: place"));
}

#[test]
fn a_halted_instrument_takes_only_cancels() {
    let mut desk = Desk::new();
    desk.buy(1, 1_000);
    let instrument = share().id;
    desk.market(ToAccount::Halted {
        instrument,
        halted: true,
    });
    check(
        desk.buy(1, 1_000),
        expect![[r#"
        reply: HALTED ACME is halted: only cancels are accepted
    "#]],
    );
    check(
        desk.amend(1, 2, 1_000),
        expect![[r#"
        reply: HALTED ACME is halted: only cancels are accepted
    "#]],
    );
    assert!(desk.cancel(1).starts_with("to market: cancel o1"));
    desk.market(ToAccount::Halted {
        instrument,
        halted: false,
    });
    assert!(desk.buy(1, 1_000).starts_with("to market"));
}

#[test]
fn the_market_may_refuse_what_was_acknowledged() {
    let mut desk = Desk::new();
    desk.buy(5, 1_000);
    check(
        desk.end(1, End::Rejected(Refusal::PostOnlyWouldTrade)),
        expect![[r#"
            update: Ended(Rejected(PostOnlyWouldTrade)): o1 Rejected filled 0 of 500 for 0 fee 0 held 0
                held -5005 USD
                available +5005 USD
        "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 50 + 0 held
        USD 1000 + 0 held
    "#]],
    );
}

#[test]
fn others_cannot_touch_an_order() {
    let mut desk = Desk::new();
    desk.buy(1, 1_000);
    let (order, owner) = (desk.order(1), desk.account);
    let mut other = Desk::empty(Config::default());
    other.open();
    check(
        other.command(Action::Cancel {
            account: other.account,
            order,
        }),
        expect![[r#"
            reply: UNKNOWN_ORDER order not found
        "#]],
    );
    let stranger = prepx_domain::AccountId::new(owner.raw() + (1 << 30)).unwrap();
    check(
        desk.command(Action::Cancel {
            account: stranger,
            order,
        }),
        expect![[r#"
            reply: UNKNOWN_ACCOUNT account not found
        "#]],
    );
}

#[test]
fn orders_of_one_moment_have_come_one_after_the_other() {
    let mut desk = Desk::new();
    desk.buy(1, 1_000);
    let moment = desk.now;
    for limit in [1_001, 1_002] {
        // The desk goes on by a millisecond with each input: as in one turn, it does not here.
        desk.now = moment.plus_us(-1_000);
        desk.buy(1, limit);
    }
    let seen = |number| desk.stage.order(desk.order(number)).unwrap();
    let came: Vec<i64> = [1, 2, 3]
        .map(|number| seen(number).created_at.0 - moment.0)
        .into();
    assert_eq!(came, [0, 1, 2]);
    for number in 1..=3 {
        assert_eq!(seen(number).updated_at, seen(number).created_at);
    }
}
