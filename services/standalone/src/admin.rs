//! `prepx admin`: what operators do, through the API like everybody else.

use anyhow::{Context as _, Result};
use prepx_env::Random;
use prepx_proto::portfolio::v1 as portfolio;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient as PortfolioClient;
use prepx_proto::risk::v1 as risk;
use prepx_proto::risk::v1::admin_service_client::AdminServiceClient as RiskClient;
use prepx_proto::trading::v1 as trading;
use prepx_proto::trading::v1::admin_service_client::AdminServiceClient as TradingClient;
use prepx_proto::user::v1 as user;
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use serde_json::{Value, json};

use crate::cli::Switch;
use crate::cli::admin::{
    AccountAction, Action, Admin, Amount, Calendar, Class, InstrumentAction, InstrumentAdd,
    OrderAction,
};
use crate::client::{self, Connection, words};

/// Carries out an operator's command and prints what came of it.
///
/// # Errors
/// When the server refuses it or cannot be reached.
pub fn run(admin: Admin) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let Done { shown, whole } = runtime.block_on(async {
        let connection = admin.target.connection()?;
        act(&connection, admin.action).await
    })?;
    if admin.json {
        println!("{shown}");
    } else {
        print_plainly(&shown);
    }
    whole
}

/// What was done, and whether all of it was: what there is of it is shown also when the rest failed.
struct Done {
    shown: Value,
    whole: Result<()>,
}

impl From<Value> for Done {
    fn from(shown: Value) -> Done {
        let whole = Ok(());
        Done { shown, whole }
    }
}

async fn act(to: &Connection, action: Action) -> Result<Done> {
    match action {
        Action::Instrument(InstrumentAction::Add(wanted)) => {
            Ok(add_instrument(to, wanted).await?.into())
        }
        Action::Instrument(InstrumentAction::List) => {
            let request = to.request(trading::GetInstrumentsRequest {});
            let answer = TradingClient::new(to.peer()).get_instruments(request).await;
            let instruments = answer.map_err(words)?.into_inner().instruments;
            let shown: Result<Vec<Value>> = instruments.iter().map(show_instrument).collect();
            Ok(Value::Array(shown?).into())
        }
        Action::Account(AccountAction::Add { email, deposit }) => {
            add_account(to, email, deposit).await
        }
        Action::Deposit { account, amounts } => {
            let mut transfers = Vec::new();
            let whole = pay_all_in(to, &account, amounts, &mut transfers).await;
            let shown = Value::Array(transfers);
            Ok(Done { shown, whole })
        }
        Action::Order(OrderAction::End { id, reason }) => {
            let order_id = id;
            let request = to.request(risk::EndOrderRequest { order_id, reason });
            let answer = RiskClient::new(to.peer()).end_order(request).await;
            let asked = answer.map_err(words)?.into_inner();
            Ok(json!({"order_id": asked.order_id}).into())
        }
        Action::Halt { symbol } => {
            let request = to.request(trading::HaltInstrumentRequest {
                symbol,
                note: String::new(),
            });
            let answer = TradingClient::new(to.peer()).halt_instrument(request).await;
            Ok(show_instrument(answer.map_err(words)?.get_ref())?.into())
        }
        Action::Resume { symbol } => {
            let request = to.request(trading::ResumeInstrumentRequest {
                symbol,
                note: String::new(),
            });
            let answer = TradingClient::new(to.peer())
                .resume_instrument(request)
                .await;
            Ok(show_instrument(answer.map_err(words)?.get_ref())?.into())
        }
        Action::KillSwitch {
            account,
            state,
            cancel_orders,
        } => {
            let request = to.request(risk::SetKillSwitchRequest {
                account_id: account,
                blocked: state == Switch::On,
                cancel_orders,
            });
            let answer = RiskClient::new(to.peer()).set_kill_switch(request).await;
            let controls = answer.map_err(words)?.into_inner();
            Ok(json!({"account_id": controls.account_id, "blocked": controls.blocked}).into())
        }
    }
}

async fn add_instrument(to: &Connection, wanted: InstrumentAdd) -> Result<Value> {
    let class = match wanted.class {
        Class::UsEquity => trading::AssetClass::UsEquity,
        Class::Crypto => trading::AssetClass::Crypto,
    };
    let calendar = match wanted.calendar {
        None => trading::TradingCalendar::Unspecified,
        Some(Calendar::Always) => trading::TradingCalendar::Always,
        Some(Calendar::Nyse) => trading::TradingCalendar::Nyse,
    };
    let request = to.request(trading::AddInstrumentRequest {
        symbol: wanted.symbol,
        name: String::new(),
        class: class.into(),
        quote: wanted.quote.unwrap_or_default(),
        tick_size: wanted.tick,
        lot_size: wanted.lot,
        calendar: calendar.into(),
        reference_price: wanted.reference_price,
    });
    let answer = TradingClient::new(to.peer()).add_instrument(request).await;
    show_instrument(answer.map_err(words)?.get_ref())
}

async fn add_account(to: &Connection, email: String, deposits: Vec<Amount>) -> Result<Done> {
    let request = to.request(user::AddAccountRequest {
        email,
        simulated: false,
    });
    let answer = UserServiceClient::new(to.peer()).add_account(request).await;
    let made = answer.map_err(words)?.into_inner();
    let paid = pay_all_in(to, &made.account_id, deposits, &mut Vec::new()).await;
    let what = || format!("the account {} is made", made.account_id);
    // The secret is never shown again, so it is shown whatever became of the deposits.
    Ok(Done {
        whole: paid.with_context(what),
        shown: json!({
            "account_id": made.account_id,
            "key_id": made.key_id,
            "secret_key": made.secret_key,
        }),
    })
}

/// One after the other until one fails; `transfers` are those that were made.
async fn pay_all_in(
    to: &Connection,
    account: &str,
    amounts: Vec<Amount>,
    transfers: &mut Vec<Value>,
) -> Result<()> {
    for amount in amounts {
        let what = format!(
            "the deposit of {} {} failed, and none after it was made",
            amount.amount, amount.asset
        );
        transfers.push(pay_in(to, account, amount).await.context(what)?);
    }
    Ok(())
}

async fn pay_in(to: &Connection, account: &str, amount: Amount) -> Result<Value> {
    let request = to.request(portfolio::DepositRequest {
        account_id: account.to_owned(),
        asset: amount.asset,
        amount: amount.amount,
        idempotency_key: Random::from_system().uuid().to_string(),
    });
    let answer = PortfolioClient::new(to.peer()).deposit(request).await;
    let transfer = answer.map_err(words)?.into_inner();
    Ok(json!({"id": transfer.id, "asset": transfer.asset, "amount": transfer.amount}))
}

fn show_instrument(instrument: &trading::Instrument) -> Result<Value> {
    let shown = client::json("prepx.trading.v1.Instrument", instrument)?;
    Ok(serde_json::from_str(&shown)?)
}

/// `name value` lines, a blank line between the items of a list.
pub(crate) fn print_plainly(outcome: &Value) {
    match outcome {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    println!();
                }
                print_plainly(item);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) => println!("{name} {text}"),
                    other => println!("{name} {other}"),
                }
            }
        }
        other => println!("{other}"),
    }
}
