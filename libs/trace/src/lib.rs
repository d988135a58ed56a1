//! Trace contexts (W3C) of a request or an order, across tasks, processes and the event log, and the spans of the work.
//!
//! Owns which spans are exported: those of sampled traces, and any span that failed or took long. A span that is not
//! exported costs two clock readings and a few comparisons; if no sink is [installed](install), one comparison. Only sampled
//! contexts are written to the log.
//!
//! Refuses: to send anything (a [`Sink`] does), and to influence decisions. A trace is never in an event, a state or a hash;
//! the platform does the same with and without it.

mod context;
mod log;
mod span;

pub use context::{Trace, carried, scope};
pub use log::{Traces, put, split};
pub use span::{Details, FinishedSpan, Kind, Sampling, Sink, Span, Value, continues, install};
