//! Errands: effects outside the platform that follow from what stages publish and may fail, such as webhooks.
//!
//! A *group* of consumers follows its input and turns every message into errands. Each errand is tried once. If it fails,
//! it goes through the group's retry topics, each with a longer delay, and finally to its topic of dead letters, from
//! which operators can retry or drop it.
//!
//! It owns the attempts, their order, and the topics of a group. It refuses to lose an errand: the outcome of an attempt is
//! durable on the log before the position moves, so a process that takes over from one that died in between tries again,
//! under the same id (at least once). It is not for stages and the ledger: a retry changes the order of events, which lanes
//! must keep (I2).
//!
//! | bound (I10) | where |
//! | --- | --- |
//! | one target's share of a turn | [`Settings::turn`] |
//! | errands in a retry topic | [`Settings::waiting_max`]; beyond it an errand becomes a dead letter immediately |
//! | dead letters | [`Settings::letters_max`]; beyond it the oldest are dropped |
//! | how much of an embedded log waiting errands retain | `retries`: they are carried forward |

mod error;
mod group;
mod intake;
pub mod letters;
mod outcomes;
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
