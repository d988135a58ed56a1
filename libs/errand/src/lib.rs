//! Errands: what is done outside because of what stages tell, such as a webhook, and may fail there.
//!
//! A *group* of consumers follows its input. Of every message it makes errands, each of which is tried
//! once; one that fails goes to the retry topics of the group, one after the other, each with a longer
//! delay, and in the end to its topic of dead letters, where operators have it tried again or forgotten.
//!
//! It owns the attempts, who comes when, and what is on the topics of a group. It refuses to lose an
//! errand: what came of an attempt is durable on the log before the position moves, so whoever dies
//! between the two tries it again, under the same id (at least once). And it refuses stages and books: a
//! retry changes the order, which lanes must keep (I2), so those have none.
//!
//! | bound (I10) | where |
//! | --- | --- |
//! | one target's share of a turn | [`Settings::turn`] |
//! | what waits in a retry topic | [`Settings::waiting_max`]; beyond it an errand is dead at once |
//! | dead letters | [`Settings::letters_max`]; beyond it the oldest are forgotten |
//! | what a waiting errand holds of an embedded log | `retries`: it is carried forward |

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
