//! The portfolio service: what accounts have, what it is worth, and money in and out.
//!
//! Balances are the account stage's and only it changes them; this service shows them and remembers
//! under which name money was moved, so that no transfer is booked twice.

mod app;
mod error;
mod grpc;
mod holdings;
mod service;
mod store;
mod transfer;

pub use app::Deps;
pub use error::Error;
pub use service::build;
