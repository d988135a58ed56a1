//! Wiring: the schema, the projection, the application, and the gRPC service.

use std::sync::Arc;

use prepx_domain::AssetClass;
use prepx_proto::market_data::v1::crypto_data_service_server::CryptoDataServiceServer;
use prepx_proto::market_data::v1::stock_data_service_server::StockDataServiceServer;
use prepx_runtime::{Building, Service};
use prepx_store::Location;

use crate::app::{App, Deps};
use crate::grpc::Handler;
use crate::projection::{Error, Projection};
use crate::store::Store;

/// Opens the schema and composes the service.
///
/// # Errors
/// When the schema cannot be opened or read.
pub fn build(deps: Deps, location: &Location) -> Building<Result<Service, Error>> {
    let location = location.clone();
    Box::pin(async move {
        let store = Store::open_within(&location, deps.bytes_max).await?;
        let projection = Projection::open(deps.following.clone(), store.clone()).await?;
        let (markets, progress) = (projection.consumer().markets(), projection.progress());
        let app = Arc::new(App::new(deps, store, markets, progress));
        let of = |class| Handler::new(Arc::clone(&app), class);
        Ok(Service::new()
            .grpc(StockDataServiceServer::new(of(AssetClass::UsEquity)))
            .grpc(CryptoDataServiceServer::new(of(AssetClass::Crypto)))
            .task("market-data", move |drain| async move {
                let stopping = async move { drain.stopping().await };
                Ok(projection.run(stopping).await?)
            }))
    })
}
