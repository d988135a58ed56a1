//! Cancelling while the market trades.

use expect_test::{Expect, expect};
use prepx_domain::message::{Action, CancelReason, End, Refusal};

use crate::desk::Desk;

fn check(actual: String, expect: Expect) {
    expect.assert_eq(&actual);
}

#[test]
fn a_cancel_of_either_id_cancels_whichever_lives() {
    for number in [1, 2] {
        let mut desk = Desk::new();
        desk.buy(10, 1_000);
        desk.amend(1, 20, 1_000);
        let told = desk.cancel(number);
        assert!(
            told.starts_with("to market: cancel o1\nto market: cancel o2\n"),
            "{told}"
        );
        assert!(told.ends_with("reply: canceling o1\n"), "{told}");
        desk.replaced(1, 2, 0);
        let told = desk.end(2, End::Canceled(CancelReason::Requested));
        assert!(told.contains("o2 Canceled"), "{told}");
        assert_eq!(desk.balances(), Desk::new().balances());
    }
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    desk.amend(1, 20, 1_000);
    check(
        desk.cancel(1),
        expect![[r#"
        to market: cancel o1
        to market: cancel o2
        update: PendingCancel: o1 PendingCancel filled 0 of 1000 for 0 fee 0 held 10010
        reply: canceling o1
    "#]],
    );
    check(
        desk.amend(1, 30, 1_000),
        expect![[r#"
        reply: CANCEL_PENDING a cancel of this order is under way: it cannot be replaced any more
    "#]],
    );
    check(
        desk.rejected(1, 2, Refusal::Halted),
        expect![[r#"
        update: Ended(Rejected(Halted)): o2 Rejected filled 0 of 2000 for 0 fee 0 held 0
            held -10010 USD
            available +10010 USD
        update: ReplaceRejected(Halted): o1 PendingCancel filled 0 of 1000 for 0 fee 0 held 10010
    "#]],
    );
    check(
        desk.amend(1, 30, 1_000),
        expect![[r#"
        reply: CANCEL_PENDING a cancel of this order is under way: it cannot be replaced any more
    "#]],
    );
    check(
        desk.end(1, End::Canceled(CancelReason::Requested)),
        expect![[r#"
            update: Ended(Canceled(Requested)): o1 Canceled filled 0 of 1000 for 0 fee 0 held 0
                held -10010 USD
                available +10010 USD
        "#]],
    );
    check(
        desk.cancel(1),
        expect![[r#"
        reply: ORDER_ENDED the order has ended: it can be neither replaced nor cancelled
    "#]],
    );
    check(
        desk.cancel(2),
        expect![[r#"
        reply: ORDER_ENDED the order has ended: it can be neither replaced nor cancelled
    "#]],
    );
}

#[test]
fn a_cancel_of_a_replaced_order_follows_it() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    desk.amend(1, 11, 1_000);
    desk.replaced(1, 2, 0);
    check(
        desk.cancel(1),
        expect![[r#"
        to market: cancel o2
        update: PendingCancel: o2 PendingCancel filled 0 of 1100 for 0 fee 0 held 11011
        reply: canceling o2
    "#]],
    );
    check(
        desk.end(2, End::Canceled(CancelReason::Requested)),
        expect![[r#"
            update: Ended(Canceled(Requested)): o2 Canceled filled 0 of 1100 for 0 fee 0 held 0
                held -11011 USD
                available +11011 USD
        "#]],
    );
    check(
        desk.cancel(1),
        expect![[r#"
        reply: ORDER_ENDED the order has ended: it can be neither replaced nor cancelled
    "#]],
    );
}

#[test]
fn a_late_cancel_meant_requested() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    desk.fill(1, 4, 1_000);
    check(
        desk.cancel(1),
        expect![[r#"
        to market: cancel o1
        update: PendingCancel: o1 PendingCancel filled 400 of 1000 for 4000 fee 0 held 6010
        reply: canceling o1
    "#]],
    );
    // The market had filled it before the cancel came, and ignores the cancel.
    check(
        desk.fill(1, 6, 1_000),
        expect![[r#"
        update: Fill 6 at 1000 fee 0 position 6000: o1 Filled filled 1000 of 1000 for 10000 fee 0 held 10
            held -6000 USD
            clearing +6000 USD
            clearing -600 ACME
            available +600 ACME
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
}

#[test]
fn cancel_all_takes_every_living_order_once() {
    let mut desk = Desk::new();
    desk.buy(1, 1_000);
    desk.sell(1, 1_000);
    desk.amend(1, 2, 1_000);
    let account = desk.account;
    check(
        desk.command(Action::CancelAll { account }),
        expect![[r#"
        to market: cancel o1
        to market: cancel o3
        to market: cancel o2
        update: PendingCancel: o1 PendingCancel filled 0 of 100 for 0 fee 0 held 1001
        update: PendingCancel: o2 PendingCancel filled 0 of 100 for 0 fee 0 held 100
        reply: canceling o1 o2
    "#]],
    );
    let mut desk = Desk::new();
    let account = desk.account;
    check(
        desk.command(Action::CancelAll { account }),
        expect![[r#"
        reply: canceling 
    "#]],
    );
}

/// What a skipped message leaves behind: an order that is open here and lives nowhere.
#[test]
fn an_operator_ends_an_order_that_the_market_does_not_know() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    desk.fill(1, 4, 1_000);
    check(
        desk.end_by_operator(1),
        expect![[r#"
        to market: end o1
        update: PendingCancel: o1 PendingCancel filled 400 of 1000 for 4000 fee 0 held 6010
        reply: canceling o1
    "#]],
    );
    check(
        desk.absent(1),
        expect![[r#"
        update: Ended(Canceled(Requested)): o1 Canceled filled 400 of 1000 for 4000 fee 0 held 0
            held -6010 USD
            available +6010 USD
    "#]],
    );
    assert_eq!(desk.absent(1), "", "it has ended");
    check(
        desk.end_by_operator(1),
        expect![[r#"
        reply: ORDER_ENDED the order has ended: it can be neither replaced nor cancelled
    "#]],
    );
}

#[test]
fn an_operator_ends_both_of_a_pair_that_the_market_does_not_know() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    desk.amend(1, 12, 1_000);
    check(
        desk.end_by_operator(2),
        expect![[r#"
        to market: end o1
        to market: end o2
        update: PendingCancel: o1 PendingCancel filled 0 of 1000 for 0 fee 0 held 10010
        reply: canceling o1
    "#]],
    );
    check(
        desk.absent(1),
        expect![[r#"
        update: Ended(Canceled(Requested)): o1 Canceled filled 0 of 1000 for 0 fee 0 held 0
            held -10010 USD
            available +10010 USD
    "#]],
    );
    check(
        desk.absent(2),
        expect![[r#"
        update: Ended(Rejected(NotLiving)): o2 Rejected filled 0 of 1200 for 0 fee 0 held 0
            held -2002 USD
            available +2002 USD
        update: ReplaceRejected(NotLiving): o1 Canceled filled 0 of 1000 for 0 fee 0 held 0
    "#]],
    );
}

/// The end of an order that traded whole was skipped: a client cannot cancel it, an operator ends it.
#[test]
fn an_operator_ends_what_has_traded_whole() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    desk.fill(1, 10, 1_000);
    check(
        desk.cancel(1),
        expect![[r#"
        reply: ORDER_ENDED the order has ended: it can be neither replaced nor cancelled
    "#]],
    );
    check(
        desk.end_by_operator(1),
        expect![[r#"
        to market: end o1
        update: PendingCancel: o1 Filled filled 1000 of 1000 for 10000 fee 0 held 10
        reply: canceling o1
    "#]],
    );
    check(
        desk.absent(1),
        expect![[r#"
        update: Ended(Filled): o1 Filled filled 1000 of 1000 for 10000 fee 0 held 0
            held -10 USD
            available +10 USD
    "#]],
    );
}

/// Where the order lives after all, its end comes from the market, and nothing is let go of before.
#[test]
fn an_operator_ends_an_order_that_lives_as_a_cancel_does() {
    let mut desk = Desk::new();
    desk.buy(10, 1_000);
    desk.end_by_operator(1);
    check(
        desk.end(1, End::Canceled(CancelReason::Requested)),
        expect![[r#"
            update: Ended(Canceled(Requested)): o1 Canceled filled 0 of 1000 for 0 fee 0 held 0
                held -10010 USD
                available +10010 USD
        "#]],
    );
    assert_eq!(
        desk.absent(1),
        "",
        "an answer that comes late changes nothing"
    );
}
