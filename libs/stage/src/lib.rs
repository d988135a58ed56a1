//! Event-sourced stages: journals, lanes, transitions, snapshots, takeover.
//!
//! Owns how a pure [`Machine`](prepx_domain::Machine) becomes a stage that survives: every group
//! of inputs becomes one [`Transition`] in the journal of its partition, in one atomic batch with
//! all messages that it causes. Refuses: to know what a stage decides, to decide an input
//! twice, to run a thread for a stage, to read a clock that it was not given.
//!
//! | part | modules |
//! | --- | --- |
//! | one partition that decides | [`Partition`], `cell`, `outbox`, `feed` |
//! | who drives partitions | [`Spine`] (all in one process, ahead of the disk), [`Station`] (one, on durable records) |
//! | bytes on the log | [`Codec`], `transition`, [`lane`], [`command`] |
//! | getting a state back | [`Takeover`], [`State`], [`Folded`], [`Standby`], [`snapshot`], [`Keeper`] |
//! | dropping the log's past | [`Retention`], [`archive`], [`Archivist`] |
//! | consumers of outputs | [`consume`], [`follow`], [`Duty`], [`Lag`] |
//! | the stages as services reach them | [`port`], [`desk`] |
//! | operators | [`shadow`], [`Skip`] |
//!
//! | invariant | where it is kept |
//! | --- | --- |
//! | I1 acknowledged is never lost | [`Partition::open`] folds the journal to its end, checking every hash |
//! | I2 nothing takes effect twice | [`Head`] moves with the transition; [`lane::repeats`] |
//! | I6 journals and state agree | [`State::fold`] is the only way from one to the other |
//! | I7 same seed, same run | ordered maps, time and inputs as values |
//! | I8 only durable is visible | [`Answer`]s carry the position to wait for |
//! | I10 bounded | [`Partition::is_full`], [`AppendError::Full`](prepx_bus::AppendError::Full) |

pub mod archive;
mod archivist;
mod cell;
mod clock;
mod codec;
pub mod command;
pub mod consume;
pub mod desk;
mod duty;
mod error;
mod feed;
mod folded;
pub mod follow;
mod keeper;
mod lag;
pub mod lane;
mod outbox;
mod partition;
pub mod port;
mod retention;
pub mod shadow;
mod skip;
pub mod snapshot;
mod spine;
mod standby;
mod state;
mod station;
mod takeover;
mod topology;
mod traced;
mod transition;
mod wire;

pub use archive::{Archived, Archives};
pub use archivist::{ArchivePace, Archivist};
pub use clock::SteadyClock;
pub use codec::{Codec, DecodeError, Event, Input, Output, Route};
pub use consume::{Consumer, Following, Progress, Runner};
pub use desk::Desk;
pub use duty::{Duties, Duty, Taking};
pub use error::Error;
pub use folded::Folded;
pub use keeper::{Error as KeeperError, Keeper, Pace};
pub use lag::Lag;
pub use lane::Parcel;
pub use partition::{Answer, Partition};
pub use retention::Retention;
pub use skip::Skip;
pub use snapshot::Snapshots;
pub use spine::{Decided, Spine, Turn};
pub use standby::{Origin, Standby};
pub use state::{BadRecord, FoldError, Head, State};
pub use station::Station;
pub use takeover::{Begun, Takeover, Watch};
pub use topology::{Seat, Stage, Topology};
pub use transition::{Taken, Transition};
