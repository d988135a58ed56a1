//! Getting a state back: snapshots, the fold of what came after them, takeover, a copy that is kept warm.
//!
//! Owns that a new owner goes on where the last one ended. Refuses a snapshot or a journal that does not agree with itself.

pub(crate) mod folded;
pub(crate) mod keeper;
pub mod snapshot;
pub(crate) mod standby;
pub(crate) mod takeover;
