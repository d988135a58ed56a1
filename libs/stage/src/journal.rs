//! What stands on the log for a stage, and how it becomes a state: transitions, lanes, commands and replies, the fold.
//!
//! Owns the bytes around what a codec writes. Refuses to fold what does not follow from what was folded before.

pub mod command;
pub mod lane;
pub(crate) mod skip;
pub(crate) mod state;
pub(crate) mod transition;
pub(crate) mod wire;
