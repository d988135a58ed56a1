//! The notification service: tells listeners what happens to their account and in the markets.
//!
//! Everything comes from the log, from the end of it on: nothing is told that is not durable (I8), and
//! an account's events only to its own listeners (I9). A listener has one bounded queue; one that does
//! not keep up is told so and ended, and nobody else notices (I10). It stores nothing: who was away
//! asks for orders and history.

mod books;
#[cfg(test)]
mod fixture;
mod follow;
mod grpc;
mod hub;
mod market;
mod service;
mod show;

pub use follow::{Error, Sources};
pub use service::{Deps, build};
