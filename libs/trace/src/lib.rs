//! What belongs to one request or one order, across tasks, processes and the event log: trace contexts as W3C
//! has them, and the spans that are told of them.
//!
//! Owns which spans are told: those of a trace that was sampled at its root, and by themselves those that have
//! failed or took long. What is not told costs two looks at a clock and a few comparisons, and where nothing is
//! [installed](install), one. On the log stands only what was sampled.
//!
//! Refuses: to send anything (a [`Sink`] does), and to be part of what is decided. A trace is never in an event,
//! a state or a hash; whether there is one changes nothing but what is told of it.

mod context;
mod log;
mod span;

pub use context::{Trace, carried, scope};
pub use log::{Traces, put, split};
pub use span::{Ended, Kind, Sampling, Sink, Span, Told, Value, continues, install};
