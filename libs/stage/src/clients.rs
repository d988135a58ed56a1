//! The stages as services reach them: the ports, and the desk, which sends commands and receives their
//! replies.

pub mod desk;
pub mod port;
