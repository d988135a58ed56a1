//! HTTP/JSON to gRPC and back, from descriptors alone: no handler per route.
//!
//! Routes come from `google.api.http`, and everything that proto3 JSON cannot express from the options of
//! `prepx/options/v1/options.proto`, which also documents the defaults. Requests become protobuf bytes and replies become
//! JSON without a message type in between, following plans that are computed once when the router is built.
//!
//! ```text
//! let router = Router::build(&pool)?;                    // once; fails on any route that is not sound
//!
//! let call = router.find(&method, uri.path())?;          // 404, or 405 with `Error::allow`
//! let route = call.route();                              // Arc<Route>
//! route.auth(), route.scope(), route.effect()            // who may call, may it be resent
//! route.body_limit_bytes()                               // read no more than this
//! let request = call.decode(uri.query(), content_type, &body)?;      // Vec<u8> of protobuf
//! … one gRPC call of route.grpc_path() ("/prepx.trading.v1.Trading/PlaceOrder") …
//! respond(route.success_status(), route.encode(&reply)?);            // Vec<u8> of JSON; empty with 204
//!
//! if route.is_server_streaming() {
//!     let framing = Framing::from_accept(accept);        // lines of JSON, or server-sent events
//!     framing.content_type();
//!     route.encode_item(framing, &message, &mut out)?;   // once for every message
//! }
//!
//! let error = Error::from_status(grpc_code, message, details);       // grpc-status-details-bin, or b""
//! respond(error.http_status(), error.to_json(request_id));           // {"code":40410000,"message":…}
//! ```
//!
//! Refuses methods whose requests are streams: they are gRPC only. It knows nothing of connections, principals or time, and
//! allocates no more than a small multiple of the body's size, which is bounded before any of it is read.

mod call;
mod codec;
mod decode;
mod encode;
pub mod error;
mod fault;
mod json;
mod near;
mod openapi;
mod plan;
mod query;
mod route;
mod router;
mod rule;
mod stream;
mod template;
mod text;
mod wire;

pub use call::Call;
pub use codec::Codec;
pub use error::Error;
pub use openapi::openapi;
pub use route::{BuildError, DEFAULT_BODY_LIMIT_BYTES, Effect, Route};
pub use router::Router;
pub use rule::Auth;
pub use stream::Framing;
