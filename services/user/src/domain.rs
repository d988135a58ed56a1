//! The rules about users, pure: addresses, passwords, and what users, sessions and keys are. No
//! I/O, no clock, no randomness.

pub mod email;
pub mod password;
pub mod user;

pub use email::Email;
pub use user::{ApiKey, Session, SessionState, User};
