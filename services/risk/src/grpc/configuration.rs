//! What owners set for their accounts, over gRPC. Only `suspend_trade` can be changed: the other
//! settings have one value that is true here, and every other value is refused.

use prepx_domain::decimal;
use prepx_domain::view::AccountView;
use prepx_proto::risk::v1 as wire;
use prepx_proto::risk::v1::configuration_service_server::ConfigurationService;
use prepx_runtime::status::invalid;
use tonic::{Request, Response, Status};

use super::{Handler, SCALE};

/// How much more than its cash a cash account may buy.
const MULTIPLIER: &str = "1";
/// When day trades are checked, as new accounts of the public API have it.
const DAY_TRADE_CHECK: &str = "entry";
/// Why nobody chooses that.
const MARGIN_CHECK: &str =
    "must be entry: the check is of margin accounts, and this is a cash account";

#[tonic::async_trait]
impl ConfigurationService for Handler {
    async fn get_account_configurations(
        &self,
        request: Request<wire::GetAccountConfigurationsRequest>,
    ) -> Result<Response<wire::AccountConfigurations>, Status> {
        let account = prepx_auth::account(&request)?;
        Ok(Response::new(show(&self.0.account(account).await?)))
    }

    async fn update_account_configurations(
        &self,
        request: Request<wire::UpdateAccountConfigurationsRequest>,
    ) -> Result<Response<wire::AccountConfigurations>, Status> {
        let account = prepx_auth::account(&request)?;
        let wanted = request.get_ref();
        check(wanted)?;
        let view = match wanted.suspend_trade {
            Some(suspended) => self.0.set_suspended(account, suspended).await?,
            None => self.0.account(account).await?,
        };
        Ok(Response::new(show(&view)))
    }
}

fn show(view: &AccountView) -> wire::AccountConfigurations {
    wire::AccountConfigurations {
        fractional_trading: true,
        max_margin_multiplier: MULTIPLIER.to_owned(),
        no_shorting: true,
        suspend_trade: view.suspended,
        trade_confirm_email: wire::TradeConfirmEmail::None.into(),
        ptp_no_exception_entry: false,
        max_options_trading_level: 0,
        dtbp_check: DAY_TRADE_CHECK.to_owned(),
        pdt_check: DAY_TRADE_CHECK.to_owned(),
    }
}

/// Refuses every setting that would not be kept.
fn check(wanted: &wire::UpdateAccountConfigurationsRequest) -> Result<(), Status> {
    let multiplier = wanted.max_margin_multiplier.as_deref();
    let is_other_check = |wanted: &Option<String>| {
        let wanted = wanted.as_deref().unwrap_or_default();
        !wanted.is_empty() && wanted != DAY_TRADE_CHECK
    };
    let settings = [
        (
            "fractional_trading",
            wanted.fractional_trading == Some(false),
            "must be true: quantities go down to the lot of the instrument",
        ),
        (
            "max_margin_multiplier",
            multiplier.is_some_and(|text| !is_one(text)),
            "must be 1: this is a cash account, nothing is borrowed",
        ),
        (
            "no_shorting",
            wanted.no_shorting == Some(false),
            "must be true: this is a cash account, nothing is sold short",
        ),
        (
            "trade_confirm_email",
            wanted.trade_confirm_email() == wire::TradeConfirmEmail::All,
            "must be none: no mail is sent",
        ),
        (
            "ptp_no_exception_entry",
            wanted.ptp_no_exception_entry == Some(true),
            "must be false: no publicly traded partnerships are listed here",
        ),
        (
            "max_options_trading_level",
            wanted.max_options_trading_level.unwrap_or(0) != 0,
            "must be 0: no options are listed here",
        ),
        (
            "dtbp_check",
            is_other_check(&wanted.dtbp_check),
            MARGIN_CHECK,
        ),
        ("pdt_check", is_other_check(&wanted.pdt_check), MARGIN_CHECK),
    ];
    match settings.iter().find(|(_, refused, _)| *refused) {
        Some((field, _, why)) => Err(invalid(field, format!("{field} {why}"))),
        None => Ok(()),
    }
}

fn is_one(text: &str) -> bool {
    decimal::parse(text, SCALE) == Ok(decimal::power_of_ten(SCALE))
}
