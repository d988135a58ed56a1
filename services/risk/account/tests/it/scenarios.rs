//! The rules of one account, one by one, with numbers computed by hand.
//!
//! A scenario is a file, `scenarios/<about>/<name>.txt`: what happens at a [`Desk`], and indented below
//! each line what the stage tells of it ([`script`](crate::script) says how). To add one, write its
//! script, name it here and run the tests once with `UPDATE_EXPECT=1`; then read what came of it.

use expect_test::{ExpectFile, expect_file};
use prepx_account::Config;
use prepx_domain::Instrument;

use crate::desk::{Desk, share};
use crate::script::play;

fn check(scenario: ExpectFile, desk: Desk) {
    let (text, path) = (scenario.data(), scenario.path.display());
    assert!(!text.trim().is_empty(), "{path} is missing or empty");
    scenario.assert_eq(&play(&text, desk));
}

macro_rules! scenarios {
    ($about:literal at $desk:expr; $($name:ident)+) => {$(
        #[test]
        fn $name() {
            let file = concat!("scenarios/", $about, "/", stringify!($name), ".txt");
            check(expect_file![file], $desk);
        }
    )+};
}

// Accounts, money in and out, and what trades make of it.
scenarios! {
    "money" at Desk::new();
    an_accounts_life
    a_buy_from_order_to_position
    a_sell_from_position_to_cash
}

scenarios! {
    "money" at Desk::empty(Config::of_partitions(2));
    the_supply_of_an_asset_is_bounded_so_that_nothing_overflows
}

// What orders hold, and what becomes of it.
scenarios! {
    "holds" at Desk::new();
    every_kind_holds_its_worst_cost
    a_cash_account_holds_what_it_has_and_no_more
    a_stop_is_set_off_and_trades
    the_cost_of_a_position_goes_with_its_parts
}

// A lot is a hundredth of a share, and nobody pays fees.
scenarios! {
    "holds" at Desk::with(Config::default(), Instrument {
        lot_minor: 1,
        seed_reference_ticks: None,
        taker_fee_ppm: 0,
        ..share()
    });
    many_small_trades_round_up_more_often_than_one_hold
    where_nothing_is_available_the_fees_give_the_dust
}

// Replacing while the market trades, and what each race leaves.
scenarios! {
    "replacing" at Desk::new();
    a_larger_order_holds_more_at_once_and_gives_nothing_back
    a_smaller_order_gives_back_when_the_market_agrees_and_not_before
    fills_before_the_answer_are_the_old_orders
    a_cheaper_larger_order_is_covered_even_if_the_old_one_trades_first
    the_old_order_ends_before_the_replacement_arrives
    a_refused_replacement_leaves_the_old_order_as_it_was
    one_replacement_at_a_time
    what_a_replacement_may_change
    a_stop_is_moved_until_it_is_set_off
    a_sell_is_replaced_within_what_the_account_has
}

// Cancelling while the market trades.
scenarios! {
    "cancelling" at Desk::new();
    a_cancel_of_the_old_id_of_a_pair_cancels_whichever_lives
    a_cancel_of_the_new_id_of_a_pair_cancels_whichever_lives
    a_cancel_outlives_a_refused_replacement
    a_cancel_of_a_replaced_order_follows_it
    a_late_cancel_meant_requested
    cancel_all_takes_every_living_order_once
    cancel_all_of_nothing
    an_operator_ends_an_order_that_the_market_does_not_know
    an_operator_ends_both_of_a_pair_that_the_market_does_not_know
    an_operator_ends_what_has_traded_whole
    an_operator_ends_an_order_that_lives_as_a_cancel_does
}
