//! Replacing while the market trades, and what each race leaves.

use expect_test::{Expect, expect};
use prepx_domain::message::{Action, End, Refusal, ReplaceOrder, ToAccount};
use prepx_domain::{OrderKind, Side};

use crate::desk::Desk;

fn check(actual: String, expect: Expect) {
    expect.assert_eq(&actual);
}

#[test]
fn a_larger_order_holds_more_at_once_and_gives_nothing_back() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    check(
        desk.amend(1, 20, 1_000),
        expect![[r#"
        to market: replace o1 by o2 Buy 20 lots Limit { limit: 1000 }
        update: PendingNew: o2 PendingNew filled 0 of 2000 for 0 fee 0 held 10010
            available -10010 USD
            held +10010 USD
        update: PendingReplace: o1 PendingReplace filled 0 of 1000 for 0 fee 0 held 10010
        reply: o2 PendingNew filled 0 of 2000 for 0 fee 0 held 10010
    "#]],
    );
    check(
        desk.replaced(1, 2, 0),
        expect![[r#"
        update: Replaced: o1 Replaced filled 0 of 1000 for 0 fee 0 held 0
        update: New: o2 New filled 0 of 2000 for 0 fee 0 held 20020
    "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 50 + 0 held
        USD 799.8 + 200.2 held
    "#]],
    );
}

#[test]
fn a_smaller_order_gives_back_when_the_market_agrees_and_not_before() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    check(
        desk.amend(1, 4, 1_000),
        expect![[r#"
        to market: replace o1 by o2 Buy 4 lots Limit { limit: 1000 }
        update: PendingNew: o2 PendingNew filled 0 of 400 for 0 fee 0 held 0
        update: PendingReplace: o1 PendingReplace filled 0 of 1000 for 0 fee 0 held 10010
        reply: o2 PendingNew filled 0 of 400 for 0 fee 0 held 0
    "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 50 + 0 held
        USD 899.9 + 100.1 held
    "#]],
    );
    check(
        desk.replaced(1, 2, 0),
        expect![[r#"
        update: Replaced: o1 Replaced filled 0 of 1000 for 0 fee 0 held 0
            held -6006 USD
            available +6006 USD
        update: New: o2 New filled 0 of 400 for 0 fee 0 held 4004
    "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 50 + 0 held
        USD 959.96 + 40.04 held
    "#]],
    );
}

#[test]
fn fills_before_the_answer_are_the_old_orders() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    desk.amend(1, 20, 1_010);
    check(
        desk.fill(1, 3, 1_000),
        expect![[r#"
        update: Fill 3 at 1000 fee 0 position 5300: o1 PendingReplace filled 300 of 1000 for 3000 fee 0 held 7010
            held -3000 USD
            clearing +3000 USD
            clearing -300 ACME
            available +300 ACME
    "#]],
    );
    check(
        desk.replaced(1, 2, 3),
        expect![[r#"
        update: Replaced: o1 Replaced filled 300 of 1000 for 3000 fee 0 held 0
            held -33 USD
            available +33 USD
        update: New: o2 PartiallyFilled filled 300 of 2000 for 3000 fee 0 held 17188
    "#]],
    );
    check(
        desk.fill(2, 17, 1_010),
        expect![[r#"
        update: Fill 17 at 1010 fee 0 position 7000: o2 Filled filled 2000 of 2000 for 20170 fee 0 held 18
            held -17170 USD
            clearing +17170 USD
            clearing -1700 ACME
            available +1700 ACME
    "#]],
    );
    check(
        desk.end(2, End::Filled),
        expect![[r#"
        update: Ended(Filled): o2 Filled filled 2000 of 2000 for 20170 fee 0 held 0
            held -18 USD
            available +18 USD
    "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 70 + 0 held, cost 20170
        USD 798.3 + 0 held
    "#]],
    );
}

#[test]
fn a_cheaper_larger_order_is_covered_even_if_the_old_one_trades_first() {
    let mut desk = Desk::new();
    // 10 at 10.00 hold 100.10. 30 at 5.00 would hold 150.15, but if the old 10 trade first, the
    // other 20 at 5.00 still need 100.10: the pair must hold 200.20.
    desk.buy(10, 1_000);
    check(
        desk.amend(1, 30, 500),
        expect![[r#"
        to market: replace o1 by o2 Buy 30 lots Limit { limit: 500 }
        update: PendingNew: o2 PendingNew filled 0 of 3000 for 0 fee 0 held 10010
            available -10010 USD
            held +10010 USD
        update: PendingReplace: o1 PendingReplace filled 0 of 1000 for 0 fee 0 held 10010
        reply: o2 PendingNew filled 0 of 3000 for 0 fee 0 held 10010
    "#]],
    );
    desk.trade(1, 9, 1_000, false);
    check(
        desk.replaced(1, 2, 9),
        expect![[r#"
        update: Replaced: o1 Replaced filled 900 of 1000 for 9000 fee 9 held 0
            held -500 USD
            available +500 USD
        update: New: o2 PartiallyFilled filled 900 of 3000 for 9000 fee 9 held 10511
    "#]],
    );
    desk.trade(2, 21, 500, false);
    check(
        desk.end(2, End::Filled),
        expect![[r#"
        update: Ended(Filled): o2 Filled filled 3000 of 3000 for 19500 fee 19 held 0
            held -1 USD
            available +1 USD
    "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 80 + 0 held, cost 19500
        USD 804.81 + 0 held
    "#]],
    );
}

#[test]
fn the_old_order_ends_before_the_replacement_arrives() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    desk.amend(1, 20, 1_000);
    desk.fill(1, 10, 1_000);
    check(
        desk.amend(1, 30, 1_000),
        expect![[r#"
        reply: ORDER_ENDED the order has ended: it can be neither replaced nor cancelled
    "#]],
    );
    check(
        desk.cancel(1),
        expect![[r#"
        reply: ORDER_ENDED the order has ended: it can be neither replaced nor cancelled
    "#]],
    );
    check(
        desk.end(1, End::Filled),
        expect![[r#"
        update: Ended(Filled): o1 Filled filled 1000 of 1000 for 10000 fee 0 held 0
            held -10 USD
            available +10 USD
    "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 60 + 0 held, cost 10000
        USD 799.9 + 100.1 held
    "#]],
    );
    check(
        desk.rejected(1, 2, Refusal::NotLiving),
        expect![[r#"
        update: Ended(Rejected(NotLiving)): o2 Rejected filled 0 of 2000 for 0 fee 0 held 0
            held -10010 USD
            available +10010 USD
        update: ReplaceRejected(NotLiving): o1 Filled filled 1000 of 1000 for 10000 fee 0 held 0
    "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 60 + 0 held, cost 10000
        USD 900 + 0 held
    "#]],
    );
}

#[test]
fn a_refused_replacement_leaves_the_old_order_as_it_was() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    desk.amend(1, 20, 1_000);
    desk.fill(1, 2, 1_000);
    check(
        desk.rejected(1, 2, Refusal::PostOnlyWouldTrade),
        expect![[r#"
            update: Ended(Rejected(PostOnlyWouldTrade)): o2 Rejected filled 0 of 2000 for 0 fee 0 held 0
                held -10010 USD
                available +10010 USD
            update: ReplaceRejected(PostOnlyWouldTrade): o1 PartiallyFilled filled 200 of 1000 for 2000 fee 0 held 8010
        "#]],
    );
    check(
        desk.balances(),
        expect![[r#"
        ACME 52 + 0 held, cost 2000
        USD 899.9 + 80.1 held
    "#]],
    );
    assert!(
        desk.amend(1, 12, 1_000)
            .starts_with("to market: replace o1 by o3")
    );
    check(
        desk.rejected(1, 3, Refusal::QuantityTraded { cum_lots: 12 }),
        expect![[r#"
            update: Ended(Rejected(QuantityTraded { cum_lots: 12 })): o3 Rejected filled 0 of 1200 for 0 fee 0 held 0
                held -2000 USD
                available +2000 USD
            update: ReplaceRejected(QuantityTraded { cum_lots: 12 }): o1 PartiallyFilled filled 200 of 1000 for 2000 fee 0 held 8010
        "#]],
    );
}

#[test]
fn one_replacement_at_a_time() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    desk.amend(1, 11, 1_000);
    check(
        desk.amend(1, 12, 1_000),
        expect![[r#"
        reply: REPLACE_PENDING a replacement of this order is under way: wait for its answer
    "#]],
    );
    check(
        desk.amend(2, 12, 1_000),
        expect![[r#"
        reply: REPLACE_PENDING a replacement of this order is under way: wait for its answer
    "#]],
    );
    desk.replaced(1, 2, 0);
    check(
        desk.amend(1, 12, 1_000),
        expect![[r#"
        reply: ORDER_ENDED the order has ended: it can be neither replaced nor cancelled
    "#]],
    );
    assert!(
        desk.amend(2, 12, 1_000)
            .starts_with("to market: replace o2 by o3")
    );
}

#[test]
fn what_a_replacement_may_change() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    desk.fill(1, 4, 1_000);
    let change = |desk: &mut Desk, edit: &dyn Fn(&mut ReplaceOrder)| {
        let mut change = desk.change(1);
        edit(&mut change);
        desk.command(Action::Replace(change))
    };
    check(
        change(&mut desk, &|ask| ask.stop_minor = Some(900)),
        expect![[r#"
            reply: NO_SUCH_PRICE stop_price cannot be changed: an order of this type has none
        "#]],
    );
    check(
        change(&mut desk, &|ask| ask.qty_minor = Some(400)),
        expect![[r#"
            reply: QUANTITY_TRADED qty 4 must be above the 4 that have traded
        "#]],
    );
    check(
        change(&mut desk, &|ask| ask.qty_minor = Some(550)),
        expect![[r#"
            reply: OFF_STEP qty 5.5 is not a multiple of 1
        "#]],
    );
    check(
        change(&mut desk, &|ask| ask.limit_minor = Some(1_101)),
        expect![[r#"
            reply: OUTSIDE_COLLAR limit_price 11.01 is outside the allowed band 9 to 11
        "#]],
    );
    check(
        change(&mut desk, &|ask| ask.client_order_id = "c4".to_owned()),
        expect![[r#"
            reply: DUPLICATE_CLIENT_ORDER_ID client_order_id must be unique: "c4" is used by an order that is open or less than 24 hours old
        "#]],
    );
    check(
        change(&mut desk, &|ask| ask.qty_minor = Some(100_000)),
        expect![[r#"
            reply: INSUFFICIENT_BALANCE insufficient balance for USD: needs 9,909.86, 899.90 available
        "#]],
    );

    let mut desk = Desk::new();
    let kind = OrderKind::StopLimit {
        stop: 1_100,
        limit: 1_150,
    };
    desk.place(Side::Buy, kind, 3);
    check(
        change(&mut desk, &|ask| ask.stop_minor = Some(1_120)),
        expect![[r#"
            to market: replace o1 by o2 Buy 3 lots StopLimit { stop: 1120, limit: 1150 }
            update: PendingNew: o2 PendingNew filled 0 of 300 for 0 fee 0 held 0
            update: PendingReplace: o1 PendingReplace filled 0 of 300 for 0 fee 0 held 3454
            reply: o2 PendingNew filled 0 of 300 for 0 fee 0 held 0
        "#]],
    );
    desk.replaced(1, 2, 0);
    let (account, order) = (desk.account, desk.order(2));
    desk.market(ToAccount::Triggered { account, order });
    let mut ask = desk.change(2);
    ask.stop_minor = Some(1_130);
    check(
        desk.command(Action::Replace(ask)),
        expect![[r#"
        reply: CONTRADICTION stop_price cannot be changed: the stop has been set off already
    "#]],
    );
}

#[test]
fn a_sell_is_replaced_within_what_the_account_has() {
    let mut desk = Desk::new();
    desk.sell(40, 1_000);
    check(
        desk.amend(1, 51, 1_000),
        expect![[r#"
        reply: INSUFFICIENT_BALANCE insufficient balance for ACME: needs 11.00, 10.00 available
    "#]],
    );
    desk.amend(1, 50, 1_000);
    check(
        desk.balances(),
        expect![[r#"
        ACME 0 + 50 held
        USD 1000 + 0 held
    "#]],
    );
    desk.fill(1, 5, 1_000);
    check(
        desk.replaced(1, 2, 5),
        expect![[r#"
        update: Replaced: o1 Replaced filled 500 of 4000 for 5000 fee 0 held 0
        update: New: o2 PartiallyFilled filled 500 of 5000 for 5000 fee 0 held 4500
    "#]],
    );
    desk.fill(2, 45, 1_000);
    desk.end(2, End::Filled);
    check(
        desk.balances(),
        expect![[r#"
        ACME 0 + 0 held
        USD 1500 + 0 held
    "#]],
    );
}
