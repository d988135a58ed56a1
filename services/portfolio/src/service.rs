//! Wiring: the schema, the application, and what it answers.

use std::sync::Arc;

use prepx_proto::portfolio::v1::admin_service_server::AdminServiceServer;
use prepx_proto::portfolio::v1::portfolio_service_server::PortfolioServiceServer;
use prepx_runtime::Service;
use prepx_store::{Durability, Location, Options, Pool, Result};

use crate::app::{App, Deps};
use crate::grpc::Handler;
use crate::store::MIGRATIONS;
use crate::store::sqlite::Sqlite;

/// The service, without the layers that every service gets around it.
///
/// # Errors
/// When its schema cannot be opened.
pub async fn build(deps: Deps, location: &Location) -> Result<Service> {
    let options = Options::new("transfers", Durability::Source);
    let Pool::Sqlite(pool) = Pool::open(location, &options, MIGRATIONS).await?;
    let app = Arc::new(App::new(deps, Sqlite::new(pool)));
    Ok(Service::new()
        .grpc(PortfolioServiceServer::new(Handler(Arc::clone(&app))))
        .grpc(AdminServiceServer::new(Handler(app))))
}
