//! What orders hold, and what becomes of it.

use expect_test::{Expect, expect};
use prepx_account::Config;
use prepx_domain::message::{Action, CancelReason, End, ToAccount};
use prepx_domain::{Instrument, OrderKind, Side};

use crate::desk::{Desk, share};

fn check(actual: String, expect: Expect) {
    expect.assert_eq(&actual);
}

#[test]
fn every_kind_holds_its_worst_cost() {
    let mut desk = Desk::new();
    // 11.00 is the top of the band: 3 × 11.00 + 0.1 % of 33.00 rounded up.
    check(
        desk.place(Side::Buy, OrderKind::Market, 3),
        expect![[r#"
        to market: place o1 Buy 3 lots Market protect 1100
        update: New: o1 New filled 0 of 300 for 0 fee 0 held 3304
            available -3304 USD
            held +3304 USD
        reply: o1 New filled 0 of 300 for 0 fee 0 held 3304
    "#]],
    );
    // The band is around the stop price: 12.10.
    check(
        desk.place(Side::Buy, OrderKind::Stop { stop: 1_100 }, 3),
        expect![[r#"
            to market: place o2 Buy 3 lots Stop { stop: 1100 } protect 1210
            update: New: o2 New filled 0 of 300 for 0 fee 0 held 3634
                available -3634 USD
                held +3634 USD
            reply: o2 New filled 0 of 300 for 0 fee 0 held 3634
        "#]],
    );
    let kind = OrderKind::StopLimit {
        stop: 1_100,
        limit: 1_150,
    };
    check(
        desk.place(Side::Buy, kind, 3),
        expect![[r#"
        to market: place o3 Buy 3 lots StopLimit { stop: 1100, limit: 1150 }
        update: New: o3 New filled 0 of 300 for 0 fee 0 held 3454
            available -3454 USD
            held +3454 USD
        reply: o3 New filled 0 of 300 for 0 fee 0 held 3454
    "#]],
    );
    check(
        desk.place(Side::Sell, OrderKind::Market, 3),
        expect![[r#"
        to market: place o4 Sell 3 lots Market protect 900
        update: New: o4 New filled 0 of 300 for 0 fee 0 held 300
            available -300 ACME
            held +300 ACME
        reply: o4 New filled 0 of 300 for 0 fee 0 held 300
    "#]],
    );
    check(
        desk.place(Side::Sell, OrderKind::Stop { stop: 950 }, 3),
        expect![[r#"
            to market: place o5 Sell 3 lots Stop { stop: 950 } protect 855
            update: New: o5 New filled 0 of 300 for 0 fee 0 held 300
                available -300 ACME
                held +300 ACME
            reply: o5 New filled 0 of 300 for 0 fee 0 held 300
        "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 44 + 6 held
        USD 896.08 + 103.92 held
    "#]],
    );
}

#[test]
fn a_cash_account_holds_what_it_has_and_no_more() {
    let mut desk = Desk::new();
    check(
        desk.buy(100, 1_000),
        expect![[r#"
        reply: INSUFFICIENT_BALANCE insufficient balance for USD: needs 1,001.00, 1,000.00 available
    "#]],
    );
    check(
        desk.sell(51, 1_000),
        expect![[r#"
        reply: INSUFFICIENT_BALANCE insufficient balance for ACME: needs 51.00, 50.00 available
    "#]],
    );
    assert!(desk.sell(50, 1_000).starts_with("to market"));
    check(
        desk.sell(1, 1_000),
        expect![[r#"
        reply: INSUFFICIENT_BALANCE insufficient balance for ACME: needs 1.00, 0.00 available
    "#]],
    );
    assert!(desk.buy(99, 1_000).starts_with("to market"));
    check(
        desk.buy(1, 1_000),
        expect![[r#"
        reply: INSUFFICIENT_BALANCE insufficient balance for USD: needs 10.01, 9.01 available
    "#]],
    );
    check(
        desk.withdraw("USD", 1_000),
        expect![[r#"
        reply: INSUFFICIENT_BALANCE insufficient balance for USD: needs 10.00, 9.01 available
    "#]],
    );
}

#[test]
fn a_stop_is_set_off_and_trades() {
    let mut desk = Desk::new();
    desk.place(Side::Buy, OrderKind::Stop { stop: 1_100 }, 3);
    let (account, order) = (desk.account, desk.order(1));
    check(
        desk.market(ToAccount::Triggered { account, order }),
        expect![[r#"
            update: Triggered: o1 New filled 0 of 300 for 0 fee 0 held 3634
        "#]],
    );
    check(
        desk.trade(1, 2, 1_210, false),
        expect![[r#"
        update: Fill 2 at 1210 fee 2 position 5200: o1 PartiallyFilled filled 200 of 300 for 2420 fee 2 held 1212
            held -2422 USD
            clearing +2420 USD
            clearing -200 ACME
            available +200 ACME
            fees +2 USD
    "#]],
    );
    check(
        desk.end(1, End::Canceled(CancelReason::ProtectPrice)),
        expect![[r#"
            update: Ended(Canceled(ProtectPrice)): o1 Canceled filled 200 of 300 for 2420 fee 2 held 0
                held -1212 USD
                available +1212 USD
        "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 52 + 0 held, cost 2420
        USD 975.78 + 0 held
    "#]],
    );
}

/// A lot is a hundredth of a share, and nobody pays fees.
fn hundredths() -> Instrument {
    Instrument {
        lot_minor: 1,
        seed_reference_ticks: None,
        taker_fee_ppm: 0,
        ..share()
    }
}

fn buy_hundredths(desk: &mut Desk, qty_minor: i64) {
    let mut ask = desk.ask(Side::Buy, OrderKind::Limit { limit: 150 }, 1);
    ask.qty_minor = qty_minor;
    desk.command(Action::Place(ask));
}

#[test]
fn many_small_trades_round_up_more_often_than_one_hold() {
    // 15 lots at 1.50 cost 22.5 cents, held as 23. Traded lot by lot, each costs 1.5 cents and is
    // rounded to the even 2: 30 cents.
    let mut desk = Desk::with(Config::default(), hundredths());
    buy_hundredths(&mut desk, 15);
    check(
        desk.balances(),
        expect![[r#"
        ACME 50 + 0 held
        USD 999.77 + 0.23 held
    "#]],
    );
    for _ in 0..14 {
        desk.fill(1, 1, 150);
    }
    // The hold is spent after 11 trades and a half; the rest comes out of what is available.
    check(
        desk.fill(1, 1, 150),
        expect![[r#"
        update: Fill 1 at 150 fee 0 position 5015: o1 Filled filled 15 of 15 for 30 fee 0 held 0
            available -2 USD
            clearing +2 USD
            clearing -1 ACME
            available +1 ACME
    "#]],
    );
    check(
        desk.end(1, End::Filled),
        expect![[r#"
        update: Ended(Filled): o1 Filled filled 15 of 15 for 30 fee 0 held 0
    "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 50.15 + 0 held, cost 30
        USD 999.7 + 0 held
    "#]],
    );
}

#[test]
fn where_nothing_is_available_the_fees_give_the_dust() {
    let mut desk = Desk::with(Config::default(), hundredths());
    desk.withdraw("USD", 99_995);
    buy_hundredths(&mut desk, 3);
    check(
        desk.balances(),
        expect![[r#"
        ACME 50 + 0 held
        USD 0 + 0.05 held
    "#]],
    );
    check(
        desk.fill(1, 1, 150),
        expect![[r#"
            update: Fill 1 at 150 fee 0 position 5001: o1 PartiallyFilled filled 1 of 3 for 2 fee 0 held 3
                held -2 USD
                clearing +2 USD
                clearing -1 ACME
                available +1 ACME
        "#]],
    );
    check(
        desk.fill(1, 1, 150),
        expect![[r#"
            update: Fill 1 at 150 fee 0 position 5002: o1 PartiallyFilled filled 2 of 3 for 4 fee 0 held 1
                held -2 USD
                clearing +2 USD
                clearing -1 ACME
                available +1 ACME
        "#]],
    );
    check(
        desk.fill(1, 1, 150),
        expect![[r#"
            update: Fill 1 at 150 fee -1 position 5003: o1 Filled filled 3 of 3 for 6 fee -1 held 0
                held -1 USD
                clearing +2 USD
                clearing -1 ACME
                available +1 ACME
                fees -1 USD
        "#]],
    );
    check(
        desk.end(1, End::Filled),
        expect![[r#"
            update: Ended(Filled): o1 Filled filled 3 of 3 for 6 fee -1 held 0
        "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
            ACME 50.03 + 0 held, cost 6
            USD 0 + 0 held
        "#]],
    );
}

#[test]
fn the_cost_of_a_position_goes_with_its_parts() {
    let mut desk = Desk::new();
    desk.withdraw("ACME", 5_000);
    desk.buy(3, 1_000);
    for price in [333, 333, 334] {
        desk.fill(1, 1, price);
    }
    desk.end(1, End::Filled);
    check(
        desk.balances(),
        expect![[r#"
        ACME 3 + 0 held, cost 1000
        USD 990 + 0 held
    "#]],
    );
    // 1,000 over 3 shares: 333 and a third, then half of 667 to the even 334, then all that is left.
    desk.sell(3, 1_000);
    desk.fill(2, 1, 1_000);
    check(
        desk.balances(),
        expect![[r#"
        ACME 0 + 2 held, cost 667
        USD 1000 + 0 held
    "#]],
    );
    desk.fill(2, 1, 1_000);
    check(
        desk.balances(),
        expect![[r#"
        ACME 0 + 1 held, cost 333
        USD 1010 + 0 held
    "#]],
    );
    desk.fill(2, 1, 1_000);
    desk.end(2, End::Filled);
    check(
        desk.balances(),
        expect![[r#"
        ACME 0 + 0 held
        USD 1020 + 0 held
    "#]],
    );
}
