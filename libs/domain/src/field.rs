//! A field of a request that is not as it must be.

/// A field that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FieldError {
    /// Its name as the client wrote it.
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
