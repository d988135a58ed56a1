//! The simulated traders' accounts, instruments and open quotes.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use prepx_auth::ApiKey;
use prepx_domain::{Side, decimal};
use prepx_proto::portfolio::v1 as portfolio;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient as PortfolioClient;
use prepx_proto::trading::v1 as trading;
use prepx_proto::trading::v1::admin_service_client::AdminServiceClient as TradingAdminClient;
use prepx_proto::trading::v1::trading_service_client::TradingServiceClient;
use prepx_proto::user::v1 as user;
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use serde::{Deserialize, Serialize};
use tonic::Code;

use super::population::{Action, Market};
use super::{Deps, keys_file};
use crate::client::{Connection, words};

/// Traders who quote.
pub const MAKERS: usize = 4;
/// Traders who take.
pub const TAKERS: usize = 8;
const SCALE: u32 = 8;
/// Names that are tried for one trader, should a start have died between a user and its key.
const NAMES_MAX: u32 = 8;

struct Listed {
    symbol: &'static str,
    class: trading::AssetClass,
    lot: &'static str,
    reference: &'static str,
    usual_lots: i64,
    /// What each trader begins with.
    endowment: &'static str,
}

const fn listed(
    symbol: &'static str,
    class: trading::AssetClass,
    (lot, usual_lots): (&'static str, i64),
    reference: &'static str,
    endowment: &'static str,
) -> Listed {
    Listed {
        symbol,
        class,
        lot,
        reference,
        usual_lots,
        endowment,
    }
}

const TICK: &str = "0.01";
const CASH: (&str, &str) = ("USD", "20000000");
const INSTRUMENTS: [Listed; 5] = {
    use trading::AssetClass::{Crypto, UsEquity};
    [
        listed("BTC/USD", Crypto, ("0.0001", 500), "60000", "100"),
        listed("ETH/USD", Crypto, ("0.001", 500), "3000", "2000"),
        listed("AAPL", UsEquity, ("1", 20), "200", "20000"),
        listed("MSFT", UsEquity, ("1", 10), "400", "10000"),
        listed("SPY", UsEquity, ("1", 10), "500", "10000"),
    ]
};

/// One trader, as its key is kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Known {
    account_id: String,
    key_id: String,
    secret_key: String,
}

#[derive(Default, Deserialize, Serialize)]
struct KnownTraders {
    traders: Vec<Known>,
}

/// The traders, ready to act.
pub struct Traders {
    connections: Vec<Connection>,
    markets: Vec<Market>,
    /// The order that is each quote now: trader, market, side, level.
    quotes: HashMap<(usize, usize, Side, usize), String>,
}

impl Traders {
    /// Lists what is not listed, opens the accounts that are not open, and cancels what they left
    /// behind.
    ///
    /// # Errors
    /// When a service refuses, or the file of keys cannot be used.
    pub async fn open(deps: &Deps) -> Result<Traders> {
        let operator = Connection::local(&deps.peer, &deps.operator)?;
        let markets = list(&operator).await?;
        let path = keys_file(&deps.data_dir);
        let mut known = read(&path)?;
        let mut connections = Vec::new();
        for number in 0..MAKERS + TAKERS {
            if known.traders.len() <= number {
                known.traders.push(add(&operator, number).await?);
                write(&path, &known)?;
            }
            let trader = &known.traders[number];
            endow(&operator, &trader.account_id).await?;
            let key = ApiKey {
                key_id: trader.key_id.clone(),
                secret: trader.secret_key.clone(),
            };
            let connection = Connection::local(&deps.peer, &key)?;
            let request = connection.request(trading::CancelAllOrdersRequest {});
            let mut orders = TradingServiceClient::new(connection.peer());
            orders.cancel_all_orders(request).await.map_err(words)?;
            connections.push(connection);
        }
        Ok(Traders {
            connections,
            markets,
            quotes: HashMap::new(),
        })
    }

    /// The instruments as they stand.
    pub fn markets(&self) -> Vec<Market> {
        self.markets.clone()
    }

    /// Carries out an action. What the market refuses is no error: a trader may be out of money.
    ///
    /// # Errors
    /// When a trader's key is not taken any more.
    pub async fn carry_out(&mut self, action: Action) -> Result<()> {
        let connection = &self.connections[action.trader];
        let mut orders = TradingServiceClient::new(connection.peer());
        let place = |level: usize| (action.trader, action.market, action.side, level);
        if let Some(order_id) = action
            .level
            .and_then(|level| self.quotes.remove(&place(level)))
        {
            let request = connection.request(trading::CancelOrderRequest { order_id });
            if let Err(refusal) = orders.cancel_order(request).await {
                refused(&refusal)?;
            }
        }
        match orders
            .submit_order(connection.request(order(&action)?))
            .await
        {
            Ok(order) => {
                if let Some(level) = action.level {
                    self.quotes.insert(place(level), order.into_inner().id);
                }
                Ok(())
            }
            Err(refusal) => refused(&refusal),
        }
    }
}

