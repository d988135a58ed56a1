//! The rules of market-data, pure: what changes make of markets, and how time is cut into bars. No I/O, no clock, no
//! randomness.

pub mod market;
pub mod timeframe;
