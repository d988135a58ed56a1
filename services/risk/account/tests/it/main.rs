//! The account stage from outside: hand-computed scenarios and properties.

#![expect(
    clippy::unwrap_used,
    reason = "the lint knows tests by their attribute and does not see their helpers"
)]

mod desk;
mod exchange;
mod orders;
mod pretend;
mod repeats;
mod scenarios;
mod script;
mod sessions;
