//! Object storage: whole objects by name, in a directory or in an S3 bucket.
//!
//! Owns: that an object exists completely or not at all, and survives a power failure once it exists. Refuses: to interpret
//! objects, to change part of one, and to lock anything: callers decide who may write what.

mod files;
mod location;
#[cfg(feature = "s3")]
mod s3;

use std::io;

pub use location::{Error, Location};

/// A place for objects. All calls block, and may be made from any thread.
pub trait Objects: Send + Sync {
    /// Stores an object, replacing the one of that name. When this returns, it is durable. If it fails or the process dies,
    /// either all of it is there or what was there before.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// The whole object; [`io::ErrorKind::NotFound`] if there is none of that name.
    fn get(&self, name: &str) -> io::Result<Vec<u8>>;
    /// The names that begin with `prefix`, sorted.
    fn list(&self, prefix: &str) -> io::Result<Vec<String>>;
    /// Removes an object; it is no error if there is none.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes durable what another process may have put just before it was killed.
    fn settle(&self) -> io::Result<()>;
}
