//! Whether the services behind the gateway answer.

use prepx_proto::gateway::v1 as wire;
use prepx_proto::gateway::v1::gateway_service_server::GatewayService;
use prepx_runtime::Drain;
use tonic::{Request, Response, Status};

/// Answers `/api/health`.
pub struct Health {
    /// Full names of the gRPC services behind this gateway.
    pub services: Vec<String>,
    /// Tells when this process begins to end.
    pub drain: Drain,
}

#[tonic::async_trait]
impl GatewayService for Health {
    async fn get_health(
        &self,
        _request: Request<wire::GetHealthRequest>,
    ) -> Result<Response<wire::Health>, Status> {
        // In one process the services live and end together: they are down once it drains.
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
            services: self.services.iter().map(service).collect(),
        }))
    }
}
