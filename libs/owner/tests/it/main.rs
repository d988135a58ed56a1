//! Processes that share the partitions of two toy stages, in one program: they come, go, are killed and come back,
//! while clients go on.

// Clippy takes only #[test] functions for tests; helpers of a test crate are tests too.
#![allow(clippy::unwrap_used)]

#[cfg(feature = "kafka")]
mod kafka;
mod memory;
mod process;
mod scenarios;
