//! The runtime as services and clients meet it: over real sockets and within the process.

mod balanced;
mod bank;
mod guarded;
mod hosted;
mod process;
mod secured;
mod sockets;
mod unreadable;
