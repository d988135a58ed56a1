//! Event-sourced stages: journals, lanes, transitions, snapshots, takeover.

mod codec;
pub mod port;

pub use codec::{Codec, DecodeError, Event, Input, Output, Route};
