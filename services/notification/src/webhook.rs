//! Webhooks: events of an account's orders, sent to endpoints of its owner, at least once each.
//!
//! Owns the endpoints, what they are sent and how; the order of attempts, and what becomes of failures, is
//! [`prepx_errand`]'s. Refuses addresses that are not public unless it is configured otherwise, both when an
//! endpoint is created and when its name is looked up, and follows no redirect, so that nobody reaches the
//! platform's own network through it. An account's endpoints are shown to nobody else (I9).

mod address;
pub mod admin;
mod app;
mod config;
mod effect;
mod endpoint;
mod error;
mod grpc;
mod keys;
mod line;
mod service;
mod store;

pub use address::Networks;
pub use config::Config;
pub use effect::GROUP;
pub use error::{Error, Result};
pub use service::{Deps, build, migrate, of_platform};
