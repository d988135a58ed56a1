//! Event-sourced stages: journals, lanes, transitions, snapshots, takeover.
//!
//! Owns how a pure [`Machine`](prepx_domain::Machine) becomes a durable stage: every group of inputs becomes one
//! [`Transition`] in the journal of its partition, in one atomic batch with all messages that it causes. Refuses: to know
//! what a stage decides, to decide an input twice, to run a thread for a stage, to read a clock that it was not given.
//!
//! | folder | has |
//! | --- | --- |
//! | `decide/` | one partition that decides ([`Partition`]), and its drivers: [`Pipeline`] (all partitions in one process, ahead of the disk), [`Station`] (one partition, on durable records) |
//! | `journal/` | the bytes on the log: [`Transition`], [`lane`], [`command`]; their fold, [`State`]; an operator's [`Skip`] |
//! | `recovery/` | restoring a state: [`Takeover`], [`Folded`], [`Standby`], [`snapshot`], [`Keeper`] |
//! | `past/` | truncating and archiving the log: [`Retention`], [`archive`], [`Archivist`] |
//! | `consume/` | consumers of outputs: [`consume`], [`follow`], [`Duty`], [`Lag`] |
//! | `clients/` | the stages as services reach them: [`port`], [`desk`] |
//! | `shadow/` | deciding again for comparison: [`shadow`] |
//!
//! | invariant | where it is kept |
//! | --- | --- |
//! | I1 acknowledged is never lost | [`Partition::open`] folds the journal to its end, checking every hash |
//! | I2 nothing takes effect twice | [`Head`] moves with the transition; [`lane::repeats`] |
//! | I6 journals and state agree | [`State::fold`] is the only way from one to the other |
//! | I7 same seed, same run | ordered maps, time and inputs as values |
//! | I8 only durable is visible | [`Answer`]s carry the position to wait for |
//! | I10 bounded | [`Partition::is_full`], [`AppendError::Full`](prepx_bus::AppendError::Full) |

mod clients;
mod clock;
mod codec;
pub mod consume;
mod decide;
mod error;
mod journal;
mod past;
mod recovery;
pub mod shadow;
mod topology;
mod traced;

pub use clients::desk::{self, Desk};
pub use clients::port;
pub use clock::SteadyClock;
pub use codec::{Codec, DecodeError, Event, Input, Output, Route};
pub use consume::duty::{Duties, Duty, Taking};
pub use consume::follow;
pub use consume::lag::Lag;
pub use consume::{Consumer, Following, Progress, Runner};
pub use decide::partition::{Answer, Partition};
pub use decide::pipeline::{Decided, Pipeline, PipelineDeps, Turn};
pub use decide::station::{Handles, Station};
pub use error::Error;
pub use journal::command;
pub use journal::lane::{self, Parcel};
pub use journal::skip::Skip;
pub use journal::state::{BadRecord, FoldError, Head, State};
pub use journal::transition::{Taken, Transition};
pub use past::archive::{self, Archived, Archives};
pub use past::archivist::{ArchivePace, Archivist};
pub use past::retention::Retention;
pub use recovery::folded::Folded;
pub use recovery::keeper::{Error as KeeperError, Keeper, Pace};
pub use recovery::snapshot::{self, Snapshots};
pub use recovery::standby::{Origin, Standby};
pub use recovery::takeover::{Begun, RecoveryObserver, Takeover};
pub use topology::{Seat, Stage, Topology};
