//! The clock, ids and randomness. Nothing else in PrepX reads them: a lint forbids it, so that a
//! simulation which replaces this crate's values replaces all of them (I7). And how a thread stands
//! among the others.

mod clock;
mod random;
mod thread;

pub use clock::{Clock, ManualClock, SystemClock};
pub use random::Random;
pub use thread::yield_to_others;
