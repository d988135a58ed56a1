//! Errands: effects outside the platform that follow from what stages publish and may fail, such as webhooks.
//!
//! A *group* of consumers follows its input and makes errands of every message. Each errand is tried once. If it fails, it
//! goes through the retry topics of the group, each with a longer delay, and at last to its topic of dead letters, from
//! where operators have it tried again or drop it.
//!
//! It owns the attempts, their order, and what is on the topics of a group. It refuses to lose an errand: the outcome of an
//! attempt is durable on the log before the position moves, so a process that takes over from one that died in between
//! tries again, under the same id (at least once). It is not for stages and books: a retry changes the order of events,
//! which lanes must keep (I2).
//!
//! | bound (I10) | where |
//! | --- | --- |
//! | one target's share of a turn | [`Settings::turn`] |
//! | what waits in a retry topic | [`Settings::waiting_max`]; beyond it an errand is dead at once |
//! | dead letters | [`Settings::letters_max`]; beyond it the oldest are forgotten |
//! | how much of an embedded log waiting errands hold | `retries`: they are carried forward |

mod error;
mod group;
mod intake;
pub mod letters;
mod passing;
mod retries;
mod rule;
mod turn;
mod verdicts;
mod wire;

pub use error::{Error, Result};
pub use group::{Effect, Group, Settings};
pub use intake::{Deps, Intake};
pub use letters::{Letter, Letters, TABLES};
pub use retries::Retries;
pub use rule::{Attempt, Errand, Next, Origin, Outcome};
pub use verdicts::{Act, Desk, Error as VerdictError};
