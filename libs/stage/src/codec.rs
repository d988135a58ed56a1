//! The codec between a stage's pure machine and the log: the bytes of its values, and where its outputs go. Each stage's
//! service implements it once; nothing else knows both sides.

use prepx_bus::Topic;
use prepx_domain::{Machine, Slot};

/// The inputs of a codec's stage.
pub type Input<C> = <<C as Codec>::Machine as Machine>::Input;
/// The events of a codec's stage.
pub type Event<C> = <<C as Codec>::Machine as Machine>::Event;
/// The outputs of a codec's stage.
pub type Output<C> = <<C as Codec>::Machine as Machine>::Output;

/// The bytes of one stage's inputs, events, outputs and state.
///
/// Every `encode_*` appends to its buffer and never looks at what is there. Equal values give equal bytes (I7), so maps are
/// written in order. Every `decode_*` returns what this version or the previous one encoded, and refuses everything else:
/// an unknown event stops the stage.
pub trait Codec: Send + Sync + 'static {
    /// The pure part of the stage.
    type Machine: Machine<Input: Send, Event: Send, Output: Send> + Send;
    /// What this stage sends to the other stage by lane, as a typed value.
    type Sends: Clone + Send;
    /// What the other stage sends to this one by lane, as a typed value.
    type Receives: Send;

    /// The version of the state's bytes. It increases with every change that the previous version cannot read; this version
    /// and the previous one can be decoded.
    const STATE_VERSION: u32;

    /// The state before the first event.
    fn initial(&self) -> Self::Machine;

    /// The timer input, which has the stage check whether something is due. It comes many times a second, and must cause no
    /// event if nothing is due.
    fn timer(&self) -> Input<Self>;

    /// Appends a client's or an operator's input, as it is recorded on the stage's command topic. Never called with a timer
    /// or an input from a lane.
    fn encode_input(&self, input: &Input<Self>, to: &mut Vec<u8>);

    /// Decodes an input from a record: of the stage's command topic, as [`Self::encode_input`] wrote it, or of the topic
    /// that it receives lanes on, as the other stage's [`Self::encode_output`] wrote it.
    fn decode_input(&self, topic: Topic, bytes: &[u8]) -> Result<Input<Self>, DecodeError>;

    /// Appends an event.
    fn encode_event(&self, event: &Event<Self>, to: &mut Vec<u8>);

    /// Decodes an event, which must take all of the bytes.
    fn decode_event(&self, bytes: &[u8]) -> Result<Event<Self>, DecodeError>;

    /// The id of the order that an input is about, for its trace. `None` if it has no id yet.
    fn input_subject(&self, _input: &Input<Self>) -> Option<String> {
        None
    }

    /// The same of an output, for inputs without one.
    fn output_subject(&self, _output: &Output<Self>) -> Option<String> {
        None
    }

    /// Where an output goes.
    fn route(&self, output: &Output<Self>) -> Route;

    /// Appends an output as its receiver decodes it; the receiver of a [`Route::Reply`] is the sender of the command.
    fn encode_output(&self, output: &Output<Self>, to: &mut Vec<u8>);

    /// The typed value of an output to the other stage, for handing it over within a process; `None` for outputs that go
    /// elsewhere.
    fn forward(&self, output: Output<Self>) -> Option<Self::Sends>;

    /// Converts a typed value from the other stage into an input.
    fn receive(&self, message: Self::Receives) -> Input<Self>;

    /// Appends the whole state. Equal states give equal bytes.
    fn encode_state(&self, machine: &Self::Machine, to: &mut Vec<u8>);

    /// Decodes a state that `version` wrote: [`Self::STATE_VERSION`] or the previous one.
    fn decode_state(&self, version: u32, bytes: &[u8]) -> Result<Self::Machine, DecodeError>;
}

/// Where an output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// By lane to the partition of the topic that has the slot.
    Slot(Topic, Slot),
    /// By lane to every partition of the topic.
    Every(Topic),
    /// By lane to the partition of the topic with the sender's own number: for consumers that are not stages, such as those
    /// of `portfolio-updates` and `market-data`.
    Own(Topic),
    /// Back to the sender of the command, without a lane: a repeat of the command gets it again.
    Reply,
}

/// Why bytes cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be decoded: {why}")]
pub struct DecodeError {
    /// What was expected, such as `an event of the account stage`.
    pub what: &'static str,
    /// What was found instead.
    pub why: String,
}

impl DecodeError {
    /// An error that says what was expected and what was found.
    pub fn new(what: &'static str, why: impl ToString) -> DecodeError {
        DecodeError {
            what,
            why: why.to_string(),
        }
    }
}
