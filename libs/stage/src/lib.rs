//! Event-sourced stages: journals, lanes, transitions, snapshots, takeover.

mod codec;

pub use codec::{Codec, DecodeError, Event, Input, Output, Route};
