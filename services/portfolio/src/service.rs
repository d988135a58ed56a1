//! Wiring: the schemas, the projection, the application, and the gRPC services.

use std::sync::Arc;

use prepx_cache::Warmer;
use prepx_proto::portfolio::v1::admin_service_server::AdminServiceServer;
use prepx_proto::portfolio::v1::portfolio_service_server::PortfolioServiceServer;
use prepx_runtime::{Building, Service};
use prepx_stage::port::UpdatesPort;
use prepx_store::{Durability, Layout, Options, Shards};

use crate::app::{App, Deps};
use crate::audit::Compared;
use crate::books::Books;
use crate::grpc::Handler;
use crate::projection::{Error, Projection};
use crate::read_cache::ReadCache;
use crate::store::MIGRATIONS;
use crate::store::ledger::Ledger;
use crate::store::sql::Sql;

/// The service, and its books for other readers.
pub struct Portfolio {
    /// The service, without the layers that are put around every service.
    pub service: Service,
    /// The books.
    pub books: Books,
}

/// Migrates the schemas, in all shards, and does nothing else.
///
/// # Errors
/// When one cannot be opened.
pub async fn migrate(layout: &Layout) -> prepx_store::Result<()> {
    transfers(layout).await?.close().await;
    Ledger::open(layout).await?.close().await;
    Ok(())
}

/// Opens the tables of a platform, to compare them with `updates` of `partitions` of account stages.
///
/// # Errors
/// When a schema cannot be opened.
pub async fn compared(
    layout: &Layout,
    ledger: Ledger,
    updates: Arc<dyn UpdatesPort>,
    partitions: u32,
) -> prepx_store::Result<Compared> {
    Ok(Compared {
        ledger,
        transfers: Sql::new(transfers(layout).await?),
        updates,
        partitions,
    })
}

async fn transfers(layout: &Layout) -> prepx_store::Result<Shards> {
    let options = Options::new("transfers", Durability::Source);
    Shards::open(layout, &options, MIGRATIONS).await
}

/// Opens the schemas and composes the service.
///
/// # Errors
/// When a schema cannot be opened.
pub fn build(deps: Deps, layout: &Layout) -> Building<Result<Portfolio, Error>> {
    let layout = layout.clone();
    Box::pin(async move {
        let transfers = transfers(&layout).await?;
        let ledger = Ledger::open_within(&layout, deps.bytes_max).await?;
        let projections = Projection::of_each_shard(&deps.following, &ledger).await?;
        let sql = Sql::new(transfers);
        let compared = Compared {
            ledger,
            transfers: sql.clone(),
            updates: Arc::clone(&deps.updates),
            partitions: deps.following.topology.account_partitions,
        };
        let books = Books::new(
            compared,
            deps.following.clone(),
            &projections,
            ReadCache::new(&deps.cache),
            Arc::new(Warmer::new(
                "accounts",
                deps.warm_every,
                Arc::clone(&deps.clock),
                &deps.random,
            )),
        );
        let app = Arc::new(App::new(deps, sql, books.clone()));
        let mut service = Service::new()
            .grpc(PortfolioServiceServer::new(Handler(Arc::clone(&app))))
            .grpc(AdminServiceServer::new(Handler(app)));
        let warmed = books.clone();
        service = service.task("warming", move |drain| async move {
            tokio::select! {
                () = drain.stopping() => {}
                () = warmed.keep_warm() => {}
            }
            Ok(())
        });
        for projection in projections {
            service = service.task("ledger", move |drain| async move {
                let stopping = async move { drain.stopping().await };
                Ok(projection.run(stopping).await?)
            });
        }
        Ok(Portfolio { service, books })
    })
}
