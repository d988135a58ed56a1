//! The account stage from outside: hand-computed scenarios and properties.

#![expect(
    clippy::unwrap_used,
    reason = "the lint knows tests by their attribute and does not see their helpers"
)]

mod cancels;
mod desk;
mod exchange;
mod holds;
mod money;
mod orders;
mod pretend;
mod races;
mod repeats;
mod sessions;
