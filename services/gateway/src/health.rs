//! Whether the services behind the gateway answer, and for operators the state of each process.

use std::collections::BTreeMap;

use prepx_proto::gateway::v1 as wire;
use prepx_proto::gateway::v1::gateway_service_server::GatewayService;
use prepx_runtime::{Drain, Peer, status};
use tonic::{Request, Response, Status};

use crate::status::Parts;

/// Answers `/api/health` and `/api/v1/admin/status`.
pub struct Health {
    /// The services behind this gateway, by the full names of their gRPC services.
    pub peers: BTreeMap<String, Peer>,
    /// Signals when this process begins to end.
    pub drain: Drain,
    /// Every process.
    pub parts: Parts,
}

#[tonic::async_trait]
impl GatewayService for Health {
    async fn get_health(
        &self,
        _request: Request<wire::GetHealthRequest>,
    ) -> Result<Response<wire::Health>, Status> {
        if let Some((name, _)) = self.peers.iter().find(|(_, peer)| !peer.is_serving()) {
            return Err(down(name));
        }
        // Services in this process end with it: they are down once it drains.
        let status = match self.drain.is_draining() {
            true => wire::HealthStatus::Down,
            false => wire::HealthStatus::Ok,
        };
        let service = |name: &String| wire::ServiceHealth {
            name: name.clone(),
            status: status.into(),
        };
        Ok(Response::new(wire::Health {
            status: status.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            services: self.peers.keys().map(service).collect(),
        }))
    }

    async fn get_status(
        &self,
        _request: Request<wire::GetStatusRequest>,
    ) -> Result<Response<wire::Status>, Status> {
        Ok(Response::new(self.parts.status().await))
    }
}

fn down(name: &str) -> Status {
    let words = format!("{name} does not answer: no replica of it serves");
    status::of(&status::Error::new(
        status::Code::Unavailable,
        "SERVICE_DOWN",
        words,
    ))
}
