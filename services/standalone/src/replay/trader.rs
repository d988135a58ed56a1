//! An account of the replay: a stream of orders in, and what the API shows of them and of the book.

use anyhow::{Context as _, Result, bail};
use futures::channel::mpsc;
use futures::{SinkExt as _, StreamExt as _};
use prepx_domain::{OrderId, decimal};
use prepx_proto::market_data::v1 as data;
use prepx_proto::market_data::v1::stock_data_service_client::StockDataServiceClient;
use prepx_proto::portfolio::v1 as portfolio;
use prepx_proto::portfolio::v1::portfolio_service_client::PortfolioServiceClient;
use prepx_proto::trading::v1 as trading;
use prepx_proto::trading::v1::order_command::Action;
use prepx_proto::trading::v1::trading_service_client::TradingServiceClient;
use tonic::Streaming;

use super::plan::State;
use super::quotes::LiveQuotes;
use super::recording::Level;
use crate::client::{Connection, words};

/// Commands in one batch of the stream.
const BATCH_MAX: usize = 1_000;
/// Quotes on one page.
const PAGE: i32 = 10_000;
/// Decimal places of the stream's prices and quantities.
const SCALE: u32 = 8;
/// The stream's prices in a unit of the recording's.
const PRICE_E8: i64 = 10_000;
const SHARE_E8: i64 = 100_000_000;

/// An account with a stream of orders.
pub struct Trader {
    connection: Connection,
    requests: mpsc::Sender<trading::StreamOrdersRequest>,
    answers: Streaming<trading::StreamOrdersResponse>,
    symbol: String,
    batches: u64,
    commands: u64,
}

/// What a decision was.
pub type Decision = std::result::Result<OrderId, trading::CommandReject>;

/// What an order has traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traded {
    /// Shares.
    pub size: i64,
    /// The average price, dollars × 10^8; 0 before a trade.
    pub price_e8: i64,
    /// Whether it has ended.
    pub ended: bool,
}

impl Trader {
    /// Opens the stream.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn open(connection: Connection, symbol: &str) -> Result<Trader> {
        let (requests, sent) = mpsc::channel(1);
        let mut client = TradingServiceClient::new(connection.peer());
        let answers = client.stream_orders(connection.request(sent)).await;
        Ok(Trader {
            requests,
            answers: answers.map_err(words)?.into_inner(),
            connection,
            symbol: symbol.to_owned(),
            batches: 0,
            commands: 0,
        })
    }

    /// Has actions decided in their order: one durable decision for each.
    ///
    /// # Errors
    /// When the stream has broken.
    pub async fn decide(&mut self, actions: &[Action]) -> Result<Vec<Decision>> {
        let mut decisions = Vec::with_capacity(actions.len());
        for batch in actions.chunks(BATCH_MAX) {
            self.batches += 1;
            let commands = batch.iter().map(|action| {
                self.commands += 1;
                trading::OrderCommand {
                    command_id: self.commands,
                    action: Some(action.clone()),
                }
            });
            let request = trading::StreamOrdersRequest {
                batch_id: self.batches,
                stamped_at_us: 0,
                commands: commands.collect(),
            };
            let closed = "the server ended the order stream";
            self.requests.send(request).await.context(closed)?;
            let answer = self.answers.next().await.context(closed)?.map_err(words)?;
            for result in answer.results {
                decisions.push(decision(result)?);
            }
        }
        Ok(decisions)
    }

    /// A limit order of the instrument.
    pub fn order(
        &self,
        side: prepx_domain::Side,
        at: Level,
        time_in_force: trading::TimeInForce,
    ) -> Action {
        let side = match side {
            prepx_domain::Side::Buy => trading::OrderSide::Buy,
            prepx_domain::Side::Sell => trading::OrderSide::Sell,
        };
        Action::Place(trading::PlaceOrder {
            symbol: self.symbol.clone(),
            side: side.into(),
            r#type: trading::OrderType::Limit.into(),
            time_in_force: time_in_force.into(),
            qty_e8: at.size * SHARE_E8,
            limit_price_e8: at.price * PRICE_E8,
            ..trading::PlaceOrder::default()
        })
    }

    /// When the account was opened, microseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn opened_at_us(&self) -> Result<i64> {
        let request = self.connection.request(portfolio::GetAccountRequest {});
        let mut client = PortfolioServiceClient::new(self.connection.peer());
        let account = client.get_account(request).await.map_err(words)?;
        Ok(account.get_ref().created_at)
    }

    /// What one of the account's orders has traded.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn traded(&self, order: OrderId) -> Result<Traded> {
        let request = self.connection.request(trading::GetOrderRequest {
            order_id: order.to_string(),
            nested: None,
        });
        let mut client = TradingServiceClient::new(self.connection.peer());
        let order = client.get_order(request).await.map_err(words)?.into_inner();
        let price = order.filled_avg_price.as_deref().unwrap_or("0");
        use trading::OrderStatus as Status;
        Ok(Traded {
            size: decimal::parse(&order.filled_qty, SCALE)? / SHARE_E8,
            price_e8: decimal::parse(price, SCALE)?,
            ended: matches!(
                order.status(),
                Status::Filled | Status::Canceled | Status::Expired | Status::Rejected
            ),
        })
    }

    /// Asks for the end of all orders of the account.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn cancel_all(&self) -> Result<()> {
        let request = trading::CancelAllOrdersRequest {};
        let mut client = TradingServiceClient::new(self.connection.peer());
        let asked = client.cancel_all_orders(self.connection.request(request));
        asked.await.map_err(words)?;
        Ok(())
    }

    /// Whether the account has orders that may still trade.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn has_open_orders(&self) -> Result<bool> {
        let request = self.connection.request(trading::GetOrdersRequest {
            limit: Some(1),
            ..trading::GetOrdersRequest::default()
        });
        let mut client = TradingServiceClient::new(self.connection.peer());
        let open = client.get_orders(request).await.map_err(words)?;
        Ok(!open.get_ref().orders.is_empty())
    }

    /// Begins to hear of quotes.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn listen(&self) -> Result<LiveQuotes> {
        LiveQuotes::listen(&self.connection, &self.symbol).await
    }

    /// The latest quote; `None` before the first.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn quote(&self) -> Result<Option<Quote>> {
        let request = self.connection.request(data::GetLatestQuotesRequest {
            symbols: self.symbol.clone(),
            ..data::GetLatestQuotesRequest::default()
        });
        let mut client = StockDataServiceClient::new(self.connection.peer());
        let answer = client.get_latest_quotes(request).await.map_err(words)?;
        let quote = answer.get_ref().quotes.get(&self.symbol);
        quote.map(Quote::read).transpose()
    }

    /// All quotes after a time, in their order: the last of each millisecond.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn quotes(&self, after_us: i64) -> Result<Vec<Quote>> {
        let mut client = StockDataServiceClient::new(self.connection.peer());
        let (mut quotes, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = self.connection.request(data::GetQuotesRequest {
                symbols: self.symbol.clone(),
                start: Some(after_us + 1),
                limit: Some(PAGE),
                sort: trading::Sort::Asc.into(),
                page_token,
                ..data::GetQuotesRequest::default()
            });
            let answer = client
                .get_quotes(request)
                .await
                .map_err(words)?
                .into_inner();
            for quote in answer
                .quotes
                .get(&self.symbol)
                .iter()
                .flat_map(|list| &list.quotes)
            {
                quotes.push(Quote::read(quote)?);
            }
            match answer.next_page_token {
                Some(next) if !next.is_empty() => page_token = next,
                _ => return Ok(quotes),
            }
        }
    }
}

