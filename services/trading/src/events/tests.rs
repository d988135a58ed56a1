//! The engine itself, driven at random, must read back what it wrote; golden bytes fix the format.

mod golden;
mod market;

use std::sync::LazyLock;

use prepx_bus::Topic;
use prepx_domain::{Machine as _, Micros};
use prepx_matching::{EXPIRIES_MAX, Engine, Event, Input, Output};
use prepx_stage::{Codec as _, Route};
use proptest::prelude::*;

use super::MatchingCodec;
use market::{Market, Step};

static CODEC: LazyLock<MatchingCodec> = LazyLock::new(|| MatchingCodec::new(market::hours()));

fn state_bytes(engine: &Engine) -> Vec<u8> {
    let mut bytes = Vec::new();
    CODEC.encode_state(engine, &mut bytes);
    bytes
}

/// The engine that `bytes` stand for.
fn engine_of(bytes: &[u8]) -> Engine {
    let engine = CODEC.decode_state(MatchingCodec::STATE_VERSION, bytes);
    engine.expect("an engine wrote it")
}

/// The event as it comes back from the log.
fn through_the_log(event: &Event) -> Event {
    let mut bytes = b"what was there before".to_vec();
    let start = bytes.len();
    CODEC.encode_event(event, &mut bytes);
    let read = CODEC
        .decode_event(&bytes[start..])
        .expect("this version wrote it");
    assert_eq!(read, *event);
    read
}

/// Decides and applies an input with all that follows from it; what is applied has been through the
/// log, and so have the outputs.
fn drive(engine: &mut Engine, input: Input, now: Micros) -> (Vec<Event>, Vec<Output>) {
    let (mut all, mut outputs) = (Vec::new(), Vec::new());
    let mut next = Some(input);
    while let Some(input) = next {
        let mut events = Vec::new();
        engine.decide(&input, now, &mut events);
        for event in &events {
            let event = through_the_log(event);
            engine.apply(&event);
            engine.outputs(&event, now, &mut outputs);
        }
        all.extend(events);
        next = engine.follow_up();
    }
    for output in &outputs {
        check_output(output);
    }
    (all, outputs)
}

/// What the receiver of an output reads.
fn check_output(output: &Output) {
    let mut bytes = Vec::new();
    CODEC.encode_output(output, &mut bytes);
    match output {
        Output::Account { slot, message } => {
            assert_eq!(
                CODEC.route(output),
                Route::Slot(Topic::OrderExecutions, *slot)
            );
            assert_eq!(prepx_proto::journal::decode(&bytes).as_ref(), Ok(message));
        }
        Output::Everyone(message) => {
            assert_eq!(CODEC.route(output), Route::Every(Topic::OrderExecutions));
            assert_eq!(prepx_proto::journal::decode(&bytes).as_ref(), Ok(message));
        }
        Output::Market(update) => {
            assert_eq!(CODEC.route(output), Route::Own(Topic::MarketData));
            assert_eq!(prepx_proto::journal::decode(&bytes).as_ref(), Ok(update));
        }
    }
}

