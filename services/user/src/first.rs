//! The users that a new platform begins with: an operator, and a demo trader with something to trade.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prepx_auth::{ApiKey, Role};
use prepx_domain::AccountId;
use prepx_env::Random;
use prepx_proto::portfolio::v1 as portfolio;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient;
use prepx_runtime::{Drain, Peer, TaskError};
use prepx_store::secret;
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::app::App;
use crate::store::sql::Sql;
use crate::{DEV_KEYS, Error, Result};

/// The file in the data directory with the keys that were drawn.
const FILE_NAME: &str = "keys.toml";
/// What the demo trader begins with.
const DEMO_DEPOSIT_USD: &str = "100000";
const DEMO_DEPOSIT_KEY: &str = "demo-opening-deposit";
/// How long to wait for services that are not there yet.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Makes the keys that a new platform begins with, once accounts can be opened. Several processes may do it
/// at the same time.
pub struct FirstKeys {
    app: Arc<App<Sql>>,
    directory: PathBuf,
    random: Arc<Random>,
}

/// The keys that a platform begins with.
pub struct First {
    /// Of the operator, unless it was revoked.
    pub operator: Option<ApiKey>,
    /// Of the demo trader, unless it was revoked.
    pub demo: Option<ApiKey>,
    /// The demo trader's account.
    demo_account: Option<AccountId>,
    /// What the operator is shown of them: the fixed ones, or the file with the drawn ones.
    pub shown: String,
}

/// The keys that were drawn, as the file has them.
#[derive(Deserialize, Serialize)]
struct Keys {
    operator_key_id: String,
    operator_secret_key: String,
    demo_key_id: String,
    demo_secret_key: String,
}

impl FirstKeys {
    pub(crate) fn new(app: Arc<App<Sql>>, directory: PathBuf, random: Arc<Random>) -> FirstKeys {
        FirstKeys {
            app,
            directory,
            random,
        }
    }

    /// Makes the first users and pays the demo trader's deposit, as soon as the services that it takes are
    /// there. Ends when that is done, or the process ends.
    ///
    /// # Errors
    /// Never: until then it is tried again.
    pub async fn settle(
        self,
        dev: bool,
        portfolio: Peer,
        drain: Drain,
    ) -> std::result::Result<(), TaskError> {
        let settled = async {
            while let Err(why) = self.try_to_settle(dev, &portfolio).await {
                tracing::info!(%why, "the first users wait for other services");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        };
        tokio::select! {
            () = settled => tracing::info!("the first users are there"),
            () = drain.stopping() => {}
        }
        Ok(())
    }

    async fn try_to_settle(
        &self,
        dev: bool,
        portfolio: &Peer,
    ) -> std::result::Result<(), TaskError> {
        // Boxed: with everything behind it, its layers of futures are more than the compiler takes.
        let first = Box::pin(self.ensure(dev)).await?;
        Ok(first.endow_demo(portfolio).await?)
    }

    /// Makes the first users unless they exist: with `dev` those of [`DEV_KEYS`], else with keys that are
    /// drawn once and kept in the data directory, where only the owner of the platform finds them.
    ///
    /// # Errors
    /// When the account stage, the store or the directory cannot be used; it may be tried again.
    pub async fn ensure(&self, dev: bool) -> Result<First> {
        if dev {
            return self.ensure_dev().await;
        }
        let path = self.directory.join(FILE_NAME);
        let keys = read_or_draw(&path, &self.random)?;
        let operator = key(&keys.operator_key_id, &keys.operator_secret_key);
        let demo = key(&keys.demo_key_id, &keys.demo_secret_key);
        let shown = format!("of an operator and a demo trader: {}", path.display());
        let emails = ("operator@prepx.local", "demo@prepx.local");
        self.make(emails, (operator, demo), shown).await
    }

    /// The fixed keys of [`DEV_KEYS`], made unless they exist.
    ///
    /// # Errors
    /// As [`Self::ensure`].
    pub async fn ensure_dev(&self) -> Result<First> {
        let [demo, operator] = DEV_KEYS;
        let shown = format!(
            "trader {} / {}, operator {} / {}",
            demo.key_id, demo.secret, operator.key_id, operator.secret
        );
        let keys = [operator, demo].map(|fixed| key(fixed.key_id, fixed.secret));
        self.make((operator.email, demo.email), keys.into(), shown)
            .await
    }

    async fn make(
        &self,
        (operator_email, demo_email): (&str, &str),
        (operator, demo): (ApiKey, ApiKey),
        shown: String,
    ) -> Result<First> {
        let app = &self.app;
        let of_operator = app.ensure(Role::Operator, operator_email, &operator);
        let operator_is_good = of_operator.await?.is_good;
        let trader = app.ensure(Role::Trader, demo_email, &demo).await?;
        Ok(First {
            operator: operator_is_good.then_some(operator),
            demo: trader.is_good.then_some(demo),
            demo_account: trader.account_id,
            shown,
        })
    }
}

impl First {
    /// Pays the demo trader's opening deposit, once for ever, however often and by whomever it is asked. Nothing is
    /// paid when one of the two first keys is good no more: whoever revoked it has long seen the deposit, or wants none.
    ///
    /// # Errors
    /// When the portfolio service refuses.
    pub async fn endow_demo(&self, portfolio: &Peer) -> std::result::Result<(), Status> {
        let (Some(operator), Some(_), Some(account)) =
            (&self.operator, &self.demo, self.demo_account)
        else {
            tracing::info!(
                operator_key_is_good = self.operator.is_some(),
                demo_key_is_good = self.demo.is_some(),
                "a first key was revoked: the demo trader's opening deposit is left as it is"
            );
            return Ok(());
        };
        let request = operator.sign(portfolio::DepositRequest {
            account_id: account.to_string(),
            asset: "USD".into(),
            amount: DEMO_DEPOSIT_USD.into(),
            idempotency_key: DEMO_DEPOSIT_KEY.into(),
        });
        AdminServiceClient::new(portfolio.clone())
            .deposit(request)
            .await?;
        Ok(())
    }
}

fn key(key_id: &str, secret: &str) -> ApiKey {
    ApiKey {
        key_id: key_id.to_owned(),
        secret: secret.to_owned(),
    }
}

fn read_or_draw(path: &Path, random: &Random) -> Result<Keys> {
    let unusable = |why: String| Error::Fault(format!("the keys in {}: {why}", path.display()));
    let (operator, demo) = (ApiKey::generate(random), ApiKey::generate(random));
    let keys = Keys {
        operator_key_id: operator.key_id,
        operator_secret_key: operator.secret,
        demo_key_id: demo.key_id,
        demo_secret_key: demo.secret,
    };
    let text = toml::to_string(&keys).map_err(|error| unusable(error.to_string()))?;
    let bytes = secret::drawn_once(path, random, || text.into_bytes());
    let bytes = bytes.map_err(|error| unusable(error.to_string()))?;
    toml::from_slice(&bytes).map_err(|error| unusable(error.to_string()))
}
