//! The rules of market-data, pure: how changes affect markets, and how time is divided into bars. No I/O, no clock, no
//! randomness.

pub mod market;
pub mod timeframe;
