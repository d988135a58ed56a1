//! Order entry over gRPC: decode, call the use case, encode. No business decisions.

mod admin;
mod decode;
mod orders;
mod stream;

use std::sync::Arc;

use prepx_proto::trading::v1::admin_service_server::AdminServiceServer;
use prepx_proto::trading::v1::trading_service_server::TradingServiceServer;
use prepx_runtime::status;
use tonic::Status;

use crate::app::App;
use crate::error::Error;

/// The services of this crate over one application.
#[derive(Clone)]
pub struct Handler(Arc<App>);

impl Handler {
    /// Handlers that call `app`.
    pub fn new(app: Arc<App>) -> Self {
        Handler(app)
    }

    /// The traders' service.
    pub fn trading(&self) -> TradingServiceServer<Handler> {
        TradingServiceServer::new(self.clone())
    }

    /// The operators' service.
    pub fn admin(&self) -> AdminServiceServer<Handler> {
        AdminServiceServer::new(self.clone())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        let mut outward = status::Error::new(error.code(), error.reason(), error.to_string())
            .retry_after(error.retry_after());
        if let Error::Form(form) = &error {
            outward = outward.with("field", form.field);
        }
        status::of(&outward)
    }
}
