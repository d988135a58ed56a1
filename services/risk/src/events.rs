//! The account stage on the log: its commands, events, outputs and state as bytes, and the destinations of
//! its outputs. Owns no rule: those are the pure crate `account`.

mod event;
mod snapshot;

#[cfg(test)]
mod tests;

use prepx_account::{Config, Event, Input, Output, Snapshot, Stage};
use prepx_bus::Topic;
use prepx_domain::message::{Action, Command, ToAccount, ToMatching};
use prepx_domain::update::Change;
use prepx_proto::journal::{Part as _, decode, decode_message, encode, encode_message, v1};
use prepx_stage::{Codec, DecodeError, Route};

/// The account stage as the log has it.
#[derive(Clone, Copy, Debug)]
pub struct AccountCodec {
    config: Config,
}

impl AccountCodec {
    /// The codec of stages that are bounded by `config`.
    pub const fn new(config: Config) -> AccountCodec {
        AccountCodec { config }
    }
}

impl Codec for AccountCodec {
    type Machine = Stage;
    type Sends = ToMatching;
    type Receives = ToAccount;

    const STATE_VERSION: u32 = 1;

    fn initial(&self) -> Stage {
        Stage::new(self.config)
    }

    fn timer(&self) -> Input {
        Input::Timer
    }

    fn encode_input(&self, input: &Input, to: &mut Vec<u8>) {
        match input {
            Input::Command(command) => encode(command, to),
            Input::FromMatching(_) | Input::Timer => {
                unreachable!("only commands are recorded on the command topic, not {input:?}")
            }
        }
    }

    fn decode_input(&self, topic: Topic, bytes: &[u8]) -> Result<Input, DecodeError> {
        match topic {
            Topic::TradingCommands => decode::<Command>(bytes)
                .map(Input::Command)
                .map_err(|error| DecodeError::new("a command to the account stage", error)),
            Topic::OrderExecutions => decode::<ToAccount>(bytes)
                .map(Input::FromMatching)
                .map_err(|error| DecodeError::new("a message of the matching stage", error)),
            _ => Err(DecodeError::new(
                "an input of the account stage",
                format_args!("it reads no {topic}"),
            )),
        }
    }

    fn encode_event(&self, event: &Event, to: &mut Vec<u8>) {
        encode_message(&event.to_wire(), to);
    }

    fn decode_event(&self, bytes: &[u8]) -> Result<Event, DecodeError> {
        decode_message::<v1::AccountEvent>(bytes)
            .and_then(|wire| Event::from_wire(wire, "an event"))
            .map_err(|error| DecodeError::new("an event of the account stage", error))
    }

    fn input_subject(&self, input: &Input) -> Option<String> {
        let order = match input {
            Input::Command(command) => match &command.action {
                Action::Replace(replace) => replace.order,
                Action::Cancel { order, .. } | Action::EndOrder { order, .. } => *order,
                _ => return None,
            },
            Input::FromMatching(message) => match message {
                ToAccount::Fill(fill) => fill.order,
                ToAccount::Parked { order, .. }
                | ToAccount::Entered { order, .. }
                | ToAccount::Triggered { order, .. }
                | ToAccount::Absent { order, .. }
                | ToAccount::Ended { order, .. } => *order,
                ToAccount::Replaced { new, .. } | ToAccount::ReplaceRejected { new, .. } => *new,
                _ => return None,
            },
            Input::Timer => return None,
        };
        Some(order.to_string())
    }

    fn output_subject(&self, output: &Output) -> Option<String> {
        match output {
            Output::ToMatching(ToMatching::Place(order)) => Some(order.order.to_string()),
            Output::Update(update) => match &update.change {
                Change::Order { order, .. } => Some(order.id.to_string()),
                _ => None,
            },
            Output::ToMatching(_) | Output::Reply(_) => None,
        }
    }

    fn route(&self, output: &Output) -> Route {
        match output {
            Output::ToMatching(message) => Route::Slot(Topic::OrderProcessing, message.slot()),
            Output::Update(_) => Route::Own(Topic::PortfolioUpdates),
            Output::Reply(_) => Route::Reply,
        }
    }

    fn encode_output(&self, output: &Output, to: &mut Vec<u8>) {
        match output {
            Output::ToMatching(message) => encode(message, to),
            Output::Update(update) => encode(update, to),
            Output::Reply(reply) => encode(reply, to),
        }
    }

    fn forward(&self, output: Output) -> Option<ToMatching> {
        match output {
            Output::ToMatching(message) => Some(message),
            Output::Update(_) | Output::Reply(_) => None,
        }
    }

    fn receive(&self, message: ToAccount) -> Input {
        Input::FromMatching(message)
    }

    fn encode_state(&self, machine: &Stage, to: &mut Vec<u8>) {
        encode_message(&machine.export().to_wire(), to);
    }

    fn decode_state(&self, version: u32, bytes: &[u8]) -> Result<Stage, DecodeError> {
        const WHAT: &str = "a state of the account stage";
        if version != Self::STATE_VERSION {
            let known = Self::STATE_VERSION;
            let why = format_args!("it has version {version}, and {known} is known");
            return Err(DecodeError::new(WHAT, why));
        }
        decode_message::<v1::AccountSnapshot>(bytes)
            .and_then(|wire| Snapshot::from_wire(wire, "a state"))
            .map(|snapshot| Stage::restore(self.config, snapshot))
            .map_err(|error| DecodeError::new(WHAT, error))
    }
}
