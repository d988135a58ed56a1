//! The table: medians over the rounds, and how many times faster we are.

use std::collections::BTreeMap;

const OURS: &str = "prepx";

/// Prints the results of the rounds, one line `name, operations a second, CPU ns an operation, p50,
/// p99, p99.9, trades, volume` each, as a table.
pub fn print(results: &str) {
    let text = std::fs::read_to_string(results).expect("results of `run`");
    let mut rounds: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
    let mut order = Vec::new();
    let mut totals = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if !order.contains(&fields[0]) {
            order.push(fields[0]);
        }
        totals.push((fields[0], fields[6..].to_vec()));
        rounds.entry(fields[0]).or_default().push(fields);
    }
    for (name, total) in &totals {
        let same = *total == totals[0].1;
        assert!(
            same,
            "{name} traded {total:?}, {} {:?}",
            totals[0].0, totals[0].1
        );
    }
    println!(
        "| engine | operations/s | CPU ns/op | p50 ns | p99 ns | p99.9 ns | ours is faster | in CPU time |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let cell = |name: &str, column: usize| median(&rounds[name], column);
    for name in order {
        let quantile = |column| match cell(name, column) {
            Some(nanos) => format!("{nanos:.0}"),
            None => "–".to_owned(),
        };
        let speed = cell(name, 1).unwrap_or(f64::NAN);
        let cpu = cell(name, 2).unwrap_or(f64::NAN);
        println!(
            "| {name} | {:.2} M | {cpu:.0} | {} | {} | {} | {:.1}× | {:.1}× |",
            speed / 1e6,
            quantile(3),
            quantile(4),
            quantile(5),
            cell(OURS, 1).unwrap_or(f64::NAN) / speed,
            cpu / cell(OURS, 2).unwrap_or(f64::NAN),
        );
    }
    println!(
        "\nEvery engine traded {} times, {} lots.",
        totals[0].1[0], totals[0].1[1]
    );
}

/// The median of a column; `None` where it was not measured.
fn median(rounds: &[Vec<&str>], column: usize) -> Option<f64> {
    let parsed = rounds.iter().map(|fields| fields[column].parse().ok());
    let mut values: Vec<f64> = parsed.collect::<Option<_>>()?;
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
