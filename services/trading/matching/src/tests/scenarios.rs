//! The rules, one by one. Each scenario also runs through the reference.

mod replacing;
mod sessions;
mod triggers;

use expect_test::{Expect, expect};

use super::generator::instrument;
use super::run::transition;
use super::script::{parse, play, play_on};
use crate::Engine;

fn check(script: &str, expected: Expect) {
    expected.assert_eq(&play(script));
}

#[test]
fn i5_price_comes_before_time() {
    check(
        "A 1 sell 5 @1002
         B 2 sell 5 @1001
         A 3 sell 5 @1001
         C 4 buy 12 @1002",
        expect![[r#"
            A 1 sell 5 @1002
                market 2: Sell 1002 has 5
            B 2 sell 5 @1001
                market 3: Sell 1001 has 5
            A 3 sell 5 @1001
                market 4: Sell 1001 has 10
            C 4 buy 12 @1002
                B: 2 made Sell 5@1001 costs 500500 fee -50 cum 5
                C: 4 took Buy 5@1001 costs 500500 fee 1251 cum 5
                B: 2 ended Filled cum 5
                market 5: trade 5@1001 Buy
                market 6: Sell 1001 has 5
                A: 3 made Sell 5@1001 costs 500500 fee -50 cum 5
                C: 4 took Buy 5@1001 costs 500500 fee 1251 cum 10
                A: 3 ended Filled cum 5
                market 7: trade 5@1001 Buy
                market 8: Sell 1001 has 0
                A: 1 made Sell 2@1002 costs 200400 fee -20 cum 2
                C: 4 took Buy 2@1002 costs 200400 fee 501 cum 12
                C: 4 ended Filled cum 12
                market 9: trade 2@1002 Buy
                market 10: Sell 1002 has 3
                all: reference 1002
        "#]],
    );
}

#[test]
fn what_does_not_trade_rests() {
    check(
        "A 1 sell 5 @1001
         B 2 buy 8 @1001 day
         A 3 sell 2 @1001",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            B 2 buy 8 @1001 day
                A: 1 made Sell 5@1001 costs 500500 fee -50 cum 5
                B: 2 took Buy 5@1001 costs 500500 fee 1251 cum 5
                A: 1 ended Filled cum 5
                market 3: trade 5@1001 Buy
                market 4: Sell 1001 has 0
                market 5: Buy 1001 has 3
                all: reference 1001
            A 3 sell 2 @1001
                B: 2 made Buy 2@1001 costs 200200 fee -20 cum 7
                A: 3 took Sell 2@1001 costs 200200 fee 500 cum 2
                A: 3 ended Filled cum 2
                market 6: trade 2@1001 Sell
                market 7: Buy 1001 has 1
        "#]],
    );
}

#[test]
fn a_market_order_trades_up_to_its_protect_price() {
    check(
        "A 1 sell 5 @1001
         A 2 sell 5 @1010
         B 3 buy 8 @market protect=1009
         B 4 buy 8 @market protect=1010",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            A 2 sell 5 @1010
                market 3: Sell 1010 has 5
            B 3 buy 8 @market protect=1009
                A: 1 made Sell 5@1001 costs 500500 fee -50 cum 5
                B: 3 took Buy 5@1001 costs 500500 fee 1251 cum 5
                A: 1 ended Filled cum 5
                market 4: trade 5@1001 Buy
                market 5: Sell 1001 has 0
                B: 3 ended Canceled(ProtectPrice) cum 5
                all: reference 1001
            B 4 buy 8 @market protect=1010
                A: 2 made Sell 5@1010 costs 505000 fee -50 cum 5
                B: 4 took Buy 5@1010 costs 505000 fee 1262 cum 5
                A: 2 ended Filled cum 5
                market 6: trade 5@1010 Buy
                market 7: Sell 1010 has 0
                B: 4 ended Canceled(Unfilled) cum 5
                all: reference 1010
        "#]],
    );
}

#[test]
fn immediate_or_cancel() {
    check(
        "A 1 sell 5 @1001
         B 2 buy 8 @1001 ioc
         B 3 buy 8 @1001 ioc",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            B 2 buy 8 @1001 ioc
                A: 1 made Sell 5@1001 costs 500500 fee -50 cum 5
                B: 2 took Buy 5@1001 costs 500500 fee 1251 cum 5
                A: 1 ended Filled cum 5
                market 3: trade 5@1001 Buy
                market 4: Sell 1001 has 0
                B: 2 ended Canceled(Unfilled) cum 5
                all: reference 1001
            B 3 buy 8 @1001 ioc
                B: 3 ended Canceled(Unfilled) cum 0
        "#]],
    );
}

#[test]
fn fill_or_kill() {
    check(
        "A 1 sell 5 @1001
         A 2 sell 5 @1002
         B 3 buy 6 @1001 fok
         B 4 buy 11 @1002 fok
         B 5 buy 6 @1002 fok",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            A 2 sell 5 @1002
                market 3: Sell 1002 has 5
            B 3 buy 6 @1001 fok
                B: 3 ended Canceled(NotWhole) cum 0
            B 4 buy 11 @1002 fok
                B: 4 ended Canceled(NotWhole) cum 0
            B 5 buy 6 @1002 fok
                A: 1 made Sell 5@1001 costs 500500 fee -50 cum 5
                B: 5 took Buy 5@1001 costs 500500 fee 1251 cum 5
                A: 1 ended Filled cum 5
                market 4: trade 5@1001 Buy
                market 5: Sell 1001 has 0
                A: 2 made Sell 1@1002 costs 100200 fee -10 cum 1
                B: 5 took Buy 1@1002 costs 100200 fee 250 cum 6
                B: 5 ended Filled cum 6
                market 6: trade 1@1002 Buy
                market 7: Sell 1002 has 4
                all: reference 1002
        "#]],
    );
}

#[test]
fn fill_or_kill_sees_its_own_orders() {
    check(
        "A 1 sell 5 @1001
         B 2 sell 5 @1002
         B 3 buy 6 @1002 fok
         B 4 buy 5 @1002 fok",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            B 2 sell 5 @1002
                market 3: Sell 1002 has 5
            B 3 buy 6 @1002 fok
                B: 3 ended Canceled(SelfTrade) cum 0
            B 4 buy 5 @1002 fok
                A: 1 made Sell 5@1001 costs 500500 fee -50 cum 5
                B: 4 took Buy 5@1001 costs 500500 fee 1251 cum 5
                A: 1 ended Filled cum 5
                B: 4 ended Filled cum 5
                market 4: trade 5@1001 Buy
                market 5: Sell 1001 has 0
                all: reference 1001
        "#]],
    );
}

#[test]
fn post_only_never_takes() {
    check(
        "A 1 sell 5 @1001
         B 2 buy 5 @1001 post
         B 3 buy 5 @1000 post",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            B 2 buy 5 @1001 post
                B: 2 ended Rejected(PostOnlyWouldTrade) cum 0
            B 3 buy 5 @1000 post
                market 3: Buy 1000 has 5
        "#]],
    );
}

#[test]
fn self_trade_cancels_the_newer_order() {
    check(
        "A 1 sell 5 @1001
         B 2 sell 5 @1002
         B 3 buy 8 @1002
         B 4 buy 8 @1001",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            B 2 sell 5 @1002
                market 3: Sell 1002 has 5
            B 3 buy 8 @1002
                A: 1 made Sell 5@1001 costs 500500 fee -50 cum 5
                B: 3 took Buy 5@1001 costs 500500 fee 1251 cum 5
                A: 1 ended Filled cum 5
                market 4: trade 5@1001 Buy
                market 5: Sell 1001 has 0
                B: 3 ended Canceled(SelfTrade) cum 5
                all: reference 1001
            B 4 buy 8 @1001
                market 6: Buy 1001 has 8
        "#]],
    );
}

#[test]
fn a_limit_beyond_the_collar_is_refused_if_it_crosses() {
    check(
        "A 1 sell 5 @1001
         B 2 buy 5 @1051
         B 3 buy 2 @1050
         A 4 buy 1 @900
         B 5 sell 1 @850",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            B 2 buy 5 @1051
                B: 2 ended Rejected(OutsideCollar { low_ticks: 950, high_ticks: 1050 }) cum 0
            B 3 buy 2 @1050
                A: 1 made Sell 2@1001 costs 200200 fee -20 cum 2
                B: 3 took Buy 2@1001 costs 200200 fee 500 cum 2
                B: 3 ended Filled cum 2
                market 3: trade 2@1001 Buy
                market 4: Sell 1001 has 3
                all: reference 1001
            A 4 buy 1 @900
                market 5: Buy 900 has 1
            B 5 sell 1 @850
                B: 5 ended Rejected(OutsideCollar { low_ticks: 951, high_ticks: 1051 }) cum 0
        "#]],
    );
}

#[test]
fn halted_takes_cancels_only() {
    check(
        "A 1 sell 5 @1001
         B 2 buy 5 @1000
         halt
         halt
         B 3 buy 5 @1001
         A cancel 1
         resume
         A 4 sell 5 @1000",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            B 2 buy 5 @1000
                market 3: Buy 1000 has 5
            halt
                all: halted true
                market 4: halted true
            halt
            B 3 buy 5 @1001
                B: 3 ended Rejected(Halted) cum 0
            A cancel 1
                A: 1 ended Canceled(Requested) cum 0
                market 5: Sell 1001 has 0
            resume
                all: halted false
                market 6: halted false
            A 4 sell 5 @1000
                B: 2 made Buy 5@1000 costs 500000 fee -50 cum 5
                A: 4 took Sell 5@1000 costs 500000 fee 1250 cum 5
                B: 2 ended Filled cum 5
                A: 4 ended Filled cum 5
                market 7: trade 5@1000 Sell
                market 8: Buy 1000 has 0
        "#]],
    );
}

#[test]
fn money_that_does_not_fit_its_number_does_not_trade() {
    let mut coarse = instrument("BTC/USD", 1);
    coarse.tick_minor = 1_000_000_000_000;
    coarse.lot_minor = 1_000_000_000;
    coarse.seed_reference_ticks = None;
    let script = "A 1 sell 100000000 @1000
         B 2 buy 100000000 @1000
         B 3 buy 1 @1000";
    expect![[r#"
        A 1 sell 100000000 @1000
            market 2: Sell 1000 has 100000000
        B 2 buy 100000000 @1000
            B: 2 ended Canceled(ProtectPrice) cum 0
        B 3 buy 1 @1000
            A: 1 made Sell 1@1000 costs 10000000000000000 fee -1000000000000 cum 1
            B: 3 took Buy 1@1000 costs 10000000000000000 fee 25000000000000 cum 1
            B: 3 ended Filled cum 1
            market 3: trade 1@1000 Buy
            market 4: Sell 1000 has 99999999
            all: reference 1000
    "#]]
    .assert_eq(&play_on(script, &coarse));
}

#[test]
fn unknown_instruments_are_refused() {
    let script = parse("A 1 buy 1 @1", instrument("NEW/USD", 9).id);
    let mut engine = Engine::default();
    let (events, _) = transition(&mut engine, &script, prepx_domain::Micros(0));
    expect![[r#"
        [
            Ended {
                instrument: InstrumentId(
                    37827584,
                ),
                account: AccountId(
                    0,
                ),
                order: OrderId(
                    1,
                ),
                cum_lots: 0,
                end: Rejected(
                    UnknownInstrument,
                ),
                stood: Arriving,
            },
        ]
    "#]]
    .assert_debug_eq(&events);
}
