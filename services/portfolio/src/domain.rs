//! The rules of portfolio, pure: what changes an account, what it has, what that is worth over time, how much of a
//! position to close, and transfers. No I/O, no clock, no randomness.

pub mod activity;
pub mod closing;
pub mod holdings;
pub mod points;
pub mod transfer;
pub mod worth;
