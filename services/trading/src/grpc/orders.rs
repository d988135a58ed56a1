//! The traders' service: orders, instruments, clock and calendar.

use std::pin::Pin;

use futures::Stream;
use jiff::ToSpan as _;
use prepx_cache::Allowance;
use prepx_domain::update::OrderView;
use prepx_proto::convert;
use prepx_proto::trading::v1 as wire;
use prepx_proto::trading::v1::trading_service_server::TradingService;
use prepx_runtime::status::invalid;
use tonic::{Request, Response, Status, Streaming};

use super::{Handler, decode, stream};
use crate::app::App;

/// No trade takes longer to settle: three business days, a weekend and holidays.
const SETTLEMENT_DAYS_MAX: i32 = 14;

impl Handler {
    async fn show(&self, order: &OrderView) -> Result<wire::Order, Status> {
        let instrument = self.0.instrument(order.symbol.as_str()).await?;
        Ok(convert::order(order, &instrument))
    }
}

#[tonic::async_trait]
impl TradingService for Handler {
    async fn submit_order(
        &self,
        request: Request<wire::SubmitOrderRequest>,
    ) -> Result<Response<wire::Order>, Status> {
        let account = prepx_auth::account(&request)?;
        let request = request.into_inner();
        let form = decode::order_form(&request);
        let order = self.0.place(account, &request.symbol, form).await?;
        Ok(Response::new(self.show(&order).await?))
    }

    async fn get_orders(
        &self,
        request: Request<wire::GetOrdersRequest>,
    ) -> Result<Response<wire::GetOrdersResponse>, Status> {
        let account = prepx_auth::account(&request)?;
        let mut query = decode::order_query(request.get_ref())?;
        let mut orders = Vec::new();
        if let Some(classes) = decode::classes(&request.get_ref().asset_class)? {
            query.symbols = self.0.symbols_of(&classes, &query.symbols).await?;
            if query.symbols.is_empty() {
                return Ok(Response::new(wire::GetOrdersResponse { orders }));
            }
        }
        for order in &self.0.orders(account, &query).await? {
            orders.push(self.show(order).await?);
        }
        Ok(Response::new(wire::GetOrdersResponse { orders }))
    }

    async fn get_order(
        &self,
        request: Request<wire::GetOrderRequest>,
    ) -> Result<Response<wire::Order>, Status> {
        let account = prepx_auth::account(&request)?;
        let id = decode::order_id(&request.get_ref().order_id)?;
        let order = self.0.order(account, id).await?;
        Ok(Response::new(self.show(&order).await?))
    }

    async fn get_order_by_client_order_id(
        &self,
        request: Request<wire::GetOrderByClientOrderIdRequest>,
    ) -> Result<Response<wire::Order>, Status> {
        let account = prepx_auth::account(&request)?;
        let name = &request.get_ref().client_order_id;
        if name.is_empty() {
            return Err(invalid("client_order_id", "client_order_id is required"));
        }
        let order = self.0.order_by_name(account, name).await?;
        Ok(Response::new(self.show(&order).await?))
    }

    async fn replace_order(
        &self,
        request: Request<wire::ReplaceOrderRequest>,
    ) -> Result<Response<wire::Order>, Status> {
        let account = prepx_auth::account(&request)?;
        let request = request.into_inner();
        let old = decode::order_id(&request.order_id)?;
        let order = self
            .0
            .replace(account, old, decode::replace_form(&request))
            .await?;
        Ok(Response::new(self.show(&order).await?))
    }

    async fn cancel_order(
        &self,
        request: Request<wire::CancelOrderRequest>,
    ) -> Result<Response<wire::CancelOrderResponse>, Status> {
        let account = prepx_auth::account(&request)?;
        let order = decode::order_id(&request.get_ref().order_id)?;
        self.0.cancel(account, order).await?;
        Ok(Response::new(wire::CancelOrderResponse {}))
    }

