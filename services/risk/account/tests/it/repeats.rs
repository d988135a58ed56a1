//! Repeats, names that are taken, and what is forgotten when.

use expect_test::{Expect, expect};
use prepx_account::{Config, Input};
use prepx_domain::message::{Action, Command, End};
use prepx_domain::{Micros, OrderKind, Side, Slot};
use uuid::Uuid;

use crate::desk::{Desk, START, share};

fn check(actual: String, expect: Expect) {
    expect.assert_eq(&actual);
}

fn command(id: u128, stamped_at: Micros, action: Action) -> Input {
    Input::Command(Command {
        id: Uuid::from_u128(id),
        stamped_at,
        slot: Slot::of_user(Uuid::from_u128(7)),
        action,
    })
}

const HOUR_US: i64 = 3_600_000_000;

#[test]
fn i2_a_repeat_gets_the_first_decision_and_changes_nothing() {
    let mut desk = Desk::new();
    let stamped_at = desk.now;
    let ask = desk.ask(Side::Buy, OrderKind::Limit { limit: 1_000 }, 10);
    let placed = command(100, stamped_at, Action::Place(ask));
    let first = desk.input(&placed);
    desk.fill(1, 10, 1_000);
    desk.end(1, End::Filled);
    let again = desk.input(&placed);
    assert!(first.ends_with(&again), "{first}{again}");
    check(
        again,
        expect![[r#"
        reply: o1 New filled 0 of 1000 for 0 fee 0 held 10010
    "#]],
    );

    let (account, order) = (desk.account, desk.order(1));
    let canceled = command(101, stamped_at, Action::Cancel { account, order });
    let first = desk.input(&canceled);
    check(
        first.clone(),
        expect![[r#"
        reply: ORDER_ENDED the order has ended: it can be neither replaced nor cancelled
    "#]],
    );
    assert_eq!(
        desk.input(&canceled),
        first,
        "a reject is repeated as it was"
    );

    let asset = "USD".parse().unwrap();
    let paid = command(
        102,
        stamped_at,
        Action::Deposit {
            account,
            asset,
            amount_minor: 7,
        },
    );
    desk.input(&paid);
    desk.deposit("USD", 1_000);
    check(
        desk.input(&paid),
        expect![[r#"
        reply: 900.07 USD available
    "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 60 + 0 held, cost 10000
        USD 910.07 + 0 held
    "#]],
    );
}

#[test]
fn i2_an_order_that_is_forgotten_is_still_not_placed_twice() {
    let config = Config {
        recent_orders_max: 1,
        ..Config::default()
    };
    let mut desk = Desk::with(config, share());
    let mut ask = desk.ask(Side::Buy, OrderKind::Limit { limit: 1_000 }, 1);
    ask.client_order_id = "first".to_owned();
    let placed = command(100, desk.now, Action::Place(ask));
    desk.input(&placed);
    desk.end(1, End::Expired);
    desk.buy(1, 1_000);
    desk.end(2, End::Expired);
    assert_eq!(desk.stage.order(desk.order(1)), None);
    assert_eq!(desk.stage.recent_orders(desk.account).len(), 1);
    check(
        desk.input(&placed),
        expect![[r#"
        reply: past order o1
    "#]],
    );
}

#[test]
fn i2_commands_from_before_the_memory_are_stale() {
    let config = Config {
        commands_max: 3,
        ..Config::default()
    };
    let mut desk = Desk::with(config, share());
    let account = desk.account;
    let asset = "USD".parse().unwrap();
    let pay = Action::Deposit {
        account,
        asset,
        amount_minor: 7,
    };
    let old = command(100, desk.now, pay.clone());
    desk.input(&old);
    let late = command(101, desk.now, pay);
    check(
        desk.input(&old),
        expect![[r#"
        reply: 1000.07 USD available
    "#]],
    );
    for _ in 0..3 {
        desk.deposit("USD", 1);
    }
    check(
        desk.input(&old),
        expect![[r#"
        reply: STALE the command is 0 s old and at most 0 s are remembered: ask for the order before sending it again
    "#]],
    );
    assert!(
        desk.input(&late).contains("available"),
        "stamped after what was forgotten"
    );

    desk.now = desk.now.plus_us(25 * HOUR_US);
    let old = Input::Command(Command {
        id: Uuid::from_u128(200),
        stamped_at: START,
        slot: Slot::of_user(Uuid::from_u128(7)),
        action: Action::CancelAll { account },
    });
    check(
        desk.input(&old),
        expect![[r#"
        reply: STALE the command is 90000 s old and at most 86400 s are remembered: ask for the order before sending it again
    "#]],
    );
    let ahead = command(
        201,
        desk.now.plus_us(60_000_000),
        Action::CancelAll { account },
    );
    let refused = desk.input(&ahead);
    // Its time comes, but its sender was told that it was not taken.
    desk.now = desk.now.plus_us(120_000_000);
    assert_eq!(desk.input(&ahead), refused);
    check(
        refused,
        expect![[r#"
        reply: AHEAD the command is stamped 59 s in the future and at most 10 s are allowed: set the sender's clock
    "#]],
    );
}

#[test]
fn a_client_order_id_is_taken_while_its_order_is_open_and_a_day_after() {
    let mut desk = Desk::new();
    let mut ask = desk.ask(Side::Buy, OrderKind::Limit { limit: 1_000 }, 1);
    ask.client_order_id = "mine".to_owned();
    desk.command(Action::Place(ask.clone()));
    check(
        desk.command(Action::Place(ask.clone())),
        expect![[r#"
        reply: DUPLICATE_CLIENT_ORDER_ID client_order_id must be unique: "mine" is used by an order that is open or less than 24 hours old
    "#]],
    );
    desk.now = desk.now.plus_us(100 * HOUR_US);
    assert!(
        desk.command(Action::Place(ask.clone()))
            .contains("DUPLICATE_CLIENT_ORDER_ID")
    );
    desk.end(1, End::Expired);
    let found = desk.stage.order_by_client_id(desk.account, "mine").unwrap();
    assert_eq!(found.id, desk.order(1));
    desk.now = desk.now.plus_us(23 * HOUR_US);
    assert!(
        desk.command(Action::Place(ask.clone()))
            .contains("DUPLICATE_CLIENT_ORDER_ID")
    );
    desk.now = desk.now.plus_us(HOUR_US);
    assert_eq!(desk.input(&Input::Timer), "");
    assert!(
        desk.command(Action::Place(ask))
            .starts_with("to market: place o2")
    );
}

#[test]
fn the_memory_of_client_order_ids_is_bounded() {
    let config = Config {
        client_order_ids_max: 2,
        ..Config::default()
    };
    let mut desk = Desk::with(config, share());
    desk.buy(1, 1_000);
    desk.end(1, End::Expired);
    desk.buy(1, 1_000);
    check(
        desk.buy(1, 1_000),
        expect![[r#"
        reply: TOO_MANY_CLIENT_ORDER_IDS the account has used 2 client order ids in the last 24 hours, which is the limit: try later
    "#]],
    );
    check(
        desk.amend(2, 2, 1_000),
        expect![[r#"
        reply: TOO_MANY_CLIENT_ORDER_IDS the account has used 2 client order ids in the last 24 hours, which is the limit: try later
    "#]],
    );
    desk.now = desk.now.plus_us(25 * HOUR_US);
    desk.input(&Input::Timer);
    assert!(desk.buy(1, 1_000).starts_with("to market"));
}

#[test]
fn a_timer_that_is_not_due_does_nothing_and_one_that_is_forgets() {
    let mut desk = Desk::new();
    desk.buy(1, 1_000);
    desk.end(1, End::Expired);
    let before = desk.stage.clone();
    desk.input(&Input::Timer);
    assert_eq!(desk.stage, before);
    desk.now = desk.now.plus_us(2 * HOUR_US);
    desk.input(&Input::Timer);
    assert!(desk.stage.recent_orders(desk.account).is_empty());
    desk.now = desk.now.plus_us(48 * HOUR_US);
    desk.input(&Input::Timer);
    let snapshot = desk.stage.export();
    assert!(snapshot.commands.is_empty() && snapshot.freed_names.is_empty());
    assert!(snapshot.accounts[0].names.is_empty());
}
