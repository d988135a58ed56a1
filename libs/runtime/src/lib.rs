//! How a service starts, serves, reports and drains.
//!
//! A service builds a [`Service`]: gRPC services, HTTP routes and tasks, behind a [`guard`]. [`run`] hosts one or several in
//! a process on one port. Services call each other through a [`Peer`], in the same process or over the network, and
//! return errors through [`status`]. This crate refuses to know a service or a principal.

mod allocator;
mod balance;
pub mod body;
mod calls;
mod capacity;
pub mod config;
mod context;
pub mod drain;
mod ending;
mod exemplars;
mod filter;
pub mod guard;
mod host;
mod identities;
mod method;
mod peer;
mod probes;
mod process;
#[cfg(target_os = "linux")]
mod profile;
mod ready;
pub mod refusal;
pub mod scrape;
pub mod serve;
mod service;
pub mod spans;
pub mod status;
pub mod telemetry;
mod timeout;
pub mod tls;
mod unread;
mod unreadable;

pub use balance::Balanced;
pub use capacity::{Capacity, Permit, Usage};
pub use context::Context;
pub use drain::Drain;
pub use ending::Ending;
pub use exemplars::Durations;
pub use host::{Config, Error, Hosted, Start, listen, run};
pub use method::Method;
pub use peer::{Peer, Process};
pub use probes::Probes;
pub use service::{Building, GrpcService, Service, TaskError};
