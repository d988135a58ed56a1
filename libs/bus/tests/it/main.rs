//! The embedded log from outside: the conformance suite, crashes against a model, damage.

// Clippy takes only #[test] functions for tests; helpers of a test crate are tests too.
#![allow(clippy::unwrap_used)]

mod brokers;
mod conformance;
mod crashes;
mod damage;
mod disk;
mod engines;
#[cfg(feature = "kafka")]
mod kafka;
mod leases;
mod steps;
mod threads;
