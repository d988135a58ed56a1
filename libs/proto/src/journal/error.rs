//! Why bytes are not a value of the domain.

use prepx_domain::ascii;

/// Why bytes are not a value of the domain. None of these can be helped by trying again: the reader
/// stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a message at all.
    #[error("the bytes are not a valid message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A part without which the value means nothing, or one that a newer version wrote.
    #[error("{0} is missing, or of a kind that this version does not know")]
    Missing(&'static str),
    /// A value of an enum that a newer version wrote.
    #[error("{field} is {number}, which this version does not know")]
    Unknown {
        /// The message and field.
        field: &'static str,
        /// The number that was found.
        number: i32,
    },
    /// A number that the domain does not allow.
    #[error("{field} is {number}, outside its range")]
    OutOfRange {
        /// The message and field.
        field: &'static str,
        /// The number that was found.
        number: i128,
    },
    /// A text that is no name of an asset or an instrument.
    #[error("{field} is not a valid name: {source}")]
    Name {
        /// The message and field.
        field: &'static str,
        /// What is wrong with it.
        source: ascii::Error,
    },
}
