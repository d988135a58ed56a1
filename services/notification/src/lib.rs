//! The notification service: streams to listeners what happens to their account and in the markets.
//!
//! Everything comes from the log: nothing is sent before it is durable (I8), and an account's events go only to its own
//! listeners (I9). Each listener has one bounded queue. One that does not keep up is told so and disconnected, and
//! nobody else notices (I10). Nothing that is streamed is stored: a client that was away asks for orders and history, or has
//! a [`webhook`], which is sent each event until it accepts it.

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
