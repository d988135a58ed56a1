//! Tests that cross services, and what tests of several crates share: a collector of traces.

mod collector;

pub use collector::Collector;
