//! The gateway as clients meet it, with the services in another process.

#[path = "../../../../libs/runtime/tests/it/authority.rs"]
mod authority;
mod forward;
