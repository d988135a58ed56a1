//! Event-sourced stages: journals, lanes, transitions, snapshots, takeover.

pub mod port;
