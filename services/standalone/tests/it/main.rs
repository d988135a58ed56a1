//! The program `prepx` as its users run it: a process, a port, gRPC.

mod disk;
mod help;
#[cfg(feature = "kafka")]
mod kafka;
mod limits;
mod platform;
mod process;
mod revoking;
mod schemas;
mod skips;
mod stream;
mod tables;
mod texts;
mod traces;
