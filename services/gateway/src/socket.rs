//! The streams of the public API over WebSocket, each backed by one stream of the notification service.
//!
//! Owns the messages of the protocols, sign-in by message, the formats (JSON, MessagePack) and the limits of
//! a socket: how long it may take to sign in, how much it may send, how long it may leave data unread.
//! Refuses to know what the events mean; they are passed on from the notification service.

mod data;
mod form;
mod link;
mod session;
mod trading;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::routing::any;
use axum::{Extension, Router};
use http::{HeaderMap, Response, header};
use prepx_auth::Authenticator;
use prepx_domain::{AssetClass, Code};
use prepx_env::Random;
use prepx_runtime::serve::Place;
use prepx_runtime::{Drain, Peer, refusal};
use prepx_transcode::{BuildError, Error};
use uuid::Uuid;

use form::{Codecs, Form};
use session::Session;

/// The largest message that a client may send: a thousand symbols on each of a few channels.
const MESSAGE_BYTES_MAX: usize = 256 * 1_024;
/// The bytes that may wait to be written to one socket before it counts as not reading.
const WRITE_BYTES_MAX: usize = 1 << 20;
/// The most open sockets of one user.
const USER_SOCKETS_MAX: usize = 64;
/// The paths of the streams, and their protocols.
const PATHS: [(&str, Protocol); 8] = [
    ("/stream", Protocol::Trading),
    // The path of Alpaca's older Python client.
    ("/stream/", Protocol::Trading),
    ("/v2/iex", Protocol::Data(AssetClass::UsEquity)),
    ("/v2/sip", Protocol::Data(AssetClass::UsEquity)),
    ("/v2/delayed_sip", Protocol::Data(AssetClass::UsEquity)),
    ("/v2/test", Protocol::Data(AssetClass::UsEquity)),
    ("/v1beta3/crypto/us", Protocol::Data(AssetClass::Crypto)),
    ("/v1beta2/crypto", Protocol::Data(AssetClass::Crypto)),
];

/// Opens sockets.
pub fn paths() -> impl Iterator<Item = &'static str> {
    PATHS.iter().map(|&(path, _)| path)
}

/// The protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The events of the account's orders.
    Trading,
    /// Market data of a class.
    Data(AssetClass),
}

/// What all sockets share.
pub struct Edge {
    authenticator: Arc<Authenticator>,
    notification: Peer,
    drain: Drain,
    codecs: Codecs,
    random: Arc<Random>,
    /// How many sockets each user has open.
    open: Mutex<HashMap<Uuid, usize>>,
}

/// A place among the sockets that a user may have. Freed when dropped.
struct Seat {
    edge: Arc<Edge>,
    user: Uuid,
}

impl Edge {
    /// The edge over the notification service.
    ///
    /// # Errors
    /// When a message of the streams has no JSON form.
    pub fn build(
        authenticator: Arc<Authenticator>,
        notification: Peer,
        drain: Drain,
        random: Arc<Random>,
    ) -> Result<Arc<Edge>, BuildError> {
        Ok(Arc::new(Edge {
            authenticator,
            notification,
            drain,
            codecs: Codecs::build()?,
            random,
            open: Mutex::default(),
        }))
    }

    /// The paths of the streams.
    pub fn routes(self: &Arc<Self>) -> Router {
        PATHS
            .iter()
            .fold(Router::new(), |routes, &(path, protocol)| {
                let edge = Arc::clone(self);
                let open =
                    move |upgrade, headers, place| edge.open(upgrade, headers, place, protocol);
                routes.route(path, any(open))
            })
    }

    async fn open(
        self: Arc<Self>,
        upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
        headers: HeaderMap,
        place: Option<Extension<Place>>,
        protocol: Protocol,
    ) -> Response<axum::body::Body> {
        let upgrade = match upgrade {
            Ok(upgrade) => upgrade,
            Err(rejection) => {
                let error = not_a_socket(&rejection.to_string());
                return refusal::answer(&error, &headers, &self.random);
            }
        };
        let form = match headers.get(header::CONTENT_TYPE) {
            Some(asked) if asked == "application/msgpack" => Form::MessagePack,
            _ => Form::Json,
        };
        upgrade
            .max_message_size(MESSAGE_BYTES_MAX)
            .max_frame_size(MESSAGE_BYTES_MAX)
            .max_write_buffer_size(WRITE_BYTES_MAX)
            .on_upgrade(async move |socket| {
                // Kept as long as the socket: it is counted, and the shutdown waits for it.
                let _held = (place.clone(), self.drain.work(), Open::begin());
                let place = place.map(|Extension(place)| place);
                Session::new(self, socket, place, protocol, form)
                    .run(&headers)
                    .await;
            })
    }

    /// A place for one more socket of a user, if it may have one.
    fn seat(self: &Arc<Self>, user: Uuid) -> Option<Seat> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(user).or_default();
        if *count == USER_SOCKETS_MAX {
            return None;
        }
        *count += 1;
        let edge = Arc::clone(self);
        Some(Seat { edge, user })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self
            .edge
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.user);
            }
        }
    }
}

/// The metrics of an open socket. Ends when dropped.
struct Open(metrics::Gauge);

impl Open {
    fn begin() -> Open {
        let sockets = metrics::gauge!("prepx_sockets");
        sockets.increment(1.0);
        Open(sockets)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn not_a_socket(why: &str) -> Error {
    let message = format!("this path is a WebSocket: {why}");
    Error::new(Code::Unreadable, "NOT_A_WEBSOCKET", message)
}
