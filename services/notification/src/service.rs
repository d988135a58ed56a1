//! Wiring: the hub, the followers that feed it, and the gRPC service.

use std::sync::Arc;

use prepx_auth::Caller;
use prepx_proto::notification::v1::notification_service_server::NotificationServiceServer;
use prepx_runtime::{Building, Service};

use crate::books;
use crate::follow::{self, Error, Feed, Sources};
use crate::grpc::Handler;
use crate::hub::Hub;

/// The dependencies of the service.
pub struct Deps {
    /// The source of the streams.
    pub sources: Sources,
    /// The market-data service, which knows the books that began before this process did.
    pub market_data: Caller,
}

/// Composes the service. It sends what happens from now on.
///
/// # Errors
/// When the log has failed.
pub fn build(deps: Deps) -> Building<Result<Service, Error>> {
    Box::pin(async move {
        let hub = Arc::new(Hub::default());
        let clock = Arc::clone(&deps.sources.following.clock);
        let feed = Feed::open(deps.sources, Arc::clone(&hub)).await?;
        let (told, asking, counted) = (Arc::clone(&hub), Arc::clone(&hub), Arc::clone(&hub));
        let peer = deps.market_data;
        Ok(Service::new()
            .grpc(NotificationServiceServer::new(Handler(hub)))
            .task("notification", move |drain| follow::run(feed, told, drain))
            .task("notification-minutes", move |drain| {
                follow::close_minutes(counted, clock, drain)
            })
            .task("notification-books", move |drain| {
                books::ask(asking, peer, drain)
            }))
    })
}
