//! The transcoder against descriptors compiled at test time: the same route as the real ones take.

// The helpers are tests too, though they do not say so.
#![allow(clippy::unwrap_used)]

mod desk;
mod openapi;
mod properties;
mod replies;
mod requests;
mod routing;
mod spec;
