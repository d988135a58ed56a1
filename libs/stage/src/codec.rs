//! The seam between a stage's pure machine and the log: what its values are as bytes, and to whom
//! its outputs go. Each stage's service implements it once; nothing else knows both sides.

use prepx_bus::Topic;
use prepx_domain::{Machine, Slot};

/// What happens to the stage of a codec.
pub type Input<C> = <<C as Codec>::Machine as Machine>::Input;
/// What the stage of a codec decides.
pub type Event<C> = <<C as Codec>::Machine as Machine>::Event;
/// What the stage of a codec tells others.
pub type Output<C> = <<C as Codec>::Machine as Machine>::Output;

/// The bytes of one stage's inputs, events, outputs and state.
///
/// Every `encode_*` appends to the buffer it is given and looks at nothing before its end. The
/// same value always gives the same bytes (I7): where a map escapes, it escapes in order. Every
/// `decode_*` gives back what was encoded, by this version or the one before it, and refuses
/// everything else: an unknown event stops the stage.
pub trait Codec: Send + Sync + 'static {
    /// The pure part of the stage.
    type Machine: Machine<Input: Send, Event: Send, Output: Send> + Send;
    /// What this stage sends to the other one by lane, as a typed value.
    type Sends: Clone + Send;
    /// What the other stage sends to this one by lane, as a typed value.
    type Receives: Send;

    /// The version of the state's bytes. One more with every change that the version before
    /// could not read; this version and the one before it can be decoded.
    const STATE_VERSION: u32;

    /// The state before the first event.
    fn initial(&self) -> Self::Machine;

    /// The input that says: time has passed, look whether something is due. A timer that is not
    /// due must cause no event: it is asked many times a second.
    fn timer(&self) -> Input<Self>;

    /// Appends a client's or an operator's input, as it is recorded on the stage's command topic.
    /// Never called with a timer or with what came by lane.
    fn encode_input(&self, input: &Input<Self>, to: &mut Vec<u8>);

    /// An input from the bytes of a record: of the stage's command topic as [`Self::encode_input`]
    /// wrote them, or of the topic it receives lanes on, as the other stage's
    /// [`Self::encode_output`] wrote them.
    fn decode_input(&self, topic: Topic, bytes: &[u8]) -> Result<Input<Self>, DecodeError>;

    /// Appends an event.
    fn encode_event(&self, event: &Event<Self>, to: &mut Vec<u8>);

    /// An event from exactly the bytes of one.
    fn decode_event(&self, bytes: &[u8]) -> Result<Event<Self>, DecodeError>;

    /// What an input is about, for people who look at its trace: an order. `None` where it has no name yet.
    fn input_subject(&self, _input: &Input<Self>) -> Option<String> {
        None
    }

    /// The same of an output, for inputs that have none.
    fn output_subject(&self, _output: &Output<Self>) -> Option<String> {
        None
    }

    /// To whom an output goes.
    fn route(&self, output: &Output<Self>) -> Route;

    /// Appends an output as its receiver decodes it: of [`Route::Reply`] that is who sent the command.
    fn encode_output(&self, output: &Output<Self>, to: &mut Vec<u8>);

    /// The typed value that an output carries to the other stage in the same process; `None` for
    /// outputs that go elsewhere.
    fn forward(&self, output: Output<Self>) -> Option<Self::Sends>;

    /// The input that a typed value from the other stage is.
    fn receive(&self, message: Self::Receives) -> Input<Self>;

    /// Appends the whole state. Equal states give equal bytes.
    fn encode_state(&self, machine: &Self::Machine, to: &mut Vec<u8>);

    /// The state from the bytes that `version` wrote: [`Self::STATE_VERSION`] or the one before.
    fn decode_state(&self, version: u32, bytes: &[u8]) -> Result<Self::Machine, DecodeError>;
}

/// To whom an output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// By lane to the partition of the topic that has the slot.
    Slot(Topic, Slot),
    /// By lane to every partition of the topic.
    Every(Topic),
    /// By lane to the partition of the topic that has the sender's own number: for consumers that
    /// are no stage, such as those of `portfolio-updates` and `market-data`.
    Own(Topic),
    /// Back to whoever sent the command, by no lane: it can be had again by a repeat.
    Reply,
}

/// Why bytes are not what they should be.
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
