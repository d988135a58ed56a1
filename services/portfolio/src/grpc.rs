//! Portfolio over gRPC: decode, call the use case, encode. No business decisions.

mod admin;
mod show;

use std::sync::Arc;

use prepx_auth::Principal;
use prepx_domain::AccountId;
use prepx_proto::portfolio::v1 as wire;
use prepx_proto::portfolio::v1::portfolio_service_server::PortfolioService;
use prepx_proto::trading::v1::Order;
use prepx_runtime::status;
use prepx_stage::port::{ReadError, SubmitError};
use tonic::{Request, Response, Status};

use crate::app::{App, Part};
use crate::error::Error;
use crate::store::Store;

/// The services of this crate over one application.
pub struct Handler<S>(pub Arc<App<S>>);

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

#[tonic::async_trait]
impl<S: Store + 'static> PortfolioService for Handler<S> {
    async fn get_account(
        &self,
        request: Request<wire::GetAccountRequest>,
    ) -> Result<Response<wire::Account>, Status> {
        let account = account_of(&request)?;
        Ok(Response::new(show::account(
            &self.0.holdings(account).await?,
        )))
    }

    async fn get_positions(
        &self,
        request: Request<wire::GetPositionsRequest>,
    ) -> Result<Response<wire::GetPositionsResponse>, Status> {
        let account = account_of(&request)?;
        let positions = self.0.holdings(account).await?.positions;
        let positions = positions.iter().map(show::position).collect();
        Ok(Response::new(wire::GetPositionsResponse { positions }))
    }

    async fn get_position(
        &self,
        request: Request<wire::GetPositionRequest>,
    ) -> Result<Response<wire::Position>, Status> {
        let account = account_of(&request)?;
        let position = self
            .0
            .position(account, &request.get_ref().symbol_or_asset_id)
            .await?;
        Ok(Response::new(show::position(&position)))
    }

    async fn close_position(
        &self,
        request: Request<wire::ClosePositionRequest>,
    ) -> Result<Response<Order>, Status> {
        let account = account_of(&request)?;
        let request = request.into_inner();
        let part = match (&request.qty, &request.percentage) {
            (None, None) => Part::All,
            (Some(qty), None) => Part::Quantity(qty),
            (None, Some(percentage)) => Part::Percentage(percentage),
            (Some(_), Some(_)) => {
                let message = "give qty or percentage, not both".to_owned();
                return Err(Error::Field {
                    field: "percentage",
                    message,
                }
                .into());
            }
        };
        let symbol = &request.symbol_or_asset_id;
        let position = self.0.position(account, symbol).await?;
        let order = self.0.close(account, symbol, part).await?;
        Ok(Response::new(prepx_proto::convert::order(
            &order,
            &position.instrument,
        )))
    }

    async fn close_all_positions(
        &self,
        request: Request<wire::CloseAllPositionsRequest>,
    ) -> Result<Response<wire::CloseAllPositionsResponse>, Status> {
        let account = account_of(&request)?;
        let cancel_orders = request.get_ref().cancel_orders.unwrap_or(false);
        let closed = self.0.close_all(account, cancel_orders).await?;
        let results = closed.iter().map(show::closed).collect();
        Ok(Response::new(wire::CloseAllPositionsResponse { results }))
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        if let Error::Store(cause) = &error {
            tracing::error!(%cause, "the store of transfers failed");
        }
        let mut outward = status::Error::new(error.code(), error.reason(), error.to_string());
        match &error {
            Error::Field { field, .. } => outward = outward.with("field", *field),
            Error::Submit(SubmitError::Busy { retry_after })
            | Error::Read(ReadError::Busy { retry_after }) => {
                outward.retry_after_ms = u64::try_from(retry_after.as_millis()).ok();
            }
            _ => {}
        }
        status::of(&outward)
    }
}
