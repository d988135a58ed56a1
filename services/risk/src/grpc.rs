//! The controls of accounts over gRPC: decode, call the use case, encode.

mod configuration;

use std::sync::Arc;

use prepx_domain::message::Limits;
use prepx_domain::view::AccountView;
use prepx_domain::{AccountId, Code, FieldError, OrderId, Reject, decimal, text};
use prepx_proto::risk::v1 as wire;
use prepx_proto::risk::v1::admin_service_server::AdminService;
use prepx_runtime::status::{self, invalid};
use tonic::{Request, Response, Status};

use crate::app::{App, Error};

/// Decimal places of quantities and money in limits.
const SCALE: u32 = 8;
/// The longest reason.
const REASON_CHARS_MAX: usize = 1_000;

/// The services of this crate over one application.
pub struct Handler(pub Arc<App>);

#[tonic::async_trait]
impl AdminService for Handler {
    async fn get_account_controls(
        &self,
        request: Request<wire::GetAccountControlsRequest>,
    ) -> Result<Response<wire::AccountControls>, Status> {
        let account = account_id(&request.get_ref().account_id)?;
        Ok(Response::new(show(&self.0.account(account).await?)))
    }

    async fn set_kill_switch(
        &self,
        request: Request<wire::SetKillSwitchRequest>,
    ) -> Result<Response<wire::AccountControls>, Status> {
        let wanted = request.into_inner();
        let account = account_id(&wanted.account_id)?;
        let view = self
            .0
            .set_blocked(account, wanted.blocked, wanted.cancel_orders)
            .await?;
        Ok(Response::new(show(&view)))
    }

    async fn set_account_limits(
        &self,
        request: Request<wire::SetAccountLimitsRequest>,
    ) -> Result<Response<wire::AccountControls>, Status> {
        let wanted = request.into_inner();
        let account = account_id(&wanted.account_id)?;
        let limits = read_limits(&wanted.limits.unwrap_or_default())?;
        Ok(Response::new(show(
            &self.0.set_limits(account, limits).await?,
        )))
    }

    async fn end_order(
        &self,
        request: Request<wire::EndOrderRequest>,
    ) -> Result<Response<wire::EndOrderResponse>, Status> {
        let wanted = request.into_inner();
        let order = order_id(&wanted.order_id)?;
        let reason = wanted.reason.trim();
        text::check(reason, 1..=REASON_CHARS_MAX)
            .map_err(|error| invalid("reason", format!("reason {error}")))?;
        self.0.end_order(order, reason.to_owned()).await?;
        Ok(Response::new(wire::EndOrderResponse {
            order_id: wanted.order_id,
        }))
    }
}

fn account_id(text: &str) -> Result<AccountId, Status> {
    let account = AccountId::parse("account_id", text).map_err(wrong)?;
    account.ok_or_else(|| {
        let message = format!("account not found for {text}");
        status::of(&status::Error::new(
            Code::NotFound,
            "UNKNOWN_ACCOUNT",
            message,
        ))
    })
}

fn order_id(text: &str) -> Result<OrderId, Status> {
    let order = OrderId::parse("order_id", text).map_err(wrong)?;
    order.ok_or_else(|| Error::Rejected(Reject::UnknownOrder).into())
}

fn wrong(error: FieldError) -> Status {
    invalid(error.field, error.message)
}

/// Limits from their message; what is absent is without limit.
fn read_limits(limits: &wire::Limits) -> Result<Limits, Status> {
    let amount = |field: &'static str, text: &Option<String>| match text {
        None => Ok(i64::MAX),
        Some(text) => match decimal::parse(text, SCALE) {
            Ok(minor) if minor >= 0 => Ok(minor),
            Ok(_) => Err(invalid(
                field,
                format!("{field} is {text}: it must be 0 or above"),
            )),
            Err(error) => Err(invalid(field, format!("{field}: {error}"))),
        },
    };
    Ok(Limits {
        order_qty_minor: amount("order_qty", &limits.order_qty)?,
        order_notional_minor: amount("order_notional", &limits.order_notional)?,
        open_orders: limits.open_orders.unwrap_or(u32::MAX),
        position_minor: amount("position", &limits.position)?,
    })
}

fn show(view: &AccountView) -> wire::AccountControls {
    let amount = |minor| (minor != i64::MAX).then(|| decimal::format(minor, SCALE));
    wire::AccountControls {
        account_id: view.account.to_string(),
        blocked: view.blocked,
        limits: Some(wire::Limits {
            order_qty: amount(view.limits.order_qty_minor),
            order_notional: amount(view.limits.order_notional_minor),
            open_orders: (view.limits.open_orders != u32::MAX).then_some(view.limits.open_orders),
            position: amount(view.limits.position_minor),
        }),
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        let outward = status::Error::new(error.code(), error.reason(), error.to_string());
        status::of(&outward.retry_after(error.retry_after()))
    }
}
