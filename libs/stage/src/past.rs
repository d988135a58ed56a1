//! The past of a log: what may be dropped, and the archives of what was dropped.
//!
//! Refuses to drop what a consumer still needs.

pub mod archive;
pub(crate) mod archivist;
pub(crate) mod retention;
