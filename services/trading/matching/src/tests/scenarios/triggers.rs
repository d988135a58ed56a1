//! Stops and expiries in the middle of a transition.

use prepx_domain::message::ToMatching;
use prepx_domain::{Hours, Machine, Micros};

use super::super::run::START;
use super::{instrument, parse, transition};
use crate::{EXPIRIES_MAX, Engine, Input, TRADES_MAX};

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

#[test]
fn a_snapshot_holds_the_order_that_is_in_the_middle_of_trading() {
    let btc = instrument("BTC/USD", 1);
    let mut engine = Engine::default();
    transition(
        &mut engine,
        &Input::Command(ToMatching::Define(btc)),
        Micros(0),
    );
    let count = TRADES_MAX * 2 + 1;
    for number in 1..=count {
        let place = parse(&format!("A {number} sell 1 @1001"), btc.id);
        transition(&mut engine, &place, Micros(0));
    }
    let stop = parse("C 90 buy 1 @1002 stop=1001", btc.id);
    transition(&mut engine, &stop, Micros(0));
    let mut events = Vec::new();
    let sweep = parse(&format!("B 91 buy {} @1001", count + 1), btc.id);
    engine.decide(&sweep, Micros(0), &mut events);
    events.iter().for_each(|event| engine.apply(event));
    let paused = engine.export();
    let taking = paused.taking.expect("more is there to trade with");
    assert_eq!(taking.cum_lots, i64::from(TRADES_MAX));
    assert_eq!(paused.triggered.len(), 1);
    let mut restored = Engine::restore(&paused, Hours::default());
    assert_eq!(restored.export(), paused);
    let next = engine.follow_up().expect("it goes on");
    assert_eq!(next, Input::Taking(taking.order.order), "before the stop");
    assert_eq!(restored.follow_up(), Some(next.clone()));
    let expected = transition(&mut engine, &next, Micros(0));
    assert_eq!(transition(&mut restored, &next, Micros(0)), expected);
    assert_eq!(restored.export(), engine.export());
    assert_eq!(engine.export().taking, None);
}
