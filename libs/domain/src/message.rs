//! The messages between the stages, and the commands of clients to the account stage.
//!
//! Commands go to the account stage by slot; accepted orders go by lane to matching, by instrument; executions go by lane
//! back to the account partitions. Every number is final: a receiver never recomputes what the sender has computed.

mod account;
mod command;
mod matching;

pub use account::{CancelReason, End, Fill, Refusal, ToAccount};
pub use command::{Action, Command, Limits, PlaceOrder, ReplaceOrder};
pub use matching::{BookOrder, BookReplace, ToMatching};
