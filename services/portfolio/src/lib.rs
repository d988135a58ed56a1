//! The portfolio service: what accounts have, what it is worth, and money in and out.
//!
//! Balances are the account stage's and only it changes them; this service shows them and remembers
//! under which name money was moved, so that no transfer is booked twice.
//!
//! Its books (postings, orders, activities) are a projection of what the account stages tell, and
//! can be made again from the log at any time. What an account was worth over time comes from them and
//! from the prices that market-data has recorded.

mod app;
pub mod audit;
mod books;
mod counted;
mod domain;
mod error;
mod grpc;
mod kept;
mod owner;
mod prices;
mod projection;
mod service;
mod store;
mod versions;

pub use app::Deps;
pub use books::Books;
pub use domain::points::{Asked, Points};
pub use domain::worth::{Changes, Shift};
pub use error::Error;
pub use kept::{Kept, Question};
pub use owner::order_history;
pub use projection::{Error as ProjectionError, Projection};
pub use service::{Portfolio, build, compared, migrate};
pub use store::ledger::{Ledger, Unbalanced, View};
