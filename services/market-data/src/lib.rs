//! The market-data service: trades, quotes, books and bars, current and past.
//!
//! All of it is a projection of the topic `market-data`, which the matching stages write, and can be rebuilt from the log as
//! far as that reaches back. It refuses to show what is not durable (I8), and to continue past a missing change.
//!
//! Current data is in memory; past data is in the schema `market_data`. Trades and quotes are kept up to a number of rows per
//! instrument, quotes at most one per millisecond; bars are kept for ever. The book is stored level by level, with the
//! position on the log in the same transaction (I2), so a restart reads it and continues from there.

mod app;
mod domain;
mod error;
mod grpc;
mod metrics;
mod page;
mod past;
mod projection;
mod read_cache;
mod service;
mod store;

pub use app::{App, Deps, History, Query};
pub use domain::market::{Market, Quote, Trade};
pub use domain::timeframe::Timeframe;
pub use error::Error;
pub use page::{Place, Range, Token};
pub use past::Past;
pub use projection::{Error as ProjectionError, Projection};
pub use service::build;
pub use store::Store;
