//! Portfolio over gRPC: decode, call the use case, encode. No business decisions.

mod activity;
mod admin;
mod history;
mod show;
mod wallet;

use std::sync::Arc;

use futures::future::join_all;
use prepx_proto::portfolio::v1 as wire;
use prepx_proto::portfolio::v1::portfolio_service_server::PortfolioService;
use prepx_proto::trading::v1::Order;
use prepx_runtime::status::{self, invalid};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::domain::closing::Part;
use crate::domain::holdings::{Holdings, Position};
use crate::error::Error;
use crate::store::Store;

/// The services of this crate over one application.
pub struct Handler<S>(pub Arc<App<S>>);

impl<S: Store> Handler<S> {
    /// One of the positions of an account.
    async fn show(&self, holdings: &Holdings, position: &Position) -> wire::Position {
        let last_day_minor = self.0.last_day_price_minor(&position.instrument).await;
        let held = self.0.last_held_minor(holdings).await;
        let today = held.and_then(|held| {
            let held_minor = held.get(&position.instrument.base).copied();
            position.profit_since(held_minor.unwrap_or(0), last_day_minor)
        });
        show::position(position, last_day_minor, today)
    }
}

#[tonic::async_trait]
impl<S: Store + 'static> PortfolioService for Handler<S> {
    async fn get_account(
        &self,
        request: Request<wire::GetAccountRequest>,
    ) -> Result<Response<wire::Account>, Status> {
        let account = prepx_auth::account(&request)?;
        let holdings = self.0.holdings(account).await?;
        let last = self.0.last_equity(&holdings).await;
        Ok(Response::new(show::account(&holdings, &last)))
    }

    async fn get_activities(
        &self,
        request: Request<wire::GetActivitiesRequest>,
    ) -> Result<Response<wire::GetActivitiesResponse>, Status> {
        let account = prepx_auth::account(&request)?;
        let query = activity::query(account, request.get_ref())?;
        let (found, instruments) = self.0.activities(&query).await?;
        let activities = found
            .iter()
            .filter_map(|activity| activity::show(activity, &instruments))
            .collect();
        Ok(Response::new(wire::GetActivitiesResponse { activities }))
    }

    async fn get_wallet_transfers(
        &self,
        request: Request<wire::GetWalletTransfersRequest>,
    ) -> Result<Response<wire::GetWalletTransfersResponse>, Status> {
        let account = prepx_auth::account(&request)?;
        let asset = &request.get_ref().asset;
        let (found, instruments) = self.0.activities(&wallet::query(account)).await?;
        let transfers = found
            .iter()
            .filter_map(|activity| wallet::show(activity, &instruments, asset))
            .collect();
        Ok(Response::new(wire::GetWalletTransfersResponse {
            transfers,
        }))
    }

    async fn get_portfolio_history(
        &self,
        request: Request<wire::GetPortfolioHistoryRequest>,
    ) -> Result<Response<wire::PortfolioHistory>, Status> {
        let account = prepx_auth::account(&request)?;
        let points = self.0.points(&history::asked(request.get_ref())?)?;
        let worth = self.0.worth(account, &points).await?;
        Ok(Response::new(history::show(&points, &worth)))
    }

    async fn get_positions(
        &self,
        request: Request<wire::GetPositionsRequest>,
    ) -> Result<Response<wire::GetPositionsResponse>, Status> {
        let account = prepx_auth::account(&request)?;
        let holdings = self.0.holdings(account).await?;
        let shown = holdings.positions.iter();
        let positions = join_all(shown.map(|position| self.show(&holdings, position))).await;
        Ok(Response::new(wire::GetPositionsResponse { positions }))
    }

    async fn get_position(
        &self,
        request: Request<wire::GetPositionRequest>,
    ) -> Result<Response<wire::Position>, Status> {
        let account = prepx_auth::account(&request)?;
        let holdings = self.0.holdings(account).await?;
        let symbol_or_id = request.into_inner().symbol_or_asset_id;
        let position = holdings.position(&symbol_or_id);
        let position = position.ok_or(Error::NoPosition(symbol_or_id))?;
        Ok(Response::new(self.show(&holdings, position).await))
    }

    async fn close_position(
        &self,
        request: Request<wire::ClosePositionRequest>,
    ) -> Result<Response<Order>, Status> {
        let account = prepx_auth::account(&request)?;
        let request = request.into_inner();
        let part = match (&request.qty, &request.percentage) {
            (None, None) => Part::All,
            (Some(qty), None) => Part::Quantity(qty),
            (None, Some(percentage)) => Part::Percentage(percentage),
            (Some(_), Some(_)) => {
                let message = "give qty or percentage, not both";
                return Err(invalid("percentage", message));
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
        let account = prepx_auth::account(&request)?;
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
        if let Error::Prices(cause) = &error {
            tracing::error!(%cause, "market-data does not return past prices");
        }
        let mut outward = status::Error::new(error.code(), error.reason(), error.to_string())
            .retry_after(error.retry_after());
        if let Error::Field(wrong) = &error {
            outward = outward.with("field", wrong.field);
        }
        status::of(&outward)
    }
}