    async fn cancel_all_orders(
        &self,
        request: Request<wire::CancelAllOrdersRequest>,
    ) -> Result<Response<wire::CancelAllOrdersResponse>, Status> {
        let account = prepx_auth::account(&request)?;
        let canceling = self.0.cancel_all(account).await?;
        let result = |id: &prepx_domain::OrderId| wire::CancelOrderResult {
            id: id.to_string(),
            status: 200,
        };
        let results = canceling.iter().map(result).collect();
        Ok(Response::new(wire::CancelAllOrdersResponse { results }))
    }

    type StreamOrdersStream =
        Pin<Box<dyn Stream<Item = Result<wire::StreamOrdersResponse, Status>> + Send>>;

    async fn stream_orders(
        &self,
        request: Request<Streaming<wire::StreamOrdersRequest>>,
    ) -> Result<Response<Self::StreamOrdersStream>, Status> {
        let account = prepx_auth::account(&request)?;
        let allowance = request.extensions().get::<Allowance>().cloned();
        let replies = stream::decide(self.0.clone(), account, allowance, request.into_inner());
        Ok(Response::new(Box::pin(replies)))
    }

    async fn get_clock(
        &self,
        _request: Request<wire::GetClockRequest>,
    ) -> Result<Response<wire::Clock>, Status> {
        let now = self.0.now();
        let reading = self.0.nyse().clock(now);
        Ok(Response::new(wire::Clock {
            timestamp: now.0,
            is_open: reading.is_open,
            next_open: reading.next_open.0,
            next_close: reading.next_close.0,
        }))
    }

    async fn get_calendar(
        &self,
        request: Request<wire::GetCalendarRequest>,
    ) -> Result<Response<wire::GetCalendarResponse>, Status> {
        Ok(Response::new(calendar(&self.0, request.get_ref())?))
    }

    async fn get_assets(
        &self,
        request: Request<wire::GetAssetsRequest>,
    ) -> Result<Response<wire::GetAssetsResponse>, Status> {
        let query = request.into_inner();
        let views = self.0.assets().await?;
        let assets = views
            .iter()
            .map(convert::asset)
            .filter(|asset| shows(&query, asset))
            .collect();
        Ok(Response::new(wire::GetAssetsResponse { assets }))
    }

    async fn get_asset(
        &self,
        request: Request<wire::GetAssetRequest>,
    ) -> Result<Response<wire::Asset>, Status> {
        let view = self.0.asset(&request.get_ref().symbol_or_id).await?;
        Ok(Response::new(convert::asset(&view)))
    }
}

fn shows(query: &wire::GetAssetsRequest, asset: &wire::Asset) -> bool {
    let status = query.status();
    let class = query.asset_class();
    (status == wire::AssetStatus::Unspecified || status == asset.status())
        && (class == wire::AssetClass::Unspecified || class == asset.class())
        && (query.exchange.is_empty() || query.exchange == asset.exchange)
        && query.attributes.is_empty()
}

fn calendar(
    app: &App,
    request: &wire::GetCalendarRequest,
) -> Result<wire::GetCalendarResponse, Status> {
    let nyse = app.nyse();
    let Some(known) = nyse.range() else {
        return Ok(wire::GetCalendarResponse { days: Vec::new() });
    };
    let (first, last) = decode::days(request, known)?;
    // What settles on a day has traded in the days before.
    let by_settlement = request.date_type() == wire::CalendarDateType::Settlement;
    let earliest = if by_settlement {
        first
            .saturating_sub(SETTLEMENT_DAYS_MAX.days())
            .max(known.0)
    } else {
        first
    };
    let sessions = nyse.sessions(earliest, last).filter(|session| {
        !by_settlement || (first..=last).contains(&nyse.settlement(session.date))
    });
    let days = sessions.map(|session| wire::CalendarDay {
        date: session.date.to_string(),
        open: session.open.strftime("%H:%M").to_string(),
        close: session.close.strftime("%H:%M").to_string(),
        session_open: session.extended_open.strftime("%H%M").to_string(),
        session_close: session.extended_close.strftime("%H%M").to_string(),
        settlement_date: nyse.settlement(session.date).to_string(),
    });
    Ok(wire::GetCalendarResponse {
        days: days.collect(),
    })
}
