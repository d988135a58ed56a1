//! Wiring: the schema, the key, the auditor, and the gRPC service.

use std::path::PathBuf;
use std::sync::Arc;

use prepx_bus::Log;
use prepx_env::{Clock, Random};
use prepx_proto::analytics::v1::audit_service_server::AuditServiceServer;
use prepx_runtime::{Building, Service};
use prepx_stage::follow::Tail;
use prepx_stage::{Duty, Retention, Topology};
use prepx_store::Location;
use tokio::sync::Mutex;

use crate::auditor::{Auditor, Pace};
use crate::error::Result;
use crate::grpc::Handler;
use crate::store::Audit;

/// What the service needs.
#[derive(Clone)]
pub struct Deps {
    /// Where the key is.
    pub directory: PathBuf,
    /// Where the schema is.
    pub location: Location,
    /// The log with the journals.
    pub log: Arc<dyn Log>,
    /// Its end.
    pub tail: Tail,
    /// Where it says how far it has come.
    pub retention: Arc<Retention>,
    /// How many journals there are.
    pub topology: Topology,
    /// When roots are made.
    pub clock: Arc<dyn Clock>,
    /// Whether this process makes them.
    pub duty: Duty,
    /// Draws the key at the first start.
    pub random: Arc<Random>,
    /// How often roots are made.
    pub pace: Pace,
}

/// Opens the schema and composes the service.
///
/// # Errors
/// When the schema or the key cannot be opened, or the key is not the one that signed the roots.
pub fn build(deps: Deps) -> Building<Result<Service>> {
    Box::pin(async move {
        let audit = Audit::open(&deps.location).await?;
        let auditor = Auditor::open(&deps, audit.clone()).await?;
        let handler = Handler {
            audit,
            public_key: auditor.public_key(),
            log: Arc::clone(&deps.log),
            topology: deps.topology,
            checking: Mutex::new(()),
        };
        Ok(Service::new()
            .grpc(AuditServiceServer::new(handler))
            .task("audit", move |drain| auditor.run(drain)))
    })
}
