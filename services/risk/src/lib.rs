//! The risk service: the controls that owners and operators have over accounts, and the account stage's codec for the log.
//!
//! The stage's rules are in the pure crate beside this one, `account`. This crate refuses to hold balances of its own.

mod app;
mod events;
mod grpc;
mod owner;
pub mod views;

use std::sync::Arc;

use prepx_proto::risk::v1::admin_service_server::AdminServiceServer;
use prepx_proto::risk::v1::configuration_service_server::ConfigurationServiceServer;
use prepx_runtime::Service;

pub use app::{App, Deps, Error};
pub use events::AccountCodec;
pub use owner::owner;

/// The service, without the layers that every service gets around it.
pub fn build(deps: Deps) -> Service {
    let app = Arc::new(App::new(deps));
    Service::new()
        .grpc(AdminServiceServer::new(grpc::Handler(Arc::clone(&app))))
        .grpc(ConfigurationServiceServer::new(grpc::Handler(app)))
}
