//! A plain-text port for orchestrators and monitoring, which have no certificate: health, readiness, metrics
//! and profiles, and nothing else.

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use crate::drain::Drain;
use crate::ready::Health;
use crate::serve::{self, multiplex};
use crate::{scrape, service};

/// The most connections at a time.
const PROBES_MAX: usize = 64;

/// Where an orchestrator asks.
pub struct Probes {
    /// What listens.
    pub listener: TcpListener,
    /// The metrics of this process.
    pub metrics: PrometheusHandle,
}

impl Probes {
    /// Answers until it is dropped, also while the process drains: probes must see that.
    pub(crate) fn answer(self, health: &Health, drain: &Drain) -> impl Future<Output = ()> + use<> {
        let grpc = service::routes(health.routed(Router::new(), drain));
        let page = scrape::page(self.metrics);
        let http = health.pages(drain).route("/metrics", page);
        #[cfg(target_os = "linux")]
        let http = http.merge(crate::profile::pages());
        let limits = serve::Limits {
            connections: PROBES_MAX,
            ..serve::Limits::default()
        };
        async move {
            let (kept, _until_dropped) = Drain::new();
            serve::serve(self.listener, multiplex(grpc, http), limits, kept).await;
        }
    }
}
