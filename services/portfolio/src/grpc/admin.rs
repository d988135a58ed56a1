//! The operators' service: money in and out.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt as _};
use prepx_domain::{AccountId, FieldError, Reject, decimal};
use prepx_proto::portfolio::v1 as wire;
use prepx_proto::portfolio::v1::admin_service_server::AdminService;
use tonic::{Request, Response, Status};

use super::{Handler, show};
use crate::domain::transfer::{Direction, Wanted};
use crate::error::Error;
use crate::store::Store;

#[tonic::async_trait]
impl<S: Store + 'static> AdminService for Handler<S> {
    async fn deposit(
        &self,
        request: Request<wire::DepositRequest>,
    ) -> Result<Response<wire::Transfer>, Status> {
        let asked = request.into_inner();
        let wanted = wanted(
            Direction::Incoming,
            &asked.account_id,
            &asked.asset,
            &asked.amount,
        )?;
        self.transferred(wanted, &asked.idempotency_key).await
    }

    async fn withdraw(
        &self,
        request: Request<wire::WithdrawRequest>,
    ) -> Result<Response<wire::Transfer>, Status> {
        let asked = request.into_inner();
        let wanted = wanted(
            Direction::Outgoing,
            &asked.account_id,
            &asked.asset,
            &asked.amount,
        )?;
        self.transferred(wanted, &asked.idempotency_key).await
    }

    async fn audit_books(
        &self,
        _request: Request<wire::AuditBooksRequest>,
    ) -> Result<Response<wire::BooksAudit>, Status> {
        Ok(Response::new(show::audit(&self.0.audit().await?)))
    }

    type CompareTablesStream = BoxStream<'static, Result<wire::CompareTablesResponse, Status>>;

    async fn compare_tables(
        &self,
        _request: Request<wire::CompareTablesRequest>,
    ) -> Result<Response<Self::CompareTablesStream>, Status> {
        let app = Arc::clone(&self.0);
        let compared = async move { Ok(show::tables(app.compare_tables().await?)) };
        Ok(Response::new(stream::once(compared).boxed()))
    }
}

impl<S: Store> Handler<S> {
    /// Moves the money, once per idempotency key.
    async fn transferred(
        &self,
        wanted: Wanted,
        key: &str,
    ) -> Result<Response<wire::Transfer>, Status> {
        let transfer = self.0.transfer(wanted, key).await?;
        Ok(Response::new(show::transfer(&transfer)))
    }
}

fn wanted(
    direction: Direction,
    account_id: &str,
    asset: &str,
    amount: &str,
) -> Result<Wanted, Error> {
    let account = AccountId::parse("account_id", account_id)?;
    let account = account.ok_or(Error::Rejected(Reject::UnknownAccount))?;
    if let Some((base, quote)) = asset.split_once('/') {
        let message = format!("asset is {asset}, a pair: give one of its sides, {base} or {quote}");
        return Err(FieldError::new("asset", message).into());
    }
    let asset = asset
        .parse()
        .map_err(|error| FieldError::new("asset", format!("asset: {error}")))?;
    let amount_minor = decimal::parse(amount, show::AMOUNT_SCALE)
        .map_err(|error| FieldError::new("amount", format!("amount: {error}")))?;
    if amount_minor <= 0 {
        let message = format!("amount is {amount}: it must be above 0");
        return Err(FieldError::new("amount", message).into());
    }
    Ok(Wanted {
        account,
        direction,
        asset,
        amount_minor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_no_asset() {
        let account = AccountId::new(1 << 22).expect("an id").uuid().to_string();
        let error =
            wanted(Direction::Incoming, &account, "BTC/USD", "1").expect_err("it is two assets");
        let said = error.to_string();
        assert!(
            said.contains("asset is BTC/USD, a pair: give one of its sides, BTC or USD"),
            "{said}"
        );
        assert!(wanted(Direction::Incoming, &account, "BTC", "1").is_ok());
    }
}
