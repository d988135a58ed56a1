//! Messages that operators have had stages skip, as the journals record it. Refuses to judge what is missing
//! because of it.

use std::fmt;

use crate::journal::transition::{Taken, Transition};
use crate::lane::Message;
use crate::topology::Seat;

/// A message that a stage skips because an operator said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The partition that skips it.
    pub seat: Seat,
    /// The message.
    pub message: Message,
    /// The reason, in the operator's words.
    pub reason: String,
}

impl Skip {
    /// The skips that a transition of a partition records.
    pub fn of(seat: Seat, transition: Transition<'_>) -> impl Iterator<Item = Skip> {
        let skip = move |taken| match taken {
            Taken::Skip {
                source,
                number,
                reason,
            } => Some(Skip {
                seat,
                message: Message { source, number },
                reason,
            }),
            _ => None,
        };
        transition.inputs.into_iter().filter_map(skip)
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Skip {
            seat,
            message,
            reason,
        } = self;
        write!(f, "{seat} went on without {message} ({reason})")
    }
}
