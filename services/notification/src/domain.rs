//! The rules of the streams, pure: what each change of a market means to its listeners. No I/O, no clock, no
//! randomness.

pub mod market;
