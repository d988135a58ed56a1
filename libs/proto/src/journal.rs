//! What is on the event log, as bytes: the messages of `prepx.journal.v1` and how they stand for
//! the values of the domain.
//!
//! A value is written by [`encode`] and read by [`decode`]. Reading is strict: a number out of its
//! range, an enum value or a member of a oneof that this version does not know is an [`Error`],
//! because a reader that skips an event it does not understand makes a state that nobody decided.
//! Owns no rule of trading, and refuses to repair what it reads.

mod account;
mod command;
mod error;
mod market;
mod matching;
pub mod part;
mod reject;
mod reply;
mod table;
pub mod value;

#[cfg(test)]
pub(crate) mod tests;

use prepx_domain::instrument::Instrument;
use prepx_domain::message::{Command, ToAccount, ToMatching};
use prepx_domain::update::{AccountUpdate, MarketUpdate, OrderView, Reply};
use prost::Message;

pub use crate::generated::prepx::journal::v1;
pub use account::{postings_from_wire, postings_to_wire};
pub use error::Error;
pub use part::{Journal, Part};

/// A value of the domain that is a whole message of the log.
pub trait Record: Part<Wire: Message + Default> {}

impl Record for AccountUpdate {}
impl Record for Command {}
impl Record for Instrument {}
impl Record for MarketUpdate {}
impl Record for OrderView {}
impl Record for Reply {}
impl Record for ToAccount {}
impl Record for ToMatching {}

/// Appends `value` to `to`. Equal values give equal bytes.
pub fn encode<T: Record>(value: &T, to: &mut Vec<u8>) {
    encode_message(&value.to_wire(), to);
}

/// The value that `bytes` stand for, all of them.
pub fn decode<T: Record>(bytes: &[u8]) -> Result<T, Error> {
    T::from_wire(decode_message(bytes)?, "the message")
}

/// Appends `message` to `to`: for stages, whose events and states are no values of the domain but
/// made of the same messages.
pub fn encode_message(message: &impl Message, to: &mut Vec<u8>) {
    message
        .encode(to)
        .expect("a vector grows as far as it must");
}

/// The message that `bytes` are, all of them.
pub fn decode_message<M: Message + Default>(bytes: &[u8]) -> Result<M, Error> {
    Ok(M::decode(bytes)?)
}
