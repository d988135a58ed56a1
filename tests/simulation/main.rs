//! Simulation of the order path: both stages with their real rules and bytes, on the embedded log as
//! one process and as many, and on brokers that do what Kafka may; on a disk, a network and a clock that
//! a seed drives. No threads, no sockets, no time of its own: the same
//! seed is the same run (I7), and a failing one says how to run it again.
//!
//! `PREPX_SEED=n` runs one seed, `PREPX_SEEDS=n` half as many of each kind as you have patience for.

mod apart;
mod brokers;
mod checks;
mod clients;
mod crashes;
mod deaths;
mod group;
mod platform;
mod ring;
mod seats;

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use prepx_bus::brokers::Tally;
use prepx_domain::{Hours, Micros, fixture};
use prepx_risk::AccountCodec;
use prepx_stage::Topology;
use prepx_trading::MatchingCodec;

/// Two of each, so that there are lanes within a partition's reach and across.
const TOPOLOGY: Topology = Topology {
    account_partitions: 2,
    matching_partitions: 2,
};

/// When every run begins.
const START: Micros = Micros(1_800_000_000_000_000);

/// Runs in `make test`, of each kind.
const SEEDS: u64 = 500;
/// Decisions of the seed in one run.
const STEPS: u64 = 150;

/// What came of a run.
#[derive(Debug, PartialEq)]
struct Report {
    /// Everything that is on the log.
    fingerprint: u64,
    /// Orders that were accepted.
    orders: usize,
    /// Orders that have traded.
    trades: usize,
    /// Orders that wait for their session at the end.
    parked: usize,
    /// How often a partition was taken over.
    epoch: Option<u32>,
}

fn account() -> Arc<AccountCodec> {
    let config = prepx_account::Config {
        // More than a run sends, and room that is quickly made.
        commands_max: 1 << 12,
        ..prepx_account::Config::of_partitions(TOPOLOGY.account_partitions)
    };
    Arc::new(AccountCodec::new(config))
}

fn matching() -> Arc<MatchingCodec> {
    Arc::new(MatchingCodec::new(hours()))
}

/// Days of 2.4 s, short enough that sessions begin and end within a run: early hours, the session, in
/// which a run begins, late hours, and a night.
fn hours() -> Hours {
    let phases = [-400, 0, 1_000, 1_400];
    fixture::days(1_000, 2_400_000, phases.map(|ms| START.plus_us(ms * 1_000)))
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?}; a number is due")),
    )
}

/// Runs all seeds; a failing one says how it is run again.
fn simulate(test: &str, run: fn(u64, u64) -> Report) {
    let seeds = match number("PREPX_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PREPX_SEEDS").map_or(SEEDS, |seeds| seeds.div_ceil(2)),
    };
    for seed in seeds {
        if let Err(cause) = panic::catch_unwind(AssertUnwindSafe(|| run(seed, STEPS))) {
            eprintln!(
                "\nrun it again: PREPX_SEED={seed} cargo test -p prepx-tests --test simulation -- \
                 --exact {test}\n"
            );
            panic::resume_unwind(cause);
        }
    }
}

#[test]
fn one_process() {
    simulate("one_process", ring::run);
}

#[test]
fn many_processes() {
    simulate("many_processes", apart::run);
}

#[test]
fn on_brokers() {
    simulate("on_brokers", brokers::run);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        assert_eq!(
            ring::run(seed, STEPS),
            ring::run(seed, STEPS),
            "I7: seed {seed}"
        );
        assert_eq!(
            apart::run(seed, STEPS),
            apart::run(seed, STEPS),
            "I7: seed {seed}"
        );
        assert_eq!(
            brokers::run(seed, STEPS),
            brokers::run(seed, STEPS),
            "I7: seed {seed}"
        );
    }
}

/// Runs in which nothing happens would prove nothing.
#[test]
fn runs_have_orders_trades_and_takeovers_and_differ() {
    for run in [ring::run, apart::run, brokers::run] {
        let reports: Vec<Report> = (0..20).map(|seed| run(seed, STEPS)).collect();
        let sum = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
        let (orders, trades) = (sum(|report| report.orders), sum(|report| report.trades));
        assert!(
            orders > 500 && trades > 150,
            "{orders} orders, {trades} of them traded"
        );
        let parked = sum(|report| report.parked);
        assert!(parked > 20, "{parked} orders wait for their session");
        let takeovers = sum(|report| report.epoch.unwrap_or(0) as usize);
        assert!(takeovers > 60, "{takeovers} takeovers");
        let prints: std::collections::BTreeSet<_> =
            reports.iter().map(|report| report.fingerprint).collect();
        assert_eq!(prints.len(), reports.len(), "two seeds are the same run");
    }
}

/// Nor would runs on brokers that only do what is asked of them.
#[test]
fn runs_on_brokers_meet_everything_that_brokers_do() {
    let met: Vec<_> = (0..40)
        .map(|seed| brokers::run_tallied(seed, STEPS).1)
        .collect();
    let warm: u64 = met.iter().map(|met| met.warm).sum();
    assert!(warm > 40, "{warm} takeovers had somebody who stood by");
    let moves = met.iter().flat_map(|met| met.moves);
    let (handed_over, lost) = moves.fold((0, 0), |(handed_over, lost), moves| {
        (handed_over + moves.handed_over, lost + moves.lost)
    });
    assert!(
        handed_over > 40 && lost > 20,
        "by leases {handed_over} partitions were handed over, {lost} lost"
    );
    let sum = |of: fn(&Tally) -> u64| met.iter().map(|met| of(&met.tally)).sum::<u64>();
    let seen = Tally {
        committed: sum(|tally| tally.committed),
        aborted: sum(|tally| tally.aborted),
        cut_off: sum(|tally| tally.cut_off),
        expired: sum(|tally| tally.expired),
        fenced: sum(|tally| tally.fenced),
        unanswered: sum(|tally| tally.unanswered),
        refused: sum(|tally| tally.refused),
    };
    let all = [
        seen.committed / 20,
        seen.aborted,
        seen.cut_off,
        seen.expired,
        seen.fenced,
        seen.unanswered,
        seen.refused,
    ];
    assert!(all.iter().all(|times| *times > 5), "{seen:?}");
}
