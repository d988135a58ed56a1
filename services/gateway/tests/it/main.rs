//! The gateway as clients meet it, with the services in another process.

mod forward;
