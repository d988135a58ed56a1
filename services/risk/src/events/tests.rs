//! The stage itself, driven at random together with the real matching engine, must read back what
//! it wrote; golden bytes fix the format.

mod exchange;
mod golden;

use prepx_account::{Config, Event, Input, Output, Stage};
use prepx_bus::Topic;
use prepx_domain::message::ToMatching;
use prepx_domain::{InstrumentId, Machine as _, Micros};
use prepx_proto::journal::decode;
use prepx_stage::{Codec as _, Route};
use proptest::prelude::*;

use super::AccountCodec;
use exchange::{Exchange, Step};

/// Memories so small that things are forgotten within a test.
fn codec() -> AccountCodec {
    AccountCodec::new(Config {
        commands_max: 40,
        client_order_ids_us: 100_000,
        recent_orders_max: 3,
        recent_orders_us: 200_000,
        ..Config::default()
    })
}

fn state_bytes(stage: &Stage) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec().encode_state(stage, &mut bytes);
    bytes
}

/// The event as it comes back from the log.
fn through_the_log(event: &Event) -> Event {
    let mut bytes = b"what was there before".to_vec();
    let start = bytes.len();
    codec().encode_event(event, &mut bytes);
    let read = codec()
        .decode_event(&bytes[start..])
        .expect("this version wrote it");
    assert_eq!(read, *event);
    read
}

/// Decides and applies an input; the input and what is applied have been through the log, and so
/// have the outputs.
fn drive(stage: &mut Stage, input: &Input, now: Micros) -> Vec<Output> {
    let (mut events, mut outputs) = (Vec::new(), Vec::new());
    check_input(input);
    stage.decide(input, now, &mut events);
    for event in &events {
        let event = through_the_log(event);
        stage.apply(&event);
        stage.outputs(&event, now, &mut outputs);
    }
    outputs.iter().for_each(check_output);
    outputs
}

/// What the stage reads of an input that was written for it.
fn check_input(input: &Input) {
    let (mut bytes, topic) = (
        Vec::new(),
        match input {
            Input::Command(_) => Topic::TradingCommands,
            Input::FromMatching(_) => Topic::OrderExecutions,
            Input::Timer => return,
        },
    );
    match input {
        Input::FromMatching(message) => prepx_proto::journal::encode(message, &mut bytes),
        _ => codec().encode_input(input, &mut bytes),
    }
    assert_eq!(codec().decode_input(topic, &bytes).as_ref(), Ok(input));
    assert!(codec().decode_input(Topic::MarketData, &bytes).is_err());
}

fn instrument_of(message: &ToMatching) -> InstrumentId {
    match message {
        ToMatching::Define(instrument) => instrument.id,
        ToMatching::Halt(id) | ToMatching::Resume(id) => *id,
        ToMatching::Place(order) => order.instrument,
        ToMatching::Replace(replace) => replace.new.instrument,
        ToMatching::Cancel { instrument, .. } => *instrument,
    }
}

/// What the receiver of an output reads.
fn check_output(output: &Output) {
    let mut bytes = Vec::new();
    codec().encode_output(output, &mut bytes);
    let route = codec().route(output);
    match output {
        Output::ToMatching(message) => {
            let slot = instrument_of(message).slot();
            assert_eq!(route, Route::Slot(Topic::OrderProcessing, slot));
            assert_eq!(decode(&bytes).as_ref(), Ok(message));
        }
        Output::Update(update) => {
            assert_eq!(route, Route::Own(Topic::PortfolioUpdates));
            assert_eq!(decode(&bytes).as_ref(), Ok(update));
        }
        Output::Reply(reply) => {
            assert_eq!(route, Route::Reply);
            assert_eq!(decode(&bytes).as_ref(), Ok(reply));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn events_come_back_and_a_restored_stage_goes_on_as_its_original(
        before in prop::collection::vec(exchange::step(), 0..120),
        after in prop::collection::vec(exchange::step(), 1..80),
    ) {
        let mut exchange = Exchange::new(codec().initial());
        before.iter().for_each(|step| exchange.run(step));
        let bytes = state_bytes(&exchange.stage);
        let restored = codec().decode_state(AccountCodec::STATE_VERSION, &bytes);
        let restored = restored.expect("a stage wrote it");
        prop_assert_eq!(&exchange.stage, &restored);
        exchange.twin = Some(restored);
        after.iter().for_each(|step| exchange.run(step));
        let twin = exchange.twin.as_ref().expect("it was put there");
        prop_assert_eq!(&exchange.stage, twin);
        prop_assert_eq!(state_bytes(&exchange.stage), state_bytes(twin));
    }

    /// A state that no stage wrote is an error or a state, and never a panic.
    #[test]
    fn a_damaged_state_never_panics(
        steps in prop::collection::vec(exchange::step(), 20..60),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut exchange = Exchange::new(codec().initial());
        steps.iter().for_each(|step| exchange.run(step));
        let mut bytes = state_bytes(&exchange.stage);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(stage) = codec().decode_state(AccountCodec::STATE_VERSION, &bytes) {
            let _a_state_again = state_bytes(&stage);
        }
    }

    #[test]
    fn garbage_is_no_event(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _any_outcome = codec().decode_event(&bytes);
        let _any_outcome = codec().decode_state(AccountCodec::STATE_VERSION, &bytes);
        let _any_outcome = codec().decode_input(Topic::TradingCommands, &bytes);
    }
}

/// Random steps are worth nothing if they never get far: together they reach every kind of event
/// that commands and the market can cause.
#[test]
fn random_steps_reach_every_event() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut met = std::collections::BTreeSet::new();
    let steps = prop::collection::vec(exchange::step(), 400);
    for _ in 0..6 {
        let steps: Vec<Step> = steps
            .new_tree(&mut runner)
            .expect("nothing is filtered")
            .current();
        let mut exchange = Exchange::new(codec().initial());
        steps.iter().for_each(|step| exchange.run(step));
        met.append(&mut exchange.met);
    }
    expect_test::expect![[r#"
        {
            "BlockSet",
            "CancelSent",
            "Defined",
            "Deposited",
            "Ended",
            "Filled",
            "Halted",
            "LimitsSet",
            "Opened",
            "Parked",
            "Placed",
            "ReferenceMoved",
            "Refused",
            "Rejected",
            "Repeated",
            "ReplaceRejected",
            "ReplaceSent",
            "Replaced",
            "SessionChanged",
            "SuspensionSet",
            "TimePassed",
            "Triggered",
            "Withdrawn",
        }
    "#]]
    .assert_debug_eq(&met);
}

#[test]
fn another_version_of_the_state_is_refused() {
    let bytes = state_bytes(&codec().initial());
    let refusal = codec().decode_state(AccountCodec::STATE_VERSION + 1, &bytes);
    assert_eq!(
        refusal.map(|_| ()).map_err(|error| error.to_string()),
        Err(
            "a state of the account stage cannot be decoded: it has version 2, and 1 is known"
                .into()
        )
    );
}
