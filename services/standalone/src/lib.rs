//! `prepx`: every service in one process, the command line around them, and the core that runs both
//! stages on one thread over the embedded log.

pub mod admin;
pub mod cli;
mod client;
mod compose;
pub mod core;
mod disk;
pub mod replay;
mod settings;
mod simulate;
pub mod stage;
pub mod start;
pub mod verify;
