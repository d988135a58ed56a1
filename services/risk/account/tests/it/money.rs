//! Accounts and money in and out.

use expect_test::{Expect, expect};
use prepx_account::Config;
use prepx_domain::message::End;

use crate::desk::Desk;

fn check(actual: String, expect: Expect) {
    expect.assert_eq(&actual);
}

#[test]
fn an_accounts_life() {
    let mut desk = Desk::new();
    check(
        desk.open(),
        expect![[r#"
        reply: ACCOUNT_EXISTS the user has an account already
    "#]],
    );
    check(
        desk.deposit("USD", 5),
        expect![[r#"
        update: Deposited { command: 00000000-0000-0000-0000-000000000005, asset: USD, amount_minor: 5 }
            outside -5 USD
            available +5 USD
        reply: 1000.05 USD available
    "#]],
    );
    check(
        desk.withdraw("USD", 100_006),
        expect![[r#"
        reply: INSUFFICIENT_BALANCE insufficient balance for USD: needs 1,000.06, 1,000.05 available
    "#]],
    );
    check(
        desk.withdraw("USD", 100_005),
        expect![[r#"
        update: Withdrawn { command: 00000000-0000-0000-0000-000000000007, asset: USD, amount_minor: 100005 }
            available -100005 USD
            outside +100005 USD
        reply: 0 USD available
    "#]],
    );
    check(
        desk.deposit("USD", 0),
        expect![[r#"
        reply: NOT_POSITIVE amount is 0: it must be above 0
    "#]],
    );
    check(
        desk.withdraw("USD", -3),
        expect![[r#"
        reply: NOT_POSITIVE amount is -0.03: it must be above 0
    "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 50 + 0 held
        USD 0 + 0 held
    "#]],
    );
}

#[test]
fn a_buy_from_order_to_position() {
    let mut desk = Desk::new();
    check(
        desk.buy(10, 1_000),
        expect![[r#"
        to market: place o1 Buy 10 lots Limit { limit: 1000 }
        update: New: o1 New filled 0 of 1000 for 0 fee 0 held 10010
            available -10010 USD
            held +10010 USD
        reply: o1 New filled 0 of 1000 for 0 fee 0 held 10010
    "#]],
    );
    check(
        desk.trade(1, 4, 990, false),
        expect![[r#"
        update: Fill 4 at 990 fee 4 position 5400: o1 PartiallyFilled filled 400 of 1000 for 3960 fee 4 held 6046
            held -3964 USD
            clearing +3960 USD
            clearing -400 ACME
            available +400 ACME
            fees +4 USD
    "#]],
    );
    check(
        desk.fill(1, 6, 1_000),
        expect![[r#"
        update: Fill 6 at 1000 fee 0 position 6000: o1 Filled filled 1000 of 1000 for 9960 fee 4 held 46
            held -6000 USD
            clearing +6000 USD
            clearing -600 ACME
            available +600 ACME
    "#]],
    );
    check(
        desk.end(1, End::Filled),
        expect![[r#"
        update: Ended(Filled): o1 Filled filled 1000 of 1000 for 9960 fee 4 held 0
            held -46 USD
            available +46 USD
    "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 60 + 0 held, cost 9960
        USD 900.36 + 0 held
    "#]],
    );
}

#[test]
fn a_sell_from_position_to_cash() {
    let mut desk = Desk::new();
    check(
        desk.sell(10, 1_000),
        expect![[r#"
        to market: place o1 Sell 10 lots Limit { limit: 1000 }
        update: New: o1 New filled 0 of 1000 for 0 fee 0 held 1000
            available -1000 ACME
            held +1000 ACME
        reply: o1 New filled 0 of 1000 for 0 fee 0 held 1000
    "#]],
    );
    check(
        desk.trade(1, 4, 1_010, false),
        expect![[r#"
        update: Fill 4 at 1010 fee 4 position 4600: o1 PartiallyFilled filled 400 of 1000 for 4040 fee 4 held 600
            held -400 ACME
            clearing +400 ACME
            clearing -4040 USD
            available +4036 USD
            fees +4 USD
    "#]],
    );
    check(
        desk.end(1, End::Expired),
        expect![[r#"
        update: Ended(Expired): o1 Expired filled 400 of 1000 for 4040 fee 4 held 0
            held -600 ACME
            available +600 ACME
    "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 46 + 0 held
        USD 1040.36 + 0 held
    "#]],
    );
}

#[test]
fn the_supply_of_an_asset_is_bounded_so_that_nothing_overflows() {
    let mut desk = Desk::empty(Config::of_partitions(2));
    desk.open();
    check(
        desk.deposit("USD", i64::MAX),
        expect![[r#"
        reply: TOO_LARGE amount is larger than can be carried here: send a smaller one
    "#]],
    );
    check(
        desk.deposit("USD", i64::MAX / 2),
        expect![[r#"
            reply: TOO_LARGE amount is larger than can be carried here: send a smaller one
        "#]],
    );
    check(
        desk.deposit("USD", 1),
        expect![[r#"
            update: Deposited { command: 00000000-0000-0000-0000-000000000004, asset: USD, amount_minor: 1 }
                outside -1 USD
                available +1 USD
            reply: 0.00000001 USD available
        "#]],
    );
    check(
        desk.deposit("EUR", 1),
        expect![[r#"
        update: Deposited { command: 00000000-0000-0000-0000-000000000005, asset: EUR, amount_minor: 1 }
            outside -1 EUR
            available +1 EUR
        reply: 0.00000001 EUR available
    "#]],
    );
    desk.withdraw("USD", 1);
    check(
        desk.deposit("USD", 1),
        expect![[r#"
            update: Deposited { command: 00000000-0000-0000-0000-000000000007, asset: USD, amount_minor: 1 }
                outside -1 USD
                available +1 USD
            reply: 0.00000001 USD available
        "#]],
    );
}
