//! What becomes of a log's past: what may be dropped, and the archives of what was.
//!
//! Refuses to drop what somebody still needs.

pub mod archive;
pub(crate) mod archivist;
pub(crate) mod retention;
