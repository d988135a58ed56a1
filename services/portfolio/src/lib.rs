//! The portfolio service: what accounts have, what it is worth, and money in and out.
//!
//! Balances belong to the account stage, and only it changes them. This service shows them, and remembers the idempotency
//! key of every transfer, so that none is booked twice.
//!
//! Its books (postings, orders, activities) are a projection of the account stages' updates and can be rebuilt from the log
//! at any time. What an account was worth over time follows from them and from the prices that market-data has recorded.

mod app;
pub mod audit;
mod books;
mod domain;
mod error;
mod grpc;
mod metrics;
mod owner;
mod prices;
mod projection;
mod read_cache;
mod service;
mod store;
mod versions;

pub use app::Deps;
pub use books::Books;
pub use domain::points::{Asked, Points};
pub use domain::worth::{Changes, Shift};
pub use error::Error;
pub use owner::order_history;
pub use projection::{Error as ProjectionError, Projection};
pub use read_cache::{Question, ReadCache};
pub use service::{Portfolio, build, compared, migrate};
pub use store::ledger::{Ledger, Unbalanced, View};
