//! The interface of every stage: a pure state machine that decides events and folds them.

use crate::time::Micros;

/// A stage's state together with its rules.
///
/// `decide` reads the state and changes nothing; `apply` changes the state, cannot fail and recomputes nothing, because
/// events carry final numbers. So the state is the fold of the events alone, and a new version of the rules can continue
/// from an old version's journal.
pub trait Machine {
    /// Commands, messages of other stages, timers.
    type Input;
    /// What the stage decides. Events are journalled.
    type Event;
    /// What the stage sends to others.
    type Output;

    /// Appends the events that `input` causes at `now`. The buffer belongs to the caller, so that the steady state
    /// allocates nothing.
    fn decide(&self, input: &Self::Input, now: Micros, events: &mut Vec<Self::Event>);

    /// Called before the input at `at` of a parcel is decided: a machine whose state is larger than the processor's caches
    /// may prefetch the memory that this input and those behind it will touch. Has no effect but on speed.
    fn prefetch(&self, _parcel: &[Self::Input], _at: usize) {}

    /// Folds one event into the state.
    fn apply(&mut self, event: &Self::Event);

    /// The input that must be decided next within the same transition, such as a stop that a trade has just triggered. The
    /// caller decides and applies until this is `None`.
    fn follow_up(&self) -> Option<Self::Input>;

    /// Appends the outputs of `event`, which has just been applied at `now`. They are derived from the state and the event
    /// alone, so that a new owner can send them again.
    fn outputs(&self, event: &Self::Event, now: Micros, outputs: &mut Vec<Self::Output>);
}
