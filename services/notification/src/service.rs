//! Wiring: the hub, what feeds it, and how it is heard.

use std::sync::Arc;

use prepx_bus::Poisoned;
use prepx_proto::notification::v1::notification_service_server::NotificationServiceServer;
use prepx_runtime::{Peer, Service};

use crate::books;
use crate::follow::{Following, Sources};
use crate::grpc::Handler;
use crate::hub::Hub;

/// What the service stands on.
pub struct Deps {
    /// What the streams are made of.
    pub sources: Sources,
    /// The market-data service, which knows the books that began before this process did.
    pub market_data: Peer,
}

/// Composes the service. It tells what happens from now on.
///
/// # Errors
/// When the log has failed.
pub fn build(deps: Deps) -> Result<Service, Poisoned> {
    let hub = Arc::new(Hub::default());
    let following = Following::new(deps.sources, Arc::clone(&hub))?;
    let asking = Arc::clone(&hub);
    let peer = deps.market_data;
    Ok(Service::new()
        .grpc(NotificationServiceServer::new(Handler(hub)))
        .task("notification", move |drain| following.run(drain))
        .task("notification-books", move |drain| {
            books::ask(asking, peer, drain)
        }))
}
