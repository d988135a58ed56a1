//! Orders that wait for their session: what is held for them, and what becomes of them.

use expect_test::{Expect, expect};
use prepx_account::Config;
use prepx_domain::message::{Action, CancelReason, End, PlaceOrder, ToAccount};
use prepx_domain::{Instrument, OrderKind, SessionCalendar, SessionPhase, Side, TimeInForce};

use crate::desk::{Desk, share};

fn listed() -> Instrument {
    Instrument {
        calendar: SessionCalendar::Nyse,
        ..share()
    }
}

/// A desk in a market that is closed, as it is until it says otherwise.
fn closed() -> Desk {
    Desk::with(Config::default(), listed())
}

fn phase(desk: &mut Desk, phase: SessionPhase) {
    let instrument = listed().id;
    desk.market(ToAccount::Session { instrument, phase });
}

/// The order's status and hold, and what is available.
fn check(desk: &Desk, number: usize, expected: Expect) {
    let order = desk.stage.order(desk.order(number)).expect("it is kept");
    let usd = desk.stage.account(desk.account).expect("it was opened");
    let usd = usd.balances.iter().find(|b| b.asset.as_str() == "USD");
    let available = usd.map(|balance| balance.available_minor);
    let line = format!(
        "{:?} holds {}, {available:?} left",
        order.status, order.held_minor
    );
    expected.assert_eq(&line);
}

fn entered(desk: &mut Desk, number: usize) -> String {
    let (account, order) = (desk.account, desk.order(number));
    desk.market(ToAccount::Entered { account, order })
}

#[test]
fn an_order_is_accepted_and_holds_until_the_session_lets_it_in() {
    let mut desk = closed();
    desk.buy(10, 1_000);
    check(&desk, 1, expect!["Accepted holds 10010, Some(89990) left"]);
    phase(&mut desk, SessionPhase::Regular);
    check(&desk, 1, expect!["Accepted holds 10010, Some(89990) left"]);
    entered(&mut desk, 1);
    check(&desk, 1, expect!["New holds 10010, Some(89990) left"]);
    assert_eq!(entered(&mut desk, 1), "", "it has entered already");
    desk.buy(10, 1_000);
    check(&desk, 2, expect!["New holds 10010, Some(79980) left"]);
    let (account, order) = (desk.account, desk.order(2));
    desk.market(ToAccount::Parked { account, order });
    check(&desk, 2, expect!["Accepted holds 10010, Some(79980) left"]);
}

#[test]
fn a_parked_order_is_cancelled_and_gives_its_hold_back() {
    let mut desk = closed();
    desk.buy(10, 1_000);
    desk.cancel(1);
    check(
        &desk,
        1,
        expect!["PendingCancel holds 10010, Some(89990) left"],
    );
    desk.end(1, End::Canceled(CancelReason::Requested));
    check(&desk, 1, expect!["Canceled holds 0, Some(100000) left"]);
}

#[test]
fn a_parked_order_is_replaced_and_its_replacement_waits_too() {
    let mut desk = closed();
    desk.buy(10, 1_000);
    desk.amend(1, 12, 1_000);
    check(&desk, 2, expect!["PendingNew holds 2002, Some(87988) left"]);
    let (account, old, new) = (desk.account, desk.order(1), desk.order(2));
    desk.market(ToAccount::Replaced {
        account,
        old,
        new,
        cum_lots: 0,
    });
    check(&desk, 1, expect!["Replaced holds 0, Some(87988) left"]);
    check(&desk, 2, expect!["Accepted holds 12012, Some(87988) left"]);
}

#[test]
fn what_must_trade_at_once_is_refused_while_its_session_is_not_on() {
    let mut desk = closed();
    let ask = |desk: &Desk, time_in_force, extended_hours| PlaceOrder {
        time_in_force,
        extended_hours,
        ..desk.ask(Side::Buy, OrderKind::Limit { limit: 1_000 }, 10)
    };
    let ioc = ask(&desk, TimeInForce::ImmediateOrCancel, false);
    let refusal = desk.command(Action::Place(ioc.clone()));
    expect![[r#"
        reply: SESSION_CLOSED ACME is closed: ioc and fok orders trade at once; send time_in_force day or gtc to wait for the session
    "#]].assert_eq(&refusal);
    phase(&mut desk, SessionPhase::Extended);
    let waits = ask(&desk, TimeInForce::Day, false);
    desk.command(Action::Place(waits));
    check(&desk, 1, expect!["Accepted holds 10010, Some(89990) left"]);
    let trades = ask(&desk, TimeInForce::Day, true);
    desk.command(Action::Place(trades));
    check(&desk, 2, expect!["New holds 10010, Some(79980) left"]);
    let extended = PlaceOrder {
        extended_hours: true,
        client_order_id: "another".into(),
        ..ioc
    };
    let refusal = desk.command(Action::Place(extended));
    expect![[r#"
        reply: CONTRADICTION extended_hours is for limit orders with time_in_force day or gtc only
    "#]]
    .assert_eq(&refusal);
}
