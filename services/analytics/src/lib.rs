//! The analytics service: the audit chain.
//!
//! Every journal partition has a chain of hashes over its durable records. At intervals the heads of all chains go
//! into a root, which is numbered, linked to the previous root and signed. Whoever keeps one root can prove later that
//! nothing before it was changed, removed or reordered.
//!
//! Beside the chains is a list of the inputs that operators had stages skip, as the journals record them.
//!
//! Owns the schema `audit` and the key in `audit.key`. Refuses to interpret records beyond that, and to let the log drop a
//! record before a signed root covers it.

mod auditor;
mod chain;
mod error;
mod grpc;
pub mod hex;
mod key;
mod remote;
mod root;
mod seal;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod verify;

pub use auditor::Pace;
pub use chain::{Hash, Head, journals};
pub use error::{Error, Result};
pub use key::public_key;
pub use remote::Shown;
pub use root::hash;
pub use seal::{is_sealed, seal};
pub use service::{Deps, build};
pub use store::migrate;
pub use verify::{Check, Difference, Totals, VerifyError, verify};
