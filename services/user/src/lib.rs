//! The user service: users, their credentials, sign-in sessions and API keys.
//!
//! It owns all personal data of the platform, encrypted under a key per user, so that erasing a user means deleting a key;
//! everything else knows users by id only. It signs the access tokens that all other services verify. It refuses to hold
//! balances or orders: a user's trading account is opened in the account stage before the user is stored, so every
//! stored trader has one.
//!
//! Passwords are hashed with argon2id behind a semaphore (I10); API keys are random and stored as hashes; refresh tokens
//! work once; the answer to wrong credentials does not say what was wrong (I9).

mod accounts;
mod app;
mod config;
mod domain;
mod error;
mod first;
mod grpc;
mod hasher;
mod service;
mod store;
mod vault;

pub use accounts::{Accounts, StageAccounts};
pub use config::{Config, Problem};
pub use error::{Error, Result};
pub use first::{First, FirstKeys};
pub use service::{Built, Deps, build, check, migrate};

/// A fixed key of `--dev`.
#[derive(Clone, Copy, Debug)]
pub struct DevKey {
    /// For APCA-API-KEY-ID.
    pub key_id: &'static str,
    /// For APCA-API-SECRET-KEY.
    pub secret: &'static str,
    /// What its owner is.
    pub role: prepx_auth::Role,
    /// The owner's address.
    pub email: &'static str,
}

/// The fixed keys of `--dev`; refused otherwise, whatever the store holds.
pub const DEV_KEYS: [DevKey; 2] = [
    DevKey {
        key_id: "demo",
        secret: "demo-secret",
        role: prepx_auth::Role::Trader,
        email: "demo@prepx.example",
    },
    DevKey {
        key_id: "operator",
        secret: "operator-secret",
        role: prepx_auth::Role::Operator,
        email: "operator@prepx.example",
    },
];
