//! The clock, ids and randomness. Nothing else in PrepX reads them: a lint forbids it, so that a
//! simulation which replaces this crate's values replaces all of them (I7).

mod clock;
mod random;

pub use clock::{Clock, ManualClock, SystemClock};
pub use random::Random;
