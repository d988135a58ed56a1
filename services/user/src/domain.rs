//! The rules about users, pure: addresses, passwords, throttling, and what users, sessions and keys
//! are. No I/O, no clock, no randomness.

pub mod email;
pub mod password;
pub mod throttle;
pub mod user;

pub use email::Email;
pub use throttle::Throttle;
pub use user::{ApiKey, Session, SessionState, User};
