//! Wiring: the application and the gRPC services.

use std::sync::Arc;

use prepx_runtime::Service;

use crate::app::{App, Deps};
use crate::domain::calendar::{Nyse, ParseError};
use crate::grpc::Handler;

/// The service, without the layers that every service gets around it.
///
/// # Errors
/// When the calendar that comes with the program does not parse.
pub fn build(deps: Deps) -> Result<Service, ParseError> {
    let handler = Handler::new(Arc::new(App::new(deps, Nyse::bundled()?)));
    Ok(Service::new().grpc(handler.trading()).grpc(handler.admin()))
}
