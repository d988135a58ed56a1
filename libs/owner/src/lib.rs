//! What runs stage partitions in a process on a log where nobody runs ahead, and finds those that run
//! elsewhere.
//!
//! Owns: the partitions of a stage that this process has ([`Seats`]), who has the others ([`Directory`]),
//! commands through the log and their replies ([`Front`]), the stages as services reach them ([`ports`]);
//! and what every order path needs that answers only what is durable: [`Gate`], [`Release`], [`Failure`].
//! Refuses: to know what a stage decides, to change anything but through the log. Processes read from each
//! other by the messages of `prepx.owner.v1` ([`wire`]).
//!
//! | invariant | where it is kept |
//! | --- | --- |
//! | I8 only durable is visible | [`Release`]; [`Seats::query`] answers when what was seen is durable |
//! | I10 bounded | [`Gate`], the desk of [`Front`] |

mod bell;
mod claim;
mod directory;
mod failure;
mod front;
mod gate;
mod heads;
#[cfg(feature = "kafka")]
pub mod kafka;
mod keeping;
mod order;
pub mod ports;
mod proof;
mod query;
mod release;
mod seat;
mod seats;
mod standing;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use prepx_bus::{Log, Reading};

pub use directory::{Directory, Owner};
pub use failure::{Alarm, Failure};
pub use front::{Awaited, Front};
pub use gate::{Gate, Pass};
pub use query::QueryError;
pub use release::{Deliver, Release};
pub use seats::{Options, Seats};
pub use standing::Standbys;

/// What can go wrong in many ways, for people.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Opens a handle on the log under a name that no other open handle of this process has.
pub type Logs = Arc<dyn Fn(&str, Reading) -> Result<Arc<dyn Log>, BoxError> + Send + Sync>;

/// What a caller who was refused for want of room is told to wait.
pub const RETRY_AFTER: Duration = Duration::from_millis(50);
