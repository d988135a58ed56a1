//! The gateway: HTTP and JSON in front of the services, driven by their descriptors alone.
//!
//! It owns no state and makes no decisions: a request becomes one gRPC call of the service that its route belongs to, with the
//! client's credentials, and the reply becomes JSON. A WebSocket becomes one stream of the notification service. A gRPC
//! call for a service in another process is forwarded unchanged.

mod forward;
mod health;
mod limits;
mod raw;
mod requests;
mod rest;
mod service;
mod socket;
mod status;

pub use forward::{PUBLIC, peers};
pub use limits::config::{
    BlockLimit, Config as RateLimits, Profile as RateProfile, Tier, TierLimit,
};
pub use service::{Deps, build};
