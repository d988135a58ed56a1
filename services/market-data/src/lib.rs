//! The market-data service: trades, quotes, books and bars, as they are now and as they were.
//!
//! Everything is a projection of what the matching stages tell on `market-data`, and can be made
//! again from the log as far as that reaches back. It refuses to show what is not durable (I8), and
//! to go on past a change that is missing.
//!
//! The newest of everything is in memory; the past is in the schema `market_data`. Trades and quotes
//! are kept by number of rows for each instrument, quotes at one a millisecond; bars are kept for
//! ever. The book is stored level by level with the position on the log in the same transaction
//! (I2), so a start reads it and goes on from there.

mod app;
mod counted;
mod domain;
mod error;
mod grpc;
mod kept;
mod page;
mod past;
mod projection;
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
