//! Drives an engine and the reference side by side, as a stage would.

use std::collections::VecDeque;

use prepx_domain::update::MarketChange;
use prepx_domain::{Hours, Machine, Micros, Side, fixture};

use crate::book::book_key;
use crate::orders::Place;
use crate::reference::Reference;
use crate::{BookSnapshot, Engine, Event, Input, Output};

/// The most follow-ups that one input may need before something runs in circles.
const FOLLOW_UPS_MAX: usize = 100_000;
/// How many inputs are looked at ahead.
const RECENT: usize = 8;

/// Decides and applies an input with everything that follows, as one transition.
pub(super) fn transition(
    engine: &mut Engine,
    input: &Input,
    now: Micros,
) -> (Vec<Event>, Vec<Output>) {
    let (mut events, mut outputs) = (Vec::new(), Vec::new());
    let mut next = Some(input.clone());
    for _ in 0..FOLLOW_UPS_MAX {
        let Some(input) = next else {
            return (events, outputs);
        };
        let first = events.len();
        engine.decide(&input, now, &mut events);
        for event in &events[first..] {
            engine.apply(event);
            engine.outputs(event, now, &mut outputs);
        }
        next = engine.follow_up();
    }
    panic!("the follow-ups of {input:?} do not end");
}

/// When the tests begin.
pub(super) const START: Micros = Micros(1_800_000_000_000_000);

/// Days of 4 s: closed for 0.5 s, early hours for 0.5 s, the session for 1.5 s, late hours for 1 s,
/// closed for the rest.
pub(super) fn hours() -> Hours {
    let phases = [500_000, 1_000_000, 2_500_000, 3_500_000];
    fixture::days(200, 4_000_000, phases.map(|us| START.plus_us(us)))
}

/// An engine, one that only folds its events, and the reference.
pub(super) struct Run {
    pub(super) engine: Engine,
    folded: Engine,
    reference: Reference,
    /// The last inputs. They are prefetched as if they came again: the orders that they name are open or not.
    recent: VecDeque<Input>,
}

impl Run {
    pub(super) fn new() -> Run {
        Run {
            engine: Engine::new(hours()),
            folded: Engine::new(hours()),
            reference: Reference::new(hours()),
            recent: VecDeque::new(),
        }
    }

    /// One input through both books; says how they differ.
    pub(super) fn step(&mut self, input: &Input, now: Micros) -> Result<Vec<Output>, String> {
        self.recent.truncate(RECENT - 1);
        self.recent.push_front(input.clone());
        self.engine.look_ahead(self.recent.make_contiguous(), 0);
        let (events, outputs) = transition(&mut self.engine, input, now);
        for event in &events {
            self.folded.apply(event);
        }
        let expected = self.reference.step(input, now);
        if outputs == expected {
            Ok(outputs)
        } else {
            Err(format!(
                "the books differ at {input:?}\nengine {outputs:#?}\nreference {expected:#?}"
            ))
        }
    }

    /// Looks at the whole state: the same orders as the reference, the fold of the events equal to
    /// the live state, every level the sum of its orders, no book crossed. Then the engine goes on
    /// from its own snapshot.
    pub(super) fn inspect_and_restore(&mut self) -> Result<(), String> {
        let snapshot = self.engine.export();
        if self.folded.export() != snapshot {
            return Err("the fold of the events is not the live state".to_owned());
        }
        for book in &snapshot.books {
            self.inspect(book)?;
        }
        self.engine = Engine::restore(&snapshot, hours());
        if self.engine.export() != snapshot {
            return Err("the restored state is not the exported one".to_owned());
        }
        Ok(())
    }

    fn inspect(&self, snapshot: &BookSnapshot) -> Result<(), String> {
        let id = snapshot.instrument.id;
        let book = self.engine.known_book(id);
        let levels = &self.engine.levels;
        let mut resting = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            let mut at = book.ladder(Place::Book, side).first;
            while at != crate::fifo::NONE {
                let level = levels.get(at);
                let orders: Vec<_> = self.engine.queue_orders(level.queue).collect();
                let left = |live: &crate::LiveOrder| live.order.qty_lots - live.cum_lots;
                let sum: i128 = orders.iter().map(|live| i128::from(left(live))).sum();
                if orders.is_empty() || sum != level.lots {
                    return Err(format!("level {level:?} holds {sum} lots"));
                }
                let rows = orders.iter().map(|live| {
                    (
                        live.order.order,
                        side,
                        book_key(side, level.key),
                        left(live),
                    )
                });
                resting.extend(rows);
                at = levels.after(at);
            }
        }
        if resting != self.reference.resting(id) {
            return Err(format!(
                "the book of {id} holds other orders than the reference"
            ));
        }
        let parked = [&snapshot.early, &snapshot.kept, &snapshot.late];
        let parked = parked.into_iter().flatten().map(|live| live.order.order);
        if !parked.eq(self.reference.parked(id)) {
            return Err(format!(
                "other orders of {id} are parked than in the reference"
            ));
        }
        let best = |side| match book.ladder(Place::Book, side).first {
            crate::fifo::NONE => None,
            at => Some(book_key(side, levels.get(at).key)),
        };
        match (best(Side::Buy), best(Side::Sell)) {
            (Some(bid), Some(ask)) if bid >= ask => Err(format!("crossed (I5): {bid} {ask}")),
            _ => Ok(()),
        }
    }
}

/// Checks that market updates are numbered densely by instrument, and remembers the last numbers.
pub(super) fn check_numbers(
    last: &mut std::collections::BTreeMap<prepx_domain::InstrumentId, u64>,
    outputs: &[Output],
) -> Result<(), String> {
    for output in outputs {
        let Output::Market(update) = output else {
            continue;
        };
        let number = last.entry(update.instrument).or_insert(0);
        *number += 1;
        if update.number != *number {
            return Err(format!("update {update:?} should be number {number}"));
        }
        if let MarketChange::Trade { qty_lots, .. } = update.change
            && qty_lots <= 0
        {
            return Err(format!("an empty trade: {update:?}"));
        }
    }
    Ok(())
}
