//! The plan of a small recording of our own, by hand, and recordings that contradict themselves.

use std::path::Path;

use prepx_domain::Side;

use super::*;
use crate::replay::recording::Row;

fn small() -> Recording {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    let book = data.join("lobster-small-orderbook.csv");
    Recording::open(&data.join("lobster-small-message.csv"), Some(&book)).unwrap()
}

fn level(price: i64, size: i64) -> Level {
    Level { price, size }
}

#[test]
fn every_message_is_understood() {
    let wanted = Counts {
        added: 6,
        shrunk: 1,
        deleted: 2,
        executed: 6,
        hidden: 1,
        crossed: 0,
        halts: 2,
        executions_unknown: 1,
        executions_against_priority: 0,
        cancels_unknown: 1,
        left_unseen: 1,
        rows_contradicting: 0,
    };
    assert_eq!(Plan::of(&small()).counts, wanted);
}

/// An aggressor: its side, its worst price with its size, and what it hits with how much.
type Seen = (Side, Level, Vec<(u64, i64)>);

#[test]
fn a_run_of_executions_is_one_aggressor_to_the_worst_price() {
    let plan = Plan::of(&small());
    let takes: Vec<&Take> = plan
        .steps
        .iter()
        .filter_map(|step| step.take.as_ref())
        .collect();
    let seen: Vec<Seen> = takes
        .iter()
        .map(|take| {
            let hits = take.hits.iter().map(|hit| (hit.recorded, hit.at.size));
            (take.side, take.at, hits.collect())
        })
        .collect();
    let wanted = [
        (Side::Buy, level(1_000_500, 90), vec![(12, 30), (13, 60)]),
        (Side::Sell, level(1_000_000, 40), vec![(11, 40)]),
        (Side::Sell, level(1_000_000, 85), vec![(15, 25), (11, 60)]),
    ];
    assert_eq!(seen, wanted);
}

#[test]
fn a_side_is_derived_unless_the_row_alone_tells_it() {
    let plan = Plan::of(&small());
    let told_by_the_row: Vec<(usize, &str)> = plan
        .steps
        .iter()
        .flat_map(|step| {
            let book = step.book.unwrap();
            [(book.bid, "bid"), (book.ask, "ask")]
                .into_iter()
                .filter(|(best, _)| !best.derived)
                .map(|(_, name)| (step.message + 1, name))
        })
        .collect();
    // The start; a level that comes into view when the one before it is gone.
    assert_eq!(
        told_by_the_row,
        [(1, "ask"), (8, "ask"), (16, "ask"), (18, "bid")]
    );
}

#[test]
fn orders_that_are_never_spoken_of_again_leave_with_their_level() {
    let plan = Plan::of(&small());
    // Order 17 is the fourth that is placed, after 11, the filler of the first row, and 12.
    let better_bid = &plan.steps[5];
    assert_eq!(better_bid.message, 5);
    assert_eq!(better_bid.after, [Command::Cancel { order: 3 }]);
}

#[test]
fn a_partial_cancel_keeps_the_order_in_its_place() {
    let plan = Plan::of(&small());
    assert_eq!(
        plan.steps[4].before,
        [Command::Shrink {
            order: 2,
            total: 30
        }]
    );
    assert_eq!(plan.steps[4].after, []);
}

#[test]
fn without_a_book_nothing_is_filled_up_or_compared() {
    let recording = Recording {
        rows: Vec::new(),
        ..small()
    };
    let plan = Plan::of(&recording);
    assert!(plan.steps.iter().all(|step| step.book.is_none()));
    assert_eq!((plan.orders, plan.counts.left_unseen), (6, 1));
    let known = plan.steps.iter().filter_map(|step| step.take.as_ref());
    assert_eq!(known.map(|take| take.hits.len()).sum::<usize>(), 5);
}

#[test]
fn an_unknown_part_of_a_level_stands_behind_what_the_recording_says_trades() {
    let message = |at_us, kind, order, size| Message {
        at_us,
        kind,
        order,
        size,
        price: 1_000_000,
        side: Side::Buy,
    };
    let row = |size| Row {
        bids: vec![level(1_000_000, size)],
        asks: Vec::new(),
    };
    let recording = Recording {
        messages: vec![
            message(1, Kind::Delete, 7, 1),
            message(2, Kind::Add, 8, 10),
            message(3, Kind::Execute, 8, 10),
        ],
        rows: vec![row(30), row(40), row(30)],
    };
    let plan = Plan::of(&recording);
    let side = Side::Buy;
    let at = level(1_000_000, 30);
    assert_eq!(plan.steps[0].after, [Command::Place { order: 0, side, at }]);
    let moved = [
        Command::Cancel { order: 0 },
        Command::Place { order: 2, side, at },
    ];
    assert_eq!(plan.steps[2].before, moved);
    assert!(plan.steps[2].book.unwrap().bid.derived);
}

#[test]
fn an_execution_past_an_older_order_is_counted_and_not_demanded() {
    let message = |at_us, kind, order| Message {
        at_us,
        kind,
        order,
        size: 10,
        price: 1_000_000,
        side: Side::Buy,
    };
    let recording = Recording {
        messages: vec![
            message(1, Kind::Add, 1),
            message(2, Kind::Add, 2),
            message(3, Kind::Execute, 2),
            message(4, Kind::Execute, 1),
        ],
        rows: Vec::new(),
    };
    let plan = Plan::of(&recording);
    assert_eq!(plan.counts.executions_against_priority, 1);
    assert_eq!(
        (&plan.steps[2].take, plan.steps[2].before.len()),
        (&None, 1)
    );
    assert_eq!(plan.steps[3].take.as_ref().unwrap().hits[0].recorded, 1);
}

#[test]
fn a_row_that_no_market_could_show_is_counted_and_not_compared() {
    let mut recording = small();
    recording.rows[1].asks = vec![level(1_000_500, 39)];
    let plan = Plan::of(&recording);
    assert_eq!(
        (plan.counts.rows_contradicting, plan.steps[1].book),
        (1, None)
    );
}

/// The whole day, where it is at hand: data that is not ours to keep here.
#[test]
fn the_recorded_day_is_derived_nearly_whole() {
    let Some(day) = std::env::var_os("PREPX_LOBSTER_DAY") else {
        return;
    };
    let open = |name: &str| {
        let name = format!("AMZN_2012-06-21_34200000_57600000_{name}_1.csv.gz");
        Path::new(&day).join(name)
    };
    let recording = Recording::open(&open("message"), Some(&open("orderbook"))).unwrap();
    let plan = Plan::of(&recording);
    let counts = &plan.counts;
    let of_type = (
        counts.added,
        counts.shrunk,
        counts.deleted,
        counts.executed,
        counts.hidden,
    );
    assert_eq!(of_type, (27_845, 16, 18_235, 8_974, 2_445));
    // An order's size that changed while its level was out of view, for the most part.
    assert_eq!(
        (counts.executions_unknown, counts.rows_contradicting),
        (3_071, 13)
    );
    let sides = plan.steps.iter().filter_map(|step| step.book);
    let derived = sides.flat_map(|book| [book.bid.derived, book.ask.derived]);
    assert_eq!(derived.filter(|derived| *derived).count(), 98_799);
}
