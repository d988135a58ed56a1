//! A running PrepX as the replay uses it, through the API alone; and its operator, who lists the
//! instrument, funds the accounts of the replay and halts trading.

use anyhow::{Context as _, Result, ensure};
use prepx_domain::decimal;
use prepx_env::Random;
use prepx_proto::portfolio::v1 as portfolio;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient as PortfolioClient;
use prepx_proto::risk::v1 as risk;
use prepx_proto::risk::v1::admin_service_client::AdminServiceClient as RiskClient;
use prepx_proto::trading::v1 as trading;
use prepx_proto::trading::v1::admin_service_client::AdminServiceClient as TradingAdminClient;
use prepx_proto::user::v1 as user;
use prepx_proto::user::v1::user_service_client::UserServiceClient;

use super::trader::Trader;
use crate::cli;
use crate::client::{Connection, words};

/// The operator.
pub struct Venue {
    to: cli::Target,
    operator: Connection,
    symbol: String,
}

impl Venue {
    /// Connects to a server as an operator, and lists the instrument unless it exists.
    ///
    /// # Errors
    /// When the server refuses or cannot be reached.
    pub async fn reach(to: &cli::Target, symbol: &str, reference: i64) -> Result<Venue> {
        let operator = to.connection()?;
        let venue = Venue {
            to: to.clone(),
            operator,
            symbol: symbol.to_owned(),
        };
        let request = venue.operator.request(trading::GetInstrumentsRequest {});
        let mut client = TradingAdminClient::new(venue.operator.peer());
        let listed = client.get_instruments(request).await.map_err(words)?;
        let listed = listed.into_inner().instruments;
        if let Some(there) = listed.iter().find(|listed| listed.symbol == symbol) {
            ensure!(
                there.class() == trading::AssetClass::UsEquity && there.quote == "USD",
                "{symbol} is no share that is paid in USD, and the recording is of one: give another --symbol"
            );
        } else {
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

    /// A new account with this much money (dollars × 10,000) and this many shares, that may have this many
    /// open orders.
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
        let connection = self.to.connection_as(&made.key_id, &made.secret_key)?;
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

/// A recorded price as a decimal number.
pub fn dollars(price: i64) -> String {
    decimal::format(price, 4)
}
