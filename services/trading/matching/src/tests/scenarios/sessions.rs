//! Sessions: what waits for them, what they let in and in which order, and what they leave alone.
//!
//! The test begins while the market is closed: extended hours begin after 0.5 s, the session after
//! 1 s; it ends after 2.5 s, extended hours after 3.5 s.

use expect_test::{Expect, expect};

use super::super::generator::listed;
use super::super::script::play_on;

fn check(script: &str, expected: Expect) {
    expected.assert_eq(&play_on(script, &listed("AAA", 4)));
}

#[test]
fn what_arrives_while_the_market_is_closed_enters_in_order_of_arrival_when_it_opens() {
    check(
        "A 1 sell 5 @1001 awaits
         B 2 buy 5 @1001 awaits
         C 3 buy 5 @1001
         wait 999999
         timer
         wait 1
         timer
         timer",
        expect![[r#"
            A 1 sell 5 @1001 awaits
            B 2 buy 5 @1001 awaits
            C 3 buy 5 @1001
                C: 3 parked
            wait 999999
            timer
                all: session Extended
            wait 1
            timer
                all: session Regular
            timer
                A: 1 entered
                market 2: Sell 1001 has 5
                B: 2 entered
                A: 1 made Sell 5@1001 costs 500500 fee -50 cum 5
                B: 2 took Buy 5@1001 costs 500500 fee 1251 cum 5
                A: 1 ended Filled cum 5
                B: 2 ended Filled cum 5
                market 3: trade 5@1001 Buy
                market 4: Sell 1001 has 0
                all: reference 1001
                C: 3 entered
                market 5: Buy 1001 has 5
        "#]],
    );
}

#[test]
fn what_must_trade_at_once_cannot_wait() {
    check(
        "A 1 buy 5 @1001 ioc
         A 2 buy 5 @market protect=1010 fok
         A 3 buy 5 @market protect=1010 day",
        expect![[r#"
            A 1 buy 5 @1001 ioc
                A: 1 ended Rejected(SessionClosed) cum 0
            A 2 buy 5 @market protect=1010 fok
                A: 2 ended Rejected(SessionClosed) cum 0
            A 3 buy 5 @market protect=1010 day
                A: 3 parked
        "#]],
    );
}

#[test]
fn parked_orders_are_cancelled_replaced_and_expire() {
    check(
        "A 1 buy 5 @1001 awaits
         A 2 buy 5 @1000 awaits exp=1000
         B 3 buy 5 @1001 awaits
         A replace 1 by 4 buy 3 @1001
         B replace 3 by 5 buy 6 @1001
         A replace 4 by 6 buy 4 @1002
         A cancel 1
         A cancel 4
         wait 1000
         timer
         wait 999000
         timer
         timer",
        expect![[r#"
            A 1 buy 5 @1001 awaits
            A 2 buy 5 @1000 awaits exp=1000
            B 3 buy 5 @1001 awaits
            A replace 1 by 4 buy 3 @1001
                A: 1 replaced by 4 cum 0
            B replace 3 by 5 buy 6 @1001
                B: 3 replaced by 5 cum 0
                B: 5 parked
            A replace 4 by 6 buy 4 @1002
                A: 4 replaced by 6 cum 0
                A: 6 parked
            A cancel 1
            A cancel 4
                A: 6 ended Canceled(Requested) cum 0
            wait 1000
            timer
                A: 2 ended Expired cum 0
            wait 999000
            timer
                all: session Regular
            timer
                B: 5 entered
                market 2: Buy 1001 has 6
        "#]],
    );
}

#[test]
fn a_session_ends_at_its_moment_before_any_timer_has_seen_it() {
    check(
        "wait 1000000
         timer
         A 1 sell 5 @1001
         wait 1499999
         B 2 buy 1 @1001
         wait 1
         B 3 buy 1 @1001
         A replace 1 by 4 sell 5 @1000
         B 5 buy 1 @1001 ioc
         timer",
        expect![[r#"
            wait 1000000
            timer
                all: session Regular
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            wait 1499999
            B 2 buy 1 @1001
                A: 1 made Sell 1@1001 costs 100100 fee -10 cum 1
                B: 2 took Buy 1@1001 costs 100100 fee 250 cum 1
                B: 2 ended Filled cum 1
                market 3: trade 1@1001 Buy
                market 4: Sell 1001 has 4
                all: reference 1001
            wait 1
            B 3 buy 1 @1001
                B: 3 parked
            A replace 1 by 4 sell 5 @1000
                A: 1 replaced by 4 cum 1
                market 5: Sell 1001 has 0
                A: 4 parked
            B 5 buy 1 @1001 ioc
                B: 5 ended Rejected(SessionClosed) cum 0
            timer
                all: session Extended
        "#]],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a whole day, told in one")]
fn extended_hours_are_for_those_that_asked_for_them_and_the_others_come_back_first() {
    check(
        "wait 1000000
         timer
         A 1 sell 5 @1001
         A 2 sell 5 @1001 ext
         A 3 sell 5 @1002
         B 4 buy 2 @998
         wait 1500000
         timer
         timer
         C 5 buy 7 @1002 ext
         C 6 buy 7 @1002
         wait 1000000
         timer
         C 7 buy 1 @1003 ext
         wait 1000000
         timer
         timer
         wait 500000
         timer
         timer
         timer",
        expect![[r#"
            wait 1000000
            timer
                all: session Regular
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            A 2 sell 5 @1001 ext
                market 3: Sell 1001 has 10
            A 3 sell 5 @1002
                market 4: Sell 1002 has 5
            B 4 buy 2 @998
                market 5: Buy 998 has 2
            wait 1500000
            timer
                market 6: Buy 998 has 0
                market 7: Sell 1001 has 5
            timer
                market 8: Sell 1002 has 0
                all: session Extended
            C 5 buy 7 @1002 ext
                A: 2 made Sell 5@1001 costs 500500 fee -50 cum 5
                C: 5 took Buy 5@1001 costs 500500 fee 1251 cum 5
                A: 2 ended Filled cum 5
                market 9: trade 5@1001 Buy
                market 10: Sell 1001 has 0
                market 11: Buy 1002 has 2
                all: reference 1001
            C 6 buy 7 @1002
                C: 6 parked
            wait 1000000
            timer
                all: session Closed
            C 7 buy 1 @1003 ext
                C: 7 parked
            wait 1000000
            timer
                all: session Extended
            timer
                C: 7 entered
                market 12: Buy 1003 has 1
            wait 500000
            timer
                all: session Regular
            timer
                B: 4 entered
                market 13: Buy 998 has 2
                A: 1 entered
                C: 7 made Buy 1@1003 costs 100300 fee -10 cum 1
                A: 1 took Sell 1@1003 costs 100300 fee 251 cum 1
                C: 7 ended Filled cum 1
                market 14: trade 1@1003 Sell
                market 15: Buy 1003 has 0
                C: 5 made Buy 2@1002 costs 200400 fee -20 cum 7
                A: 1 took Sell 2@1002 costs 200400 fee 501 cum 3
                C: 5 ended Filled cum 7
                market 16: trade 2@1002 Sell
                market 17: Buy 1002 has 0
                market 18: Sell 1001 has 2
                all: reference 1002
                A: 3 entered
                market 19: Sell 1002 has 5
            timer
                C: 6 entered
                A: 1 made Sell 2@1001 costs 200200 fee -20 cum 5
                C: 6 took Buy 2@1001 costs 200200 fee 500 cum 2
                A: 1 ended Filled cum 5
                market 20: trade 2@1001 Buy
                market 21: Sell 1001 has 0
                A: 3 made Sell 5@1002 costs 501000 fee -50 cum 5
                C: 6 took Buy 5@1002 costs 501000 fee 1252 cum 7
                A: 3 ended Filled cum 5
                C: 6 ended Filled cum 7
                market 22: trade 5@1002 Buy
                market 23: Sell 1002 has 0
        "#]],
    );
}

#[test]
fn stops_follow_the_regular_session_alone() {
    check(
        "A 1 sell 1 @market stop=1000 protect=990
         wait 500000
         timer
         B 2 buy 5 @999 ext
         C 3 sell 1 @999 ext
         wait 500000
         timer
         timer
         C 4 sell 1 @999",
        expect![[r#"
            A 1 sell 1 @market stop=1000 protect=990
                A: 1 parked
            wait 500000
            timer
                all: session Extended
            B 2 buy 5 @999 ext
                market 2: Buy 999 has 5
            C 3 sell 1 @999 ext
                B: 2 made Buy 1@999 costs 99900 fee -10 cum 1
                C: 3 took Sell 1@999 costs 99900 fee 250 cum 1
                C: 3 ended Filled cum 1
                market 3: trade 1@999 Sell
                market 4: Buy 999 has 4
                all: reference 999
            wait 500000
            timer
                all: session Regular
            timer
                A: 1 entered
                A: 1 triggered
                B: 2 made Buy 1@999 costs 99900 fee -10 cum 2
                A: 1 took Sell 1@999 costs 99900 fee 250 cum 1
                A: 1 ended Filled cum 1
                market 5: trade 1@999 Sell
                market 6: Buy 999 has 3
            C 4 sell 1 @999
                B: 2 made Buy 1@999 costs 99900 fee -10 cum 3
                C: 4 took Sell 1@999 costs 99900 fee 250 cum 1
                C: 4 ended Filled cum 1
                market 7: trade 1@999 Sell
                market 8: Buy 999 has 2
        "#]],
    );
}

#[test]
fn a_halt_keeps_parked_orders_out_and_lets_them_in_when_it_ends() {
    check(
        "A 1 sell 5 @1001 awaits
         halt
         wait 1000000
         timer
         timer
         resume
         B 2 buy 1 @1001
         timer",
        expect![[r#"
            A 1 sell 5 @1001 awaits
            halt
                all: halted true
                market 2: halted true
            wait 1000000
            timer
                all: session Regular
            timer
            resume
                all: halted false
                market 3: halted false
            B 2 buy 1 @1001
            timer
                A: 1 entered
                market 4: Sell 1001 has 5
                B: 2 entered
                A: 1 made Sell 1@1001 costs 100100 fee -10 cum 1
                B: 2 took Buy 1@1001 costs 100100 fee 250 cum 1
                B: 2 ended Filled cum 1
                market 5: trade 1@1001 Buy
                market 6: Sell 1001 has 4
                all: reference 1001
        "#]],
    );
}

#[test]
fn an_order_whose_account_thinks_it_waits_is_told_that_it_does_not() {
    check(
        "wait 1000000
         timer
         A 1 sell 5 @1001 awaits
         B 2 buy 5 @1001 ioc awaits",
        expect![[r#"
            wait 1000000
            timer
                all: session Regular
            A 1 sell 5 @1001 awaits
                A: 1 entered
                market 2: Sell 1001 has 5
            B 2 buy 5 @1001 ioc awaits
                B: 2 entered
                A: 1 made Sell 5@1001 costs 500500 fee -50 cum 5
                B: 2 took Buy 5@1001 costs 500500 fee 1251 cum 5
                A: 1 ended Filled cum 5
                B: 2 ended Filled cum 5
                market 3: trade 5@1001 Buy
                market 4: Sell 1001 has 0
                all: reference 1001
        "#]],
    );
}

#[test]
fn an_opening_takes_its_time_and_nobody_overtakes() {
    check(
        "A 1 sell 1 @1001 awaits
         A 2 sell 1 @1002 awaits
         A 3 sell 1 @1003 awaits
         A 4 sell 1 @1004 awaits
         wait 1000000
         timer
         B 5 buy 9 @1001
         B 6 buy 9 @1004 ioc
         timer
         timer
         timer",
        expect![[r#"
            A 1 sell 1 @1001 awaits
            A 2 sell 1 @1002 awaits
            A 3 sell 1 @1003 awaits
            A 4 sell 1 @1004 awaits
            wait 1000000
            timer
                all: session Regular
            B 5 buy 9 @1001
            B 6 buy 9 @1004 ioc
            timer
                A: 1 entered
                market 2: Sell 1001 has 1
                A: 2 entered
                market 3: Sell 1002 has 1
                A: 3 entered
                market 4: Sell 1003 has 1
            timer
                A: 4 entered
                market 5: Sell 1004 has 1
                B: 5 entered
                A: 1 made Sell 1@1001 costs 100100 fee -10 cum 1
                B: 5 took Buy 1@1001 costs 100100 fee 250 cum 1
                A: 1 ended Filled cum 1
                market 6: trade 1@1001 Buy
                market 7: Sell 1001 has 0
                market 8: Buy 1001 has 8
                all: reference 1001
                B: 6 entered
                A: 2 made Sell 1@1002 costs 100200 fee -10 cum 1
                B: 6 took Buy 1@1002 costs 100200 fee 250 cum 1
                A: 2 ended Filled cum 1
                market 9: trade 1@1002 Buy
                market 10: Sell 1002 has 0
                A: 3 made Sell 1@1003 costs 100300 fee -10 cum 1
                B: 6 took Buy 1@1003 costs 100300 fee 251 cum 2
                A: 3 ended Filled cum 1
                market 11: trade 1@1003 Buy
                market 12: Sell 1003 has 0
                A: 4 made Sell 1@1004 costs 100400 fee -10 cum 1
                B: 6 took Buy 1@1004 costs 100400 fee 251 cum 3
                A: 4 ended Filled cum 1
                market 13: trade 1@1004 Buy
                market 14: Sell 1004 has 0
                B: 6 ended Canceled(Unfilled) cum 3
                all: reference 1004
            timer
        "#]],
    );
}

#[test]
fn extended_hours_begin_when_all_that_ends_with_the_session_has_ended() {
    check(
        "wait 1000000
         timer
         A 1 sell 1 @1001 exp=1500000
         A 2 sell 1 @1002 exp=1500000
         A 3 sell 1 @1003 exp=1500000
         wait 1500000
         timer
         B 4 buy 1 @1003 ext
         timer
         timer",
        expect![[r#"
            wait 1000000
            timer
                all: session Regular
            A 1 sell 1 @1001 exp=1500000
                market 2: Sell 1001 has 1
            A 2 sell 1 @1002 exp=1500000
                market 3: Sell 1002 has 1
            A 3 sell 1 @1003 exp=1500000
                market 4: Sell 1003 has 1
            wait 1500000
            timer
                A: 1 ended Expired cum 0
                market 5: Sell 1001 has 0
                A: 2 ended Expired cum 0
                market 6: Sell 1002 has 0
            B 4 buy 1 @1003 ext
            timer
                A: 3 ended Expired cum 0
                market 7: Sell 1003 has 0
                all: session Extended
                B: 4 entered
                market 8: Buy 1003 has 1
            timer
        "#]],
    );
}
