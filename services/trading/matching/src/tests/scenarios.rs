//! The rules, one by one. Each scenario also runs through the reference.
//!
//! A scenario is a file, `scenarios/<about>/<name>.txt`: its script, and indented below each line
//! what others are told of it ([`script`](super::script) says how). To add one, write its script,
//! name it here and run the tests once with `UPDATE_EXPECT=1`; then read what came of it.

mod triggers;

use expect_test::{ExpectFile, expect, expect_file};
use prepx_domain::Instrument;

use super::generator::{instrument, listed};
use super::run::transition;
use super::script::{parse, play};
use crate::Engine;

fn check(scenario: ExpectFile, instrument: &Instrument) {
    let (text, path) = (scenario.data(), scenario.path.display());
    assert!(!text.trim().is_empty(), "{path} is missing or empty");
    scenario.assert_eq(&play(&text, instrument));
}

macro_rules! scenarios {
    ($about:literal on $instrument:expr; $($name:ident)+) => {$(
        #[test]
        fn $name() {
            let file = concat!("scenarios/", $about, "/", stringify!($name), ".txt");
            check(expect_file![file], &$instrument);
        }
    )+};
}

scenarios! {
    "trading" on instrument("BTC/USD", 1);
    i5_price_comes_before_time
    what_does_not_trade_rests
    a_market_order_trades_up_to_its_protect_price
    immediate_or_cancel
    fill_or_kill
    fill_or_kill_sees_its_own_orders
    post_only_never_takes
    self_trade_cancels_the_newer_order
    a_limit_beyond_the_collar_is_refused_if_it_crosses
    halted_takes_cancels_only
    an_operator_is_told_what_does_not_live
    an_order_that_meets_many_goes_on_before_all_else
}

scenarios! {
    "trading" on Instrument {
        tick_minor: 1_000_000_000_000,
        lot_minor: 1_000_000_000,
        seed_reference_ticks: None,
        ..instrument("BTC/USD", 1)
    };
    money_that_does_not_fit_its_number_does_not_trade
}

scenarios! {
    "replacing" on instrument("BTC/USD", 1);
    reducing_keeps_the_place_in_the_queue
    any_other_replacement_goes_to_the_end_of_the_queue
    a_replacement_counts_what_has_traded
    a_replacement_that_crosses_trades
    a_refused_replacement_leaves_the_order
    a_cancel_of_either_id_of_a_pair_ends_what_lives
}

// What trades and time set off: stops, reference prices, expiry.
scenarios! {
    "triggers" on instrument("BTC/USD", 1);
    stops_wait_for_a_trade_at_their_price
    stops_trigger_by_price_then_by_arrival
    a_stop_whose_price_was_reached_triggers_on_arrival
    a_cascade_runs_in_order
    what_was_triggered_stays_triggered_when_replaced
    orders_expire_when_the_timer_says
}

scenarios! {
    "triggers" on Instrument {
        seed_reference_ticks: Some(10_000),
        ..instrument("BTC/USD", 1)
    };
    reference_prices_move_at_most_every_100_ms_or_per_mille
}

// What waits for sessions, what they let in and in which order, and what they leave alone. The test
// begins while the market is closed: extended hours begin after 0.5 s, the session after 1 s; it
// ends after 2.5 s, extended hours after 3.5 s.
scenarios! {
    "sessions" on listed("AAA", 4);
    what_arrives_while_the_market_is_closed_enters_in_order_of_arrival_when_it_opens
    what_must_trade_at_once_cannot_wait
    parked_orders_are_cancelled_replaced_and_expire
    a_session_ends_at_its_moment_before_any_timer_has_seen_it
    extended_hours_are_for_those_that_asked_for_them_and_the_others_come_back_first
    stops_follow_the_regular_session_alone
    a_halt_keeps_parked_orders_out_and_lets_them_in_when_it_ends
    an_order_whose_account_thinks_it_waits_is_told_that_it_does_not
    an_opening_takes_its_time_and_nobody_overtakes
    extended_hours_begin_when_all_that_ends_with_the_session_has_ended
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
