//! The trading service: order entry, instruments and the market clock.
//!
//! It checks the form of traders' requests and has the stages decide them. It refuses to know balances, which belong to the
//! account stage.

pub mod app;
pub mod domain;
pub mod error;
mod events;
mod grpc;
mod history;
mod instruments;
mod metrics;
mod owner;
mod service;
mod spans;

pub use app::Deps;
pub use error::Error;
pub use events::MatchingCodec;
pub use owner::owner;
pub use service::build;
