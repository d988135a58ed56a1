//! Tests that cross services, and what tests of several crates share: a certificate authority, a collector
//! of traces, toy stages.

pub mod authority;
mod collector;
#[expect(
    clippy::unwrap_used,
    missing_docs,
    reason = "it is as small as a test, and read as one"
)]
pub mod toy;

pub use collector::Collector;
