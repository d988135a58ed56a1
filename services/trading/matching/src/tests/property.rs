//! The engine equals the reference on random inputs (I5), folds to itself, restores to itself, and
//! runs the same way twice (I7). A failure is shrunk to few inputs and printed with its seed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use prepx_domain::Micros;

use super::generator::Generator;
use super::run::{Run, check_numbers, transition};
use crate::{Engine, Event, Input};

type Step = (Micros, Input);

/// How often the whole state is looked at.
const INSPECT_EVERY: usize = 500;

/// Runs `count` random inputs; on failure the inputs so far and what went wrong.
fn explore(seed: u64, count: usize) -> Result<(), (Vec<Step>, String)> {
    let mut generator = Generator::new(seed);
    let mut run = Run::new();
    let mut numbers = BTreeMap::new();
    let mut steps: Vec<Step> = Vec::with_capacity(count);
    let mut definitions = generator.definitions().into_iter();
    for at in 0..count {
        let input = definitions.next().unwrap_or_else(|| generator.next());
        steps.push((generator.now, input.clone()));
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            let outputs = run.step(&input, generator.now)?;
            check_numbers(&mut numbers, &outputs)?;
            if at % INSPECT_EVERY == 0 {
                run.inspect_and_restore()?;
            }
            Ok(outputs)
        }));
        match stepped {
            Ok(Ok(outputs)) => generator.hear(&outputs),
            Ok(Err(difference)) => return Err((steps, difference)),
            Err(_) => return Err((steps, "panicked".to_owned())),
        }
    }
    Ok(())
}

/// What goes wrong when exactly these inputs come.
fn replay(steps: &[Step]) -> Option<String> {
    let replayed = catch_unwind(AssertUnwindSafe(|| {
        let mut run = Run::new();
        for (now, input) in steps {
            run.step(input, *now)?;
        }
        run.inspect_and_restore()
    }));
    match replayed {
        Ok(result) => result.err(),
        Err(_) => Some("panicked".to_owned()),
    }
}

/// Leaves out inputs as long as something still goes wrong.
fn shrink(mut steps: Vec<Step>) -> Vec<Step> {
    let mut chunk = steps.len() / 2;
    while chunk > 0 {
        let mut from = 0;
        while from < steps.len() {
            let mut fewer = steps[..from].to_vec();
            fewer.extend_from_slice(&steps[(from + chunk).min(steps.len())..]);
            if replay(&fewer).is_some() {
                steps = fewer;
            } else {
                from += chunk;
            }
        }
        chunk /= 2;
    }
    steps
}

#[test]
fn i5_the_engine_equals_the_reference() {
    const SEEDS: u64 = 40;
    const INPUTS: usize = 25_000;
    for seed in 0..SEEDS {
        if let Err((steps, difference)) = explore(seed, INPUTS) {
            let fewest = shrink(steps);
            let last = replay(&fewest).unwrap_or(difference);
            panic!("seed {seed}: {last}\ninputs: {fewest:#?}");
        }
    }
}

fn events_of(seed: u64, count: usize) -> Vec<Event> {
    let mut generator = Generator::new(seed);
    let mut engine = Engine::new(super::run::hours());
    let mut all = Vec::new();
    let mut definitions = generator.definitions().into_iter();
    for _ in 0..count {
        let input = definitions.next().unwrap_or_else(|| generator.next());
        let (events, outputs) = transition(&mut engine, &input, generator.now);
        generator.hear(&outputs);
        all.extend(events);
    }
    all
}

#[test]
fn i7_the_same_seed_gives_the_same_events() {
    for seed in 100..104 {
        let first = events_of(seed, 5_000);
        assert_eq!(first, events_of(seed, 5_000));
        assert_ne!(first, events_of(seed + 1_000, 5_000));
    }
}

#[test]
fn random_inputs_reach_every_event() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for event in (0..8).flat_map(|seed| events_of(seed, 5_000)) {
        let text = format!("{event:?}");
        let kind = text.split([' ', '(', '{']).next().unwrap_or_default();
        *kinds.entry(kind.to_owned()).or_default() += 1;
        for end in [
            "SelfTrade",
            "NotWhole",
            "ProtectPrice",
            "Unfilled",
            "Expired",
            "SessionClosed",
        ]
        .into_iter()
        .chain([
            "PostOnly",
            "OutsideCollar",
            "Rejected(Halted",
            "QuantityTraded",
        ]) {
            if text.contains(end) {
                *kinds.entry(end.to_owned()).or_default() += 1;
            }
        }
    }
    println!("{kinds:#?}");
    // Every kind of event, and every named reason.
    assert!(
        kinds.len() >= 26 && kinds.values().all(|&count| count > 1),
        "{kinds:#?}"
    );
}
