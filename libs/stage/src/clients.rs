//! The stages as services reach them: the ports, and where commands are handed in and replies are waited for.

pub mod desk;
pub mod port;
