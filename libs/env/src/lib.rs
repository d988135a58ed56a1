//! The clock and randomness, and a thread's scheduling priority. Nothing else in PrepX reads a clock or draws a random
//! number, which a lint enforces, so a simulation that replaces this crate's values controls all of them (I7).

mod clock;
mod random;
mod thread;

pub use clock::{Clock, ManualClock, SystemClock};
pub use random::Random;
pub use thread::yield_to_others;
