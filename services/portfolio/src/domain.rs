//! The rules of portfolio, pure: what changes an account, what it has, what that is worth over time, how much of a
//! position to close, and transfers. No I/O, no clock, no randomness.

pub mod activity;
pub mod closing;
pub mod holdings;
pub mod points;
pub mod transfer;
pub mod worth;

/// A field that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FieldError {
    /// Its name.
    pub field: &'static str,
    /// What was wrong, with which value, and what would be right.
    pub message: String,
}

impl FieldError {
    /// The error of a field.
    pub fn new(field: &'static str, message: impl Into<String>) -> FieldError {
        FieldError {
            field,
            message: message.into(),
        }
    }
}