/// An engine after `steps`.
fn engine_after(market: &mut Market, steps: &[Step]) -> Engine {
    let mut engine = CODEC.initial();
    for step in steps {
        let input = market.input(step);
        drive(&mut engine, input, market.now);
    }
    engine
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn events_come_back_and_a_restored_engine_goes_on_as_its_original(
        before in prop::collection::vec(market::step(), 0..150),
        after in prop::collection::vec(market::step(), 1..100),
    ) {
        let mut market = Market::new();
        let mut engine = engine_after(&mut market, &before);
        let bytes = state_bytes(&engine);
        let mut restored = engine_of(&bytes);
        prop_assert_eq!(engine.export(), restored.export());
        for step in &after {
            let input = market.input(step);
            let said = drive(&mut engine, input.clone(), market.now);
            prop_assert_eq!(said, drive(&mut restored, input, market.now));
        }
        prop_assert_eq!(state_bytes(&engine), state_bytes(&restored));
    }

    #[test]
    fn inputs_come_back(steps in prop::collection::vec(market::step(), 1..20)) {
        let mut market = Market::new();
        for step in &steps {
            let input = market.input(step);
            if input == Input::Timer {
                continue;
            }
            let mut bytes = Vec::new();
            CODEC.encode_input(&input, &mut bytes);
            for topic in [Topic::InstrumentCommands, Topic::OrderProcessing] {
                prop_assert_eq!(CODEC.decode_input(topic, &bytes), Ok(input.clone()));
            }
            prop_assert!(CODEC.decode_input(Topic::TradingCommands, &bytes).is_err());
        }
    }

    /// A state that no engine wrote is an error or a state, and never a panic.
    #[test]
    fn a_damaged_state_never_panics(
        steps in prop::collection::vec(market::step(), 20..60),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let engine = engine_after(&mut Market::new(), &steps);
        let mut bytes = state_bytes(&engine);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(engine) = CODEC.decode_state(MatchingCodec::STATE_VERSION, &bytes) {
            let _a_state_again = state_bytes(&engine);
        }
    }

    #[test]
    fn garbage_is_no_event(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _any_outcome = CODEC.decode_event(&bytes);
        let _any_outcome = CODEC.decode_state(MatchingCodec::STATE_VERSION, &bytes);
        let _any_outcome = CODEC.decode_input(Topic::OrderProcessing, &bytes);
    }
}

/// Random steps are worth nothing if they never get far: together they reach every kind of event.
#[test]
fn random_steps_reach_every_event() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut met = std::collections::BTreeSet::new();
    let steps = prop::collection::vec(market::step(), 400);
    for _ in 0..6 {
        let steps = steps.new_tree(&mut runner).expect("nothing is filtered");
        let (mut market, mut engine) = (Market::new(), CODEC.initial());
        for step in &steps.current() {
            let input = market.input(step);
            let (events, _) = drive(&mut engine, input, market.now);
            met.extend(events.iter().map(|event| {
                let name = format!("{event:?}");
                name.split([' ', '(']).next().map(str::to_owned)
            }));
        }
    }
    let met: Vec<String> = met.into_iter().flatten().collect();
    expect_test::expect!["Absent Defined Ended Entered Halted LevelParked Moved Parked Reduced Reference ReleaseBegan Released ReplaceRejected Replaced Rested SessionChanged Traded Triggered Waited"].assert_eq(&met.join(" "));
}

/// A batch of the log may have 64 MB: what a close ends must fit, however many orders that is.
#[test]
fn a_timer_takes_a_bounded_transition_of_any_number_of_expiries() {
    let bytes_of = |events: &[Event], outputs: &[Output]| {
        let mut bytes = Vec::new();
        events
            .iter()
            .for_each(|event| CODEC.encode_event(event, &mut bytes));
        outputs
            .iter()
            .for_each(|output| CODEC.encode_output(output, &mut bytes));
        bytes.len()
    };
    // The first three steps define instruments.
    let mut market = Market::new();
    let steps = vec![Step::Place(market::brief()); 3 + 3 * EXPIRIES_MAX];
    let mut engine = engine_after(&mut market, &steps);
    for _ in 0..3 {
        let (events, outputs) = drive(&mut engine, Input::Timer, market.now.plus_us(1));
        let ended = |event: &&Event| matches!(event, Event::Ended { .. });
        assert_eq!(events.iter().filter(ended).count(), EXPIRIES_MAX);
        assert!(bytes_of(&events, &outputs) < 2 << 20);
    }
    let (events, _) = drive(&mut engine, Input::Timer, market.now.plus_us(1));
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn another_version_of_the_state_is_refused() {
    let bytes = state_bytes(&CODEC.initial());
    let refusal = CODEC.decode_state(MatchingCodec::STATE_VERSION + 1, &bytes);
    assert_eq!(
        refusal.map(|_| ()).map_err(|error| error.to_string()),
        Err(
            "a state of the matching stage cannot be decoded: it has version 2, and 1 is known"
                .into()
        )
    );
}
