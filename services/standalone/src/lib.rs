//! `prepx`: every service in one process, its command line, and the order path: the core, which runs both stages on one thread
//! over the embedded log, or stations on Apache Kafka.

pub mod admin;
pub mod cli;
mod client;
mod compose;
pub mod core;
pub mod dead_letters;
mod disk;
mod files;
mod progress;
mod recorded;
pub mod replay;
pub mod schemas;
mod settings;
pub mod shadow;
mod simulate;
pub mod stage;
mod stages;
pub mod start;
pub mod stations;
pub mod status;
pub mod topics;
pub mod verify;
