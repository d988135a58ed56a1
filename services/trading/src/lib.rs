//! The trading service: order entry, the matching stage, instruments and the market clock.

pub mod domain;
