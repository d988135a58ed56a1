//! The standalone service.

pub mod core;
