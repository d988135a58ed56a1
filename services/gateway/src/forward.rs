//! gRPC calls for services in other processes: forwarded as they are, streams too.
//!
//! Owns which headers are forwarded. Refuses calls that only services of this platform may make: the
//! services that clients may call are a closed list, [`PUBLIC`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header};
use prepx_auth::{CLUSTER_KEY, Identity};
use prepx_runtime::{Peer, spans};
use tonic::Status;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

/// The gRPC services that clients may call.
pub const PUBLIC: [&str; 13] = [
    "prepx.analytics.v1.AuditService",
    "prepx.market_data.v1.CryptoDataService",
    "prepx.market_data.v1.StockDataService",
    "prepx.notification.v1.NotificationService",
    "prepx.notification.v1.AdminService",
    "prepx.notification.v1.WebhookService",
    "prepx.portfolio.v1.AdminService",
    "prepx.portfolio.v1.PortfolioService",
    "prepx.risk.v1.AdminService",
    "prepx.risk.v1.ConfigurationService",
    "prepx.trading.v1.AdminService",
    "prepx.trading.v1.TradingService",
    "prepx.user.v1.UserService",
];

/// The peers of each of [`PUBLIC`]. `find` is called once for each service that has some of them, such as
/// `market_data`.
///
/// # Errors
/// The first error of `find`.
pub fn peers<E>(
    mut find: impl FnMut(&str) -> Result<Peer, E>,
) -> Result<BTreeMap<String, Peer>, E> {
    let mut found = BTreeMap::new();
    let mut peers = BTreeMap::new();
    for name in PUBLIC {
        let service = service_of(name);
        let peer = match found.get(service) {
            Some(peer) => Peer::clone(peer),
            None => find(service)?,
        };
        found.insert(service, peer.clone());
        peers.insert(name.to_owned(), peer);
    }
    Ok(peers)
}

/// The service that has a gRPC service of this full name, such as `market_data`.
pub fn service_of(name: &str) -> &str {
    name.split('.').nth(1).unwrap_or_default()
}

/// Headers that a connection or the platform sets, and that clients must not.
const KEPT_BACK: [HeaderName; 5] = [
    header::CONNECTION,
    header::HOST,
    header::TRANSFER_ENCODING,
    HeaderName::from_static(CLUSTER_KEY),
    spans::HEADER,
];

/// A service in another process, in place of its routes.
#[derive(Clone)]
pub struct Forward(pub Peer);

impl Service<Request<Body>> for Forward {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peer = self.0.clone();
        Box::pin(async move {
            let answered = peer.oneshot(handed_on(request)).await;
            Ok(answered.unwrap_or_else(|error| Status::from_error(error).into_http()))
        })
    }
}

/// The call to forward. Of what this process knows about it, only the caller is passed on.
fn handed_on(request: Request<Body>) -> Request<Body> {
    let (parts, body) = request.into_parts();
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = parts.uri;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = travelling(parts.headers);
    if let Some(identity) = parts.extensions.get::<Arc<Identity>>() {
        request.extensions_mut().insert(Arc::clone(identity));
    }
    request
}

fn travelling(mut headers: HeaderMap) -> HeaderMap {
    for name in KEPT_BACK {
        headers.remove(name);
    }
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers
}