fn refused(refusal: &tonic::Status) -> Result<()> {
    if matches!(
        refusal.code(),
        Code::Unauthenticated | Code::PermissionDenied
    ) {
        bail!("a simulated trader is not let in: {}", refusal.message());
    }
    tracing::debug!(reason = refusal.message(), "a simulated order was refused");
    Ok(())
}

fn order(action: &Action) -> Result<trading::SubmitOrderRequest> {
    let listed = &INSTRUMENTS[action.market];
    let minor = |step: &str, count: i64| -> Result<String> {
        let step = decimal::parse(step, SCALE)?;
        Ok(decimal::format(step.saturating_mul(count), SCALE))
    };
    let (side, time_in_force) = match (action.side, action.level) {
        (Side::Buy, Some(_)) => (trading::OrderSide::Buy, trading::TimeInForce::Gtc),
        (Side::Sell, Some(_)) => (trading::OrderSide::Sell, trading::TimeInForce::Gtc),
        (Side::Buy, None) => (trading::OrderSide::Buy, trading::TimeInForce::Ioc),
        (Side::Sell, None) => (trading::OrderSide::Sell, trading::TimeInForce::Ioc),
    };
    Ok(trading::SubmitOrderRequest {
        symbol: listed.symbol.to_owned(),
        qty: Some(minor(listed.lot, action.qty_lots)?),
        side: side.into(),
        r#type: trading::OrderType::Limit.into(),
        time_in_force: time_in_force.into(),
        limit_price: Some(minor(TICK, action.price_ticks)?),
        ..trading::SubmitOrderRequest::default()
    })
}

/// Lists the instruments unless they are there, whatever their values, and says what they are worth.
async fn list(operator: &Connection) -> Result<Vec<Market>> {
    let mut client = TradingAdminClient::new(operator.peer());
    let request = operator.request(trading::GetInstrumentsRequest {});
    let there = client.get_instruments(request).await.map_err(words)?;
    let there = there.into_inner().instruments;
    let tick = decimal::parse(TICK, SCALE)?;
    let mut markets = Vec::new();
    for listed in &INSTRUMENTS {
        let known = there.iter().find(|known| known.symbol == listed.symbol);
        if known.is_none() {
            let request = operator.request(trading::AddInstrumentRequest {
                symbol: listed.symbol.to_owned(),
                name: format!("{}, simulated", listed.symbol),
                class: listed.class.into(),
                quote: "USD".into(),
                tick_size: TICK.into(),
                lot_size: listed.lot.into(),
                calendar: trading::TradingCalendar::Always.into(),
                reference_price: Some(listed.reference.into()),
            });
            client.add_instrument(request).await.map_err(words)?;
        }
        let last = known.and_then(|known| known.reference_price.as_deref());
        markets.push(Market {
            value_ticks: decimal::parse(last.unwrap_or(listed.reference), SCALE)? / tick,
            usual_lots: listed.usual_lots,
        });
    }
    Ok(markets)
}

async fn add(operator: &Connection, number: usize) -> Result<Known> {
    let mut users = UserServiceClient::new(operator.peer());
    for attempt in 0..NAMES_MAX {
        let again = if attempt == 0 {
            String::new()
        } else {
            format!("-{attempt}")
        };
        let email = format!("sim-{}{again}@simulated.prepx.example", number + 1);
        let request = operator.request(user::AddAccountRequest {
            email,
            simulated: true,
        });
        match users.add_account(request).await {
            Ok(made) => {
                let made = made.into_inner();
                return Ok(Known {
                    account_id: made.account_id,
                    key_id: made.key_id,
                    secret_key: made.secret_key,
                });
            }
            Err(refusal) if refusal.code() == Code::AlreadyExists => {}
            Err(refusal) => return Err(words(refusal)),
        }
    }
    bail!("all names of simulated trader {} are taken", number + 1)
}

/// Pays in what a trader begins with, once for ever.
async fn endow(operator: &Connection, account: &str) -> Result<()> {
    let mut client = PortfolioClient::new(operator.peer());
    let base = |listed: &Listed| {
        let base = listed
            .symbol
            .split_once('/')
            .map_or(listed.symbol, |(base, _)| base);
        (base, listed.endowment)
    };
    for (asset, amount) in INSTRUMENTS.iter().map(base).chain([CASH]) {
        let request = operator.request(portfolio::DepositRequest {
            account_id: account.to_owned(),
            asset: asset.to_owned(),
            amount: amount.to_owned(),
            idempotency_key: format!("simulated-{account}-{asset}"),
        });
        client.deposit(request).await.map_err(words)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<KnownTraders> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).with_context(|| path.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(KnownTraders::default()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Puts the new file in place of the old one whole.
fn write(path: &Path, known: &KnownTraders) -> Result<()> {
    let next = path.with_extension("next");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&next)?;
    file.write_all(toml::to_string(known)?.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&next, path).with_context(|| path.display().to_string())
}
