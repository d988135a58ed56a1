//! An instrument and accounts with enough of everything, made as an operator makes them.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use prepx_proto::portfolio::v1::DepositRequest;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient as Portfolio;
use prepx_proto::trading::v1::admin_service_client::AdminServiceClient as Trading;
use prepx_proto::trading::v1::{AddInstrumentRequest, AssetClass, OrderSide, TradingCalendar};
use prepx_proto::user::v1::AddAccountRequest;
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

/// Where the load goes.
pub struct Market {
    pub url: String,
    pub symbol: String,
    pub traders: Vec<Trader>,
}

/// An account of the load: it only ever trades one way, so that it never meets itself.
#[derive(Clone)]
pub struct Trader {
    pub key: Key,
    pub side: OrderSide,
}

#[derive(Clone)]
pub struct Key {
    pub id: MetadataValue<Ascii>,
    pub secret: MetadataValue<Ascii>,
}

impl Key {
    fn new(id: &str, secret: &str) -> Result<Key> {
        Ok(Key {
            id: id.parse()?,
            secret: secret.parse()?,
        })
    }

    pub fn sign<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("apca-api-key-id", self.id.clone());
        request
            .metadata_mut()
            .insert("apca-api-secret-key", self.secret.clone());
        request
    }
}

impl Market {
    /// By the key of an operator that the environment has, or that of `--dev`.
    pub async fn make(url: &str, accounts: usize) -> Result<Market> {
        let told = |name, of_dev: &str| env::var(name).unwrap_or_else(|_| of_dev.to_owned());
        let operator = Key::new(
            &told("PREPX_KEY_ID", "operator"),
            &told("PREPX_SECRET_KEY", "operator-secret"),
        )?;
        let channel = connect(url).await?;
        let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let symbol = format!("L{}", run % 1_000_000_000);
        let add = AddInstrumentRequest {
            symbol: symbol.clone(),
            class: AssetClass::UsEquity.into(),
            tick_size: "0.01".into(),
            lot_size: "0.001".into(),
            calendar: TradingCalendar::Always.into(),
            reference_price: Some("100".into()),
            ..AddInstrumentRequest::default()
        };
        Trading::new(channel.clone())
            .add_instrument(operator.sign(add))
            .await?;
        let mut traders = Vec::new();
        for number in 0..accounts {
            let email = format!("load-{run}-{number}@example.com");
            let add = operator.sign(AddAccountRequest {
                email,
                simulated: false,
            });
            let made = UserServiceClient::new(channel.clone())
                .add_account(add)
                .await?
                .into_inner();
            let side = if number % 2 == 0 {
                OrderSide::Buy
            } else {
                OrderSide::Sell
            };
            let asset = if side == OrderSide::Buy {
                "USD"
            } else {
                symbol.as_str()
            };
            let deposit = DepositRequest {
                account_id: made.account_id,
                asset: asset.to_owned(),
                amount: "100000000".into(),
                idempotency_key: "load".into(),
            };
            Portfolio::new(channel.clone())
                .deposit(operator.sign(deposit))
                .await?;
            traders.push(Trader {
                key: Key::new(&made.key_id, &made.secret_key)?,
                side,
            });
        }
        Ok(Market {
            url: url.to_owned(),
            symbol,
            traders,
        })
    }
}

pub async fn connect(url: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?
        .tcp_nodelay(true)
        .connect()
        .await?)
}
