//! The notification service: tells listeners what happens to their account and in the markets.
//!
//! Everything comes from the log: nothing is told that is not durable (I8), and
//! an account's events only to its own listeners (I9). A listener has one bounded queue; one that does
//! not keep up is told so and ended, and nobody else notices (I10). Of what streams tell nothing is stored: who
//! was away asks for orders and history, or has a [`webhook`], which is sent each event until it takes it.

mod books;
mod domain;
#[cfg(test)]
mod fixture;
mod follow;
mod grpc;
mod hub;
mod service;
mod show;
pub mod webhook;

pub use follow::{Error, Sources};
pub use service::{Deps, build};
