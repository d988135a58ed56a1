//! The transcoder against descriptors compiled at test time: the same route as the real ones take.

mod desk;
mod openapi;
mod properties;
mod replies;
mod requests;
mod routing;
mod spec;
