//! A running PrepX as the replay meets it: through the API alone, as an operator and two traders.

use anyhow::{Context as _, Result, bail};
use futures::channel::mpsc;
use futures::{SinkExt as _, StreamExt as _};

use prepx_domain::{OrderId, decimal};
use prepx_env::Random;
use prepx_proto::market_data::v1 as data;
use prepx_proto::market_data::v1::stock_data_service_client::StockDataServiceClient;
use prepx_proto::portfolio::v1 as portfolio;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient as PortfolioClient;
use prepx_proto::risk::v1 as risk;
use prepx_proto::risk::v1::admin_service_client::AdminServiceClient as RiskClient;
use prepx_proto::trading::v1 as trading;
use prepx_proto::trading::v1::admin_service_client::AdminServiceClient as TradingAdminClient;
use prepx_proto::trading::v1::order_command::Action;
use prepx_proto::trading::v1::trading_service_client::TradingServiceClient;
use prepx_proto::user::v1 as user;
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use tonic::Streaming;

use super::plan::State;
use super::recording::Level;
use crate::cli;
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

/// The operator's part.
pub struct Venue {
    url: String,
    operator: Connection,
    symbol: String,
}

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

impl Venue {
    /// Reaches a server as an operator, and lists the instrument unless it is there.
    ///
    /// # Errors
    /// When the server refuses or cannot be reached.
    pub async fn reach(to: &cli::Target, symbol: &str, reference: i64) -> Result<Venue> {
        let operator = Connection::new(&to.url, &to.key_id, &to.secret_key)?;
        let venue = Venue {
            url: to.url.clone(),
            operator,
            symbol: symbol.to_owned(),
        };
        let request = venue.operator.request(trading::GetInstrumentsRequest {});
        let mut client = TradingAdminClient::new(venue.operator.peer());
        let listed = client.get_instruments(request).await.map_err(words)?;
        let listed = listed.into_inner().instruments;
        if !listed.iter().any(|listed| listed.symbol == symbol) {
            let request = venue.operator.request(trading::AddInstrumentRequest {
                symbol: symbol.to_owned(),
                name: format!("{symbol}, recorded"),
                class: trading::AssetClass::UsEquity.into(),
                quote: "USD".into(),
                tick_size: "0.01".into(),
                lot_size: "1".into(),
                calendar: trading::TradingCalendar::Always.into(),
                reference_price: Some(dollars(reference)),
            });
            client.add_instrument(request).await.map_err(words)?;
        }
        Ok(venue)
    }

    /// A new account with so much money (dollars × 10,000) and so many shares, that may have so many
    /// orders open.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn trader(
        &self,
        money: i64,
        shares: i64,
        open_orders: usize,
        random: &Random,
    ) -> Result<Trader> {
        let request = self.operator.request(user::AddAccountRequest {
            email: format!("{}@replay.prepx.example", random.uuid()),
            simulated: true,
        });
        let mut users = UserServiceClient::new(self.operator.peer());
        let made = users
            .add_account(request)
            .await
            .map_err(words)?
            .into_inner();
        for (asset, amount) in [
            ("USD", dollars(money)),
            (self.symbol.as_str(), shares.to_string()),
        ] {
            self.deposit(&made.account_id, asset, amount, random)
                .await?;
        }
        self.allow(&made.account_id, open_orders).await?;
        let connection = Connection::new(&self.url, &made.key_id, &made.secret_key)?;
        Trader::open(connection, &self.symbol).await
    }

    async fn deposit(
        &self,
        account: &str,
        asset: &str,
        amount: String,
        random: &Random,
    ) -> Result<()> {
        let request = self.operator.request(portfolio::DepositRequest {
            account_id: account.to_owned(),
            asset: asset.to_owned(),
            amount,
            idempotency_key: random.uuid().to_string(),
        });
        let paid = PortfolioClient::new(self.operator.peer())
            .deposit(request)
            .await;
        paid.map_err(words)
            .with_context(|| format!("a deposit of {asset}"))?;
        Ok(())
    }

    /// Raises the limit of open orders if it is too low.
    async fn allow(&self, account: &str, open_orders: usize) -> Result<()> {
        let wanted = u32::try_from(open_orders)?;
        let mut risk = RiskClient::new(self.operator.peer());
        let request = self.operator.request(risk::GetAccountControlsRequest {
            account_id: account.to_owned(),
        });
        let controls = risk.get_account_controls(request).await.map_err(words)?;
        let mut limits = controls.into_inner().limits.unwrap_or_default();
        if limits.open_orders.is_some_and(|limit| limit < wanted) {
            limits.open_orders = Some(wanted);
            let request = self.operator.request(risk::SetAccountLimitsRequest {
                account_id: account.to_owned(),
                limits: Some(limits),
            });
            risk.set_account_limits(request).await.map_err(words)?;
        }
        Ok(())
    }

    /// Stops the instrument, or lets it trade again.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn halt(&self, halted: bool) -> Result<()> {
        let mut client = TradingAdminClient::new(self.operator.peer());
        let (symbol, note) = (self.symbol.clone(), "recorded".to_owned());
        let done = if halted {
            let request = trading::HaltInstrumentRequest { symbol, note };
            client.halt_instrument(self.operator.request(request)).await
        } else {
            let request = trading::ResumeInstrumentRequest { symbol, note };
            client
                .resume_instrument(self.operator.request(request))
                .await
        };
        done.map_err(words)?;
        Ok(())
    }
}

impl Trader {
    async fn open(connection: Connection, symbol: &str) -> Result<Trader> {
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
                start: after_us + 1,
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
    /// A size of 0 stands for an empty side.
    fn read(quote: &data::Quote) -> Result<Quote> {
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

/// A recorded price as a decimal number.
pub fn dollars(price: i64) -> String {
    decimal::format(price, 4)
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
