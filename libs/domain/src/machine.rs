//! The form that every stage has: a pure state machine that decides events and folds them.

use crate::time::Micros;

/// A stage's state together with its rules.
///
/// `decide` may look at everything and change nothing; `apply` changes the state, cannot fail and
/// computes nothing again: events carry final numbers. So the state is the fold of the events alone,
/// and a new version of the rules can go on from an old version's journal.
pub trait Machine {
    /// What happens to the stage: commands, messages of other stages, timers.
    type Input;
    /// What the stage decided. Events are journalled.
    type Event;
    /// What the stage tells others.
    type Output;

    /// Appends the events that `input` causes at `now`. The buffer belongs to the caller, so that
    /// the steady state allocates nothing.
    fn decide(&self, input: &Self::Input, now: Micros, events: &mut Vec<Self::Event>);

    /// Told before each input of a parcel, the one at `at`, is decided: a machine whose state is larger
    /// than the processor's caches may ask memory early for what this input and those behind it
    /// will touch. Changes nothing and decides nothing: leaving it out costs time alone.
    fn foresee(&self, _parcel: &[Self::Input], _at: usize) {}

    /// Folds one event into the state.
    fn apply(&mut self, event: &Self::Event);

    /// What the state asks to be decided next within the same transition, such as a stop that a
    /// trade has just triggered. The caller decides and applies until this is `None`.
    fn follow_up(&self) -> Option<Self::Input>;

    /// Appends what others are told of `event`, which has just been applied at `now`. Derived from
    /// the state and the event alone, so that a new owner can tell it again.
    fn outputs(&self, event: &Self::Event, now: Micros, outputs: &mut Vec<Self::Output>);
}
