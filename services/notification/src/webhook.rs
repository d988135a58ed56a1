//! Webhooks: events of an account's orders, sent to endpoints of its owner, at least once each.
//!
//! Owns the endpoints, what they are sent and how; who comes when, and what becomes of what fails, is
//! [`prepx_errand`]'s. Refuses addresses that are not public unless it was told otherwise, both when an endpoint is
//! made and when its name is looked up, and follows no redirect, so that nobody reaches through the
//! platform into the network that it stands in. An account's endpoints are shown to nobody else (I9).

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
