//! One partition that decides, and who drives it: all partitions of a process ahead of the disk, or one on durable records.
//!
//! Owns the order of inputs and that a decision and its messages are one batch. Refuses to decide an input twice.

pub(crate) mod cell;
pub(crate) mod feed;
pub(crate) mod outbox;
pub(crate) mod partition;
pub(crate) mod pipeline;
pub(crate) mod station;
