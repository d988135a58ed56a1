//! The input that is being decided, for the error that names it when deciding it fails.

use prepx_bus::TopicPartition;

use crate::error::Error;
use crate::lane::Message;
use crate::topology::Seat;

/// An input that comes again if deciding it fails, with where its record stands.
#[derive(Clone, Copy)]
pub(super) enum Deciding {
    Message(Message, TopicPartition, u64),
    Command(TopicPartition, u64),
}

impl Deciding {
    /// The error of a partition that this input stops whenever it comes.
    pub(super) fn poison(self, seat: Seat, why: String) -> Error {
        match self {
            Deciding::Message(message, from, offset) => Error::Poison {
                seat,
                message,
                from,
                offset,
                why,
            },
            Deciding::Command(from, offset) => Error::PoisonCommand {
                seat,
                from,
                offset,
                why,
            },
        }
    }
}
