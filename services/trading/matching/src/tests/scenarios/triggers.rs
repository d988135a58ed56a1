//! What trades and time set off: stops, reference prices, expiry.

use expect_test::expect;
use prepx_domain::message::ToMatching;
use prepx_domain::{Hours, Machine, Micros};

use super::super::run::START;
use super::{check, instrument, parse, play_on, transition};
use crate::{EXPIRIES_MAX, Engine, Input};

#[test]
fn stops_wait_for_a_trade_at_their_price() {
    check(
        "A 1 sell 1 @1001
         A 2 sell 9 @1004
         C 3 buy 2 @market stop=1001 protect=1010
         C 4 buy 2 @1003 stop=1002
         B 5 buy 1 @1001
         B 6 buy 1 @1004",
        expect![[r#"
            A 1 sell 1 @1001
                market 2: Sell 1001 has 1
            A 2 sell 9 @1004
                market 3: Sell 1004 has 9
            C 3 buy 2 @market stop=1001 protect=1010
            C 4 buy 2 @1003 stop=1002
            B 5 buy 1 @1001
                A: 1 made Sell 1@1001 costs 100100 fee -10 cum 1
                B: 5 took Buy 1@1001 costs 100100 fee 250 cum 1
                A: 1 ended Filled cum 1
                B: 5 ended Filled cum 1
                market 4: trade 1@1001 Buy
                market 5: Sell 1001 has 0
                C: 3 triggered
                all: reference 1001
                A: 2 made Sell 2@1004 costs 200800 fee -20 cum 2
                C: 3 took Buy 2@1004 costs 200800 fee 502 cum 2
                C: 3 ended Filled cum 2
                market 6: trade 2@1004 Buy
                market 7: Sell 1004 has 7
                C: 4 triggered
                all: reference 1004
                market 8: Buy 1003 has 2
            B 6 buy 1 @1004
                A: 2 made Sell 1@1004 costs 100400 fee -10 cum 3
                B: 6 took Buy 1@1004 costs 100400 fee 251 cum 1
                B: 6 ended Filled cum 1
                market 9: trade 1@1004 Buy
                market 10: Sell 1004 has 6
        "#]],
    );
}

#[test]
fn stops_trigger_by_price_then_by_arrival() {
    check(
        "A 1 sell 1 @1010
         A 2 sell 9 @1011
         B 3 buy 1 @market stop=1009 protect=1020
         C 4 buy 1 @market stop=1008 protect=1020
         D 5 buy 1 @market stop=1009 protect=1020
         E 6 buy 1 @1010",
        expect![[r#"
            A 1 sell 1 @1010
                market 2: Sell 1010 has 1
            A 2 sell 9 @1011
                market 3: Sell 1011 has 9
            B 3 buy 1 @market stop=1009 protect=1020
            C 4 buy 1 @market stop=1008 protect=1020
            D 5 buy 1 @market stop=1009 protect=1020
            E 6 buy 1 @1010
                A: 1 made Sell 1@1010 costs 101000 fee -10 cum 1
                E: 6 took Buy 1@1010 costs 101000 fee 252 cum 1
                A: 1 ended Filled cum 1
                E: 6 ended Filled cum 1
                market 4: trade 1@1010 Buy
                market 5: Sell 1010 has 0
                C: 4 triggered
                B: 3 triggered
                D: 5 triggered
                all: reference 1010
                A: 2 made Sell 1@1011 costs 101100 fee -10 cum 1
                C: 4 took Buy 1@1011 costs 101100 fee 253 cum 1
                C: 4 ended Filled cum 1
                market 6: trade 1@1011 Buy
                market 7: Sell 1011 has 8
                A: 2 made Sell 1@1011 costs 101100 fee -10 cum 2
                B: 3 took Buy 1@1011 costs 101100 fee 253 cum 1
                B: 3 ended Filled cum 1
                market 8: trade 1@1011 Buy
                market 9: Sell 1011 has 7
                A: 2 made Sell 1@1011 costs 101100 fee -10 cum 3
                D: 5 took Buy 1@1011 costs 101100 fee 253 cum 1
                D: 5 ended Filled cum 1
                market 10: trade 1@1011 Buy
                market 11: Sell 1011 has 6
        "#]],
    );
}

#[test]
fn a_stop_whose_price_was_reached_triggers_on_arrival() {
    check(
        "A 1 sell 1 @1001
         B 2 buy 1 @1001
         A 3 sell 2 @1002
         B 4 buy 1 @1002 stop=1000
         B 5 buy 3 @market stop=1001 protect=1002",
        expect![[r#"
            A 1 sell 1 @1001
                market 2: Sell 1001 has 1
            B 2 buy 1 @1001
                A: 1 made Sell 1@1001 costs 100100 fee -10 cum 1
                B: 2 took Buy 1@1001 costs 100100 fee 250 cum 1
                A: 1 ended Filled cum 1
                B: 2 ended Filled cum 1
                market 3: trade 1@1001 Buy
                market 4: Sell 1001 has 0
                all: reference 1001
            A 3 sell 2 @1002
                market 5: Sell 1002 has 2
            B 4 buy 1 @1002 stop=1000
                B: 4 triggered
                A: 3 made Sell 1@1002 costs 100200 fee -10 cum 1
                B: 4 took Buy 1@1002 costs 100200 fee 250 cum 1
                B: 4 ended Filled cum 1
                market 6: trade 1@1002 Buy
                market 7: Sell 1002 has 1
            B 5 buy 3 @market stop=1001 protect=1002
                B: 5 triggered
                A: 3 made Sell 1@1002 costs 100200 fee -10 cum 2
                B: 5 took Buy 1@1002 costs 100200 fee 250 cum 1
                A: 3 ended Filled cum 2
                market 8: trade 1@1002 Buy
                market 9: Sell 1002 has 0
                B: 5 ended Canceled(Unfilled) cum 1
        "#]],
    );
}

#[test]
fn a_cascade_runs_in_order() {
    check(
        "A 1 buy 1 @1000
         A 2 buy 1 @999
         A 3 buy 1 @998
         B 4 sell 1 @market stop=999 protect=900
         C 5 sell 1 @market stop=1000 protect=900
         D 6 sell 1 @1000",
        expect![[r#"
            A 1 buy 1 @1000
                market 2: Buy 1000 has 1
            A 2 buy 1 @999
                market 3: Buy 999 has 1
            A 3 buy 1 @998
                market 4: Buy 998 has 1
            B 4 sell 1 @market stop=999 protect=900
            C 5 sell 1 @market stop=1000 protect=900
            D 6 sell 1 @1000
                A: 1 made Buy 1@1000 costs 100000 fee -10 cum 1
                D: 6 took Sell 1@1000 costs 100000 fee 250 cum 1
                A: 1 ended Filled cum 1
                D: 6 ended Filled cum 1
                market 5: trade 1@1000 Sell
                market 6: Buy 1000 has 0
                C: 5 triggered
                A: 2 made Buy 1@999 costs 99900 fee -10 cum 1
                C: 5 took Sell 1@999 costs 99900 fee 250 cum 1
                A: 2 ended Filled cum 1
                C: 5 ended Filled cum 1
                market 7: trade 1@999 Sell
                market 8: Buy 999 has 0
                B: 4 triggered
                all: reference 999
                A: 3 made Buy 1@998 costs 99800 fee -10 cum 1
                B: 4 took Sell 1@998 costs 99800 fee 250 cum 1
                A: 3 ended Filled cum 1
                B: 4 ended Filled cum 1
                market 9: trade 1@998 Sell
                market 10: Buy 998 has 0
                all: reference 998
        "#]],
    );
}

#[test]
fn what_was_triggered_stays_triggered_when_replaced() {
    check(
        "A 1 sell 1 @1001
         B 2 buy 5 @1000 stop=1001
         C 3 buy 1 @1001
         A 4 sell 1 @990
         B replace 2 by 5 buy 5 @995 stop=1001",
        expect![[r#"
            A 1 sell 1 @1001
                market 2: Sell 1001 has 1
            B 2 buy 5 @1000 stop=1001
            C 3 buy 1 @1001
                A: 1 made Sell 1@1001 costs 100100 fee -10 cum 1
                C: 3 took Buy 1@1001 costs 100100 fee 250 cum 1
                A: 1 ended Filled cum 1
                C: 3 ended Filled cum 1
                market 3: trade 1@1001 Buy
                market 4: Sell 1001 has 0
                B: 2 triggered
                all: reference 1001
                market 5: Buy 1000 has 5
            A 4 sell 1 @990
                B: 2 made Buy 1@1000 costs 100000 fee -10 cum 1
                A: 4 took Sell 1@1000 costs 100000 fee 250 cum 1
                A: 4 ended Filled cum 1
                market 6: trade 1@1000 Sell
                market 7: Buy 1000 has 4
            B replace 2 by 5 buy 5 @995 stop=1001
                B: 2 replaced by 5 cum 1
                market 8: Buy 1000 has 0
                market 9: Buy 995 has 4
        "#]],
    );
}

#[test]
fn orders_expire_when_the_timer_says() {
    check(
        "A 1 sell 1 @1001 exp=200
         A 2 sell 1 @1002 exp=100
         A 3 buy 1 @1000 stop=1500 exp=200
         wait 150
         timer
         B 4 buy 1 @1000 exp=150
         halt
         wait 50
         timer
         timer",
        expect![[r#"
            A 1 sell 1 @1001 exp=200
                market 2: Sell 1001 has 1
            A 2 sell 1 @1002 exp=100
                market 3: Sell 1002 has 1
            A 3 buy 1 @1000 stop=1500 exp=200
            wait 150
            timer
                A: 2 ended Expired cum 0
                market 4: Sell 1002 has 0
            B 4 buy 1 @1000 exp=150
                B: 4 ended Expired cum 0
            halt
                all: halted true
                market 5: halted true
            wait 50
            timer
                A: 1 ended Expired cum 0
                market 6: Sell 1001 has 0
                A: 3 ended Expired cum 0
            timer
        "#]],
    );
}

#[test]
fn reference_prices_move_at_most_every_100_ms_or_per_mille() {
    let mut btc = instrument("BTC/USD", 1);
    btc.seed_reference_ticks = Some(10_000);
    let script = "A 1 sell 3 @10000
         B 2 buy 1 @10000 ioc
         C 3 sell 1 @9995
         B 4 buy 1 @10000 ioc
         C 5 sell 1 @9994
         B 6 buy 1 @10000 ioc
         wait 100000
         timer
         timer
         C 7 sell 1 @9984
         B 8 buy 1 @10000 ioc
         B 9 buy 1 @10000 ioc";
    expect![[r#"
        A 1 sell 3 @10000
            market 2: Sell 10000 has 3
        B 2 buy 1 @10000 ioc
            A: 1 made Sell 1@10000 costs 1000000 fee -100 cum 1
            B: 2 took Buy 1@10000 costs 1000000 fee 2500 cum 1
            B: 2 ended Filled cum 1
            market 3: trade 1@10000 Buy
            market 4: Sell 10000 has 2
        C 3 sell 1 @9995
            market 5: Sell 9995 has 1
        B 4 buy 1 @10000 ioc
            C: 3 made Sell 1@9995 costs 999500 fee -100 cum 1
            B: 4 took Buy 1@9995 costs 999500 fee 2499 cum 1
            C: 3 ended Filled cum 1
            B: 4 ended Filled cum 1
            market 6: trade 1@9995 Buy
            market 7: Sell 9995 has 0
            all: reference 9995
        C 5 sell 1 @9994
            market 8: Sell 9994 has 1
        B 6 buy 1 @10000 ioc
            C: 5 made Sell 1@9994 costs 999400 fee -100 cum 1
            B: 6 took Buy 1@9994 costs 999400 fee 2498 cum 1
            C: 5 ended Filled cum 1
            B: 6 ended Filled cum 1
            market 9: trade 1@9994 Buy
            market 10: Sell 9994 has 0
        wait 100000
        timer
            all: reference 9994
        timer
        C 7 sell 1 @9984
            market 11: Sell 9984 has 1
        B 8 buy 1 @10000 ioc
            C: 7 made Sell 1@9984 costs 998400 fee -100 cum 1
            B: 8 took Buy 1@9984 costs 998400 fee 2496 cum 1
            C: 7 ended Filled cum 1
            B: 8 ended Filled cum 1
            market 12: trade 1@9984 Buy
            market 13: Sell 9984 has 0
            all: reference 9984
        B 9 buy 1 @10000 ioc
            A: 1 made Sell 1@10000 costs 1000000 fee -100 cum 2
            B: 9 took Buy 1@10000 costs 1000000 fee 2500 cum 1
            B: 9 ended Filled cum 1
            market 14: trade 1@10000 Buy
            market 15: Sell 10000 has 1
            all: reference 10000
    "#]]
    .assert_eq(&play_on(script, &btc));
}

#[test]
fn many_expiries_take_many_timers_and_each_a_bounded_number() {
    let count = EXPIRIES_MAX * 2 + 1;
    let btc = instrument("BTC/USD", 1);
    let mut engine = Engine::default();
    let define = ToMatching::Define(btc);
    transition(&mut engine, &Input::Command(define), Micros(0));
    for number in 1..=count {
        let line = format!("A {number} buy 1 @1 exp=0");
        let place = parse(&line, btc.id);
        transition(&mut engine, &place, Micros(0));
    }
    for expired in [EXPIRIES_MAX, EXPIRIES_MAX, 1, 0] {
        let (events, _) = transition(&mut engine, &Input::Timer, START);
        assert_eq!(events.len(), expired);
    }
    assert!(engine.export().books[0].orders.is_empty());
}

#[test]
fn a_snapshot_holds_triggered_stops_that_have_not_reached_their_book() {
    let btc = instrument("BTC/USD", 1);
    let mut engine = Engine::default();
    transition(
        &mut engine,
        &Input::Command(ToMatching::Define(btc)),
        Micros(0),
    );
    for line in [
        "A 1 sell 1 @1001",
        "A 2 sell 9 @1004",
        "B 3 buy 2 @market stop=1001 protect=1010",
        "C 4 buy 2 @1004 stop=1001 exp=1000",
    ] {
        transition(&mut engine, &parse(line, btc.id), Micros(0));
    }
    // The trade is applied; the stops that it triggers have not been decided about.
    let mut events = Vec::new();
    engine.decide(&parse("D 5 buy 1 @1001", btc.id), Micros(0), &mut events);
    events.iter().for_each(|event| engine.apply(event));
    let mut restored = Engine::restore(&engine.export(), Hours::default());
    assert_eq!(restored.export(), engine.export());
    assert_eq!(engine.export().triggered.len(), 2);
    let next = engine.follow_up().expect("a stop was triggered");
    assert_eq!(restored.follow_up(), Some(next.clone()));
    let expected = transition(&mut engine, &next, Micros(0));
    assert_eq!(transition(&mut restored, &next, Micros(0)), expected);
    assert_eq!(restored.export(), engine.export());
}
