//! The clock and randomness. Nothing else in PrepX reads them, which a lint enforces, so a simulation that replaces this
//! crate's values controls all of them (I7). Also what a thread tells the scheduler.

mod clock;
mod random;
mod thread;

pub use clock::{Clock, ManualClock, SystemClock};
pub use random::Random;
pub use thread::yield_to_others;
