//! Wiring: the routes of the available services.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::middleware;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, StatusCode};
use metrics_exporter_prometheus::PrometheusHandle;
use prepx_auth::{AuthLayer, Authenticator, ClusterKey, Policy};
use prepx_cache::Cache;
use prepx_env::{Clock, Random};
use prepx_proto::gateway::v1::gateway_service_server::GatewayServiceServer;
use prepx_runtime::{Drain, Peer, Service, TaskError, guard, refusal, scrape};
use prepx_transcode::{Router, openapi};

use crate::forward::{Forward, PUBLIC, service_of};
use crate::health::Health;
use crate::limits::Limits;
use crate::limits::config::{Config as RateLimits, Profile as RateProfile};
use crate::requests::Requests;
use crate::rest::Rest;
use crate::socket::{self, Edge};
use crate::status::Parts;

/// The full name of the gateway's own gRPC service.
const OWN: &str = "prepx.gateway.v1.GatewayService";
/// The full name of the gRPC service underneath the sockets.
const STREAMS: &str = "prepx.notification.v1.NotificationService";

/// The dependencies of the gateway.
pub struct Deps {
    /// The services behind it, by the full names of their gRPC services.
    pub peers: BTreeMap<String, Peer>,
    /// Whether the services are in other processes: then gRPC calls for those of [`PUBLIC`] are forwarded
    /// to them, within these limits.
    pub forwards: Option<guard::Limits>,
    /// The name and the report of this process.
    pub own: (&'static str, Peer),
    /// The key of the platform.
    pub key: ClusterKey,
    /// Authenticates callers of the gateway itself, and of sockets.
    pub authenticator: Arc<Authenticator>,
    /// The limits on requests.
    pub rate_limits: RateLimits,
    /// Counts them.
    pub cache: Cache,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The metrics of this process.
    pub metrics: PrometheusHandle,
    /// Draws request ids.
    pub random: Arc<Random>,
    /// Signals when this process begins to end.
    pub drain: Drain,
}

/// The service: the JSON API, the sockets, the OpenAPI document and the metrics, over HTTP.
///
/// # Errors
/// When the routes or the options of the protos are not sound.
pub fn build(mut deps: Deps) -> Result<Service, TaskError> {
    let parts = parts(&deps);
    let router = Arc::new(Router::build(prepx_proto::descriptors())?);
    let limits = Limits {
        config: deps.rate_limits,
        cache: deps.cache,
        authenticator: Arc::clone(&deps.authenticator),
        router: Arc::clone(&router),
        clock: deps.clock,
        random: Arc::clone(&deps.random),
    };
    let health = GatewayServiceServer::new(Health {
        peers: deps.peers.clone(),
        drain: deps.drain.clone(),
        parts,
    });
    let policy = Arc::new(Policy::from_descriptors(prepx_proto::descriptors())?);
    let auth = AuthLayer::new(Arc::clone(&deps.authenticator), policy, &deps.key);
    let mut own = Service::new().grpc(health).layer(auth);
    if let Some(limits) = deps.forwards {
        own = forwarding(own, &deps.peers).guarded(limits, Arc::clone(&deps.random));
    }
    deps.peers.insert(OWN.to_owned(), own.peer());
    let sockets = match deps.peers.get(STREAMS) {
        Some(peer) => {
            let random = Arc::clone(&deps.random);
            Edge::build(deps.authenticator, peer.clone(), deps.drain, random)?.routes()
        }
        None => axum::Router::new(),
    };
    let document = openapi(&router, "PrepX", env!("CARGO_PKG_VERSION")).to_string();
    // Shared by all answers, even unread ones.
    let document = Bytes::from(document);
    let pages = ["/openapi.json", "/metrics"]
        .into_iter()
        .chain(socket::paths());
    let requests = Arc::new(Requests::new(&router, pages));
    let rest = Arc::new(Rest::new(router, deps.peers, deps.random));
    let routes = axum::Router::new()
        .route(
            "/openapi.json",
            get(async move || refusal::json(StatusCode::OK, document)),
        )
        .route("/metrics", scrape::page(deps.metrics))
        .merge(sockets)
        .fallback(async move |request: Request<Body>| rest.answer(request).await)
        .layer(middleware::from_fn(move |request, next| {
            let requests = Arc::clone(&requests);
            async move { requests.around(request, next).await }
        }));
    Ok(limited(own.http(routes), limits))
}

/// This process, and if services are elsewhere, the processes behind it.
fn parts(deps: &Deps) -> Parts {
    let (name, own) = &deps.own;
    let mut services = BTreeMap::from([((*name).to_owned(), own.clone())]);
    if deps.forwards.is_some() {
        let elsewhere = deps.peers.iter();
        services.extend(elsewhere.map(|(name, peer)| (service_of(name).to_owned(), peer.clone())));
    }
    Parts {
        services,
        key: deps.key.clone(),
    }
}

/// The service with the gRPC calls of clients for services that are elsewhere.
fn forwarding(own: Service, peers: &BTreeMap<String, Peer>) -> Service {
    PUBLIC
        .into_iter()
        .fold(own, |own, name| match peers.get(name) {
            Some(peer) => own.forwarded(name, Forward(peer.clone())),
            None => own,
        })
}

/// The service within its limits, if there are any.
fn limited(service: Service, limits: Limits) -> Service {
    if limits.config.profile == RateProfile::Off {
        return service;
    }
    let limits = Arc::new(limits);
    service.edge(move |app| {
        app.layer(middleware::from_fn(move |request, next| {
            let limits = Arc::clone(&limits);
            async move { limits.around(request, next).await }
        }))
    })
}
