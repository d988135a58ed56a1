//! The matching stage on the log: its inputs, events, outputs and state as bytes, and the destinations of
//! its outputs. Owns no rule: those are the pure crate `matching`.

mod event;
mod snapshot;

#[cfg(test)]
mod tests;

use prepx_bus::Topic;
use prepx_domain::Hours;
use prepx_domain::message::{ToAccount, ToMatching};
use prepx_matching::{Engine, Event, Input, Output, Snapshot};
use prepx_proto::journal::{Part as _, decode, decode_message, encode, encode_message, v1};
use prepx_stage::{Codec, DecodeError, Route};

use crate::domain::calendar::{Nyse, ParseError};

/// The matching stage as the log has it.
#[derive(Clone, Debug, Default)]
pub struct MatchingCodec {
    /// When instruments trade, for stages that decide; those that only fold need none.
    hours: Hours,
}

impl MatchingCodec {
    /// The codec of stages whose instruments of the calendar `nyse` trade in the sessions of the
    /// calendar that comes with the program.
    ///
    /// # Errors
    /// When that does not parse.
    pub fn bundled() -> Result<MatchingCodec, ParseError> {
        Ok(MatchingCodec::new(Nyse::bundled()?.hours()))
    }

    /// The codec of stages whose instruments of the calendar `nyse` trade in these hours.
    pub fn new(hours: Hours) -> MatchingCodec {
        MatchingCodec { hours }
    }
}

impl Codec for MatchingCodec {
    type Machine = Engine;
    type Sends = ToAccount;
    type Receives = ToMatching;

    const STATE_VERSION: u32 = 1;

    fn initial(&self) -> Engine {
        Engine::new(self.hours.clone())
    }

    fn timer(&self) -> Input {
        Input::Timer
    }

    fn encode_input(&self, input: &Input, to: &mut Vec<u8>) {
        match input {
            Input::Command(message) => encode(message, to),
            Input::Timer | Input::Triggered(_) | Input::Taking(_) | Input::Entering(_) => {
                unreachable!("only messages are recorded on a topic, not {input:?}")
            }
        }
    }

    fn decode_input(&self, topic: Topic, bytes: &[u8]) -> Result<Input, DecodeError> {
        match topic {
            Topic::InstrumentCommands | Topic::OrderProcessing => decode::<ToMatching>(bytes)
                .map(Input::Command)
                .map_err(|error| DecodeError::new("a message to the matching stage", error)),
            _ => Err(DecodeError::new(
                "an input of the matching stage",
                format_args!("it reads no {topic}"),
            )),
        }
    }

    fn encode_event(&self, event: &Event, to: &mut Vec<u8>) {
        encode_message(&event.to_wire(), to);
    }

    fn decode_event(&self, bytes: &[u8]) -> Result<Event, DecodeError> {
        decode_message::<v1::MatchingEvent>(bytes)
            .and_then(|wire| Event::from_wire(wire, "an event"))
            .map_err(|error| DecodeError::new("an event of the matching stage", error))
    }

    fn input_subject(&self, input: &Input) -> Option<String> {
        let order = match input {
            Input::Command(ToMatching::Place(order)) => order.order,
            Input::Command(ToMatching::Replace(replace)) => replace.new.order,
            Input::Command(ToMatching::Cancel { order, .. }) => *order,
            _ => return None,
        };
        Some(order.to_string())
    }

    fn route(&self, output: &Output) -> Route {
        match output {
            Output::Account { slot, .. } => Route::Slot(Topic::OrderExecutions, *slot),
            Output::Everyone(_) => Route::Every(Topic::OrderExecutions),
            Output::Market(_) => Route::Own(Topic::MarketData),
        }
    }

    fn encode_output(&self, output: &Output, to: &mut Vec<u8>) {
        match output {
            Output::Account { message, .. } | Output::Everyone(message) => encode(message, to),
            Output::Market(update) => encode(update, to),
        }
    }

    fn forward(&self, output: Output) -> Option<ToAccount> {
        match output {
            Output::Account { message, .. } | Output::Everyone(message) => Some(message),
            Output::Market(_) => None,
        }
    }

    fn receive(&self, message: ToMatching) -> Input {
        Input::Command(message)
    }

    fn encode_state(&self, machine: &Engine, to: &mut Vec<u8>) {
        encode_message(&machine.export().to_wire(), to);
    }

    fn decode_state(&self, version: u32, bytes: &[u8]) -> Result<Engine, DecodeError> {
        const WHAT: &str = "a state of the matching stage";
        if version != Self::STATE_VERSION {
            let known = Self::STATE_VERSION;
            let why = format_args!("it has version {version}, and {known} is known");
            return Err(DecodeError::new(WHAT, why));
        }
        let snapshot = decode_message::<v1::MatchingSnapshot>(bytes)
            .and_then(|wire| Snapshot::from_wire(wire, "a state"))
            .map_err(|error| DecodeError::new(WHAT, error))?;
        snapshot::check(&snapshot).map_err(|why| DecodeError::new(WHAT, why))?;
        Ok(Engine::restore(&snapshot, self.hours.clone()))
    }
}