/// The best of the engine's book since a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Microseconds since 1970, UTC.
    pub at_us: i64,
    /// The best bid and ask.
    pub state: State,
}

impl Quote {
    /// From what the API shows. A size of 0 stands for an empty side.
    ///
    /// # Errors
    /// When a price or a size is no number.
    pub fn read(quote: &data::Quote) -> Result<Quote> {
        let level = |price: &str, size: &str| -> Result<Option<Level>> {
            let level = Level {
                price: decimal::parse(price, SCALE)? / PRICE_E8,
                size: decimal::parse(size, SCALE)? / SHARE_E8,
            };
            Ok(Some(level).filter(|level| level.size > 0))
        };
        Ok(Quote {
            at_us: quote.timestamp,
            state: [
                level(&quote.bid_price, &quote.bid_size)?,
                level(&quote.ask_price, &quote.ask_size)?,
            ],
        })
    }
}

fn decision(result: trading::CommandResult) -> Result<Decision> {
    use trading::command_result::Outcome;
    match result.outcome {
        Some(Outcome::OrderId(raw)) => {
            let order = i64::try_from(raw).ok().and_then(OrderId::new);
            Ok(Ok(
                order.with_context(|| format!("{raw} is no order's number"))?
            ))
        }
        Some(Outcome::Reject(reject)) => Ok(Err(reject)),
        None => bail!("the server decided nothing on a command"),
    }
}

/// The new total of an order, as the stream takes it.
pub fn shrunk(order: OrderId, total: i64) -> Action {
    Action::Replace(trading::ReplaceOrder {
        order_id: order.raw().unsigned_abs(),
        qty_e8: total * SHARE_E8,
        ..trading::ReplaceOrder::default()
    })
}

/// The end of an order.
pub fn canceled(order: OrderId) -> Action {
    let order_id = order.raw().unsigned_abs();
    Action::Cancel(trading::CancelOrder { order_id })
}

/// A recorded price as orders show it.
pub fn price_e8(price: i64) -> i64 {
    price * PRICE_E8
}
