//! The event log under every stage and projection: the trait [`Log`] with two engines, the embedded one, which is a
//! write-ahead log for all topics, and Apache Kafka, behind the feature `kafka`. [`Leases`] decide which process works on
//! which partition.
//!
//! Owns: topics and their partitions, atomic batches, offsets, fencing of stale owners, the durable watermark, retention.
//! Refuses: to interpret records, to read a clock, to show a record that is not durable (I8), to buffer without a bound
//! (I10).
//!
//! | invariant | where it is kept |
//! | --- | --- |
//! | I1 acknowledged is never lost | [`Watermark`] moves only after a sync; damage is loud |
//! | I2 nothing takes effect twice | a [`Batch`] is atomic; a fenced [`Owner`] appends nothing |
//! | I8 only durable is visible | [`Log::read`] and [`Log::end`] stop at the watermark |
//! | I10 bounded, refused before accepted | [`AppendError::Full`] |

mod batch;
pub mod brokers;
pub mod conformance;
pub mod embedded;
pub mod faulty;
pub mod file;
mod in_flight;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod lease;
mod location;
mod log;
mod random;
mod topic;
mod watermark;

pub use batch::Batch;
pub use embedded::{EmbeddedLog, spawn_writer};
#[cfg(feature = "kafka")]
pub use kafka::{KafkaLeases, KafkaLog};
pub use lease::{Change, LeaseError, Leases};
pub use location::{KafkaLocation, Location, Mechanism, Security, UnknownUrl};
pub use log::{
    AppendError, EndsCallback, FenceError, Log, Owner, Poisoned, Position, ReadError, Reading,
    Record, WaitError,
};
pub use topic::{Topic, TopicPartition, UnknownTopic};
pub use watermark::{Progress, Watermark};
