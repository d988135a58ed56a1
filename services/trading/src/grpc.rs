//! Order entry over gRPC: decode, call the use case, encode. No business decisions.

mod admin;
mod decode;
mod orders;
mod stream;

use std::sync::Arc;

use prepx_auth::Principal;
use prepx_domain::AccountId;
use prepx_proto::trading::v1::admin_service_server::AdminServiceServer;
use prepx_proto::trading::v1::trading_service_server::TradingServiceServer;
use prepx_runtime::status;
use prepx_stage::port::{ReadError, SubmitError};
use tonic::{Request, Status};

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

/// The caller's account, the only one that its calls can touch (I9).
fn account_of<T>(request: &Request<T>) -> Result<AccountId, Status> {
    prepx_auth::principal(request.extensions())
        .and_then(Principal::account)
        .map_err(|error| {
            status::of(&status::Error::new(
                error.code(),
                error.reason(),
                error.to_string(),
            ))
        })
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        let mut outward = status::Error::new(error.code(), error.reason(), error.to_string());
        match &error {
            Error::Form(form) => outward = outward.with("field", form.field),
            Error::Submit {
                source: SubmitError::Busy { retry_after },
                ..
            }
            | Error::Read(ReadError::Busy { retry_after }) => {
                outward.retry_after_ms = u64::try_from(retry_after.as_millis()).ok();
            }
            _ => {}
        }
        status::of(&outward)
    }
}
