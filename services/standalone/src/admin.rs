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

use crate::cli::{
    AccountAction, Action, Admin, Amount, Calendar, Class, InstrumentAction, InstrumentAdd,
    OrderAction, Switch,
};
use crate::client::{Connection, words};

/// Carries out an operator's command and prints what came of it.
///
/// # Errors
/// When the server refuses it or cannot be reached.
pub fn run(admin: Admin) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let connection = admin.target.connection()?;
        act(&connection, admin.action).await
    })?;
    if admin.json {
        println!("{outcome}");
    } else {
        print_plainly(&outcome);
    }
    Ok(())
}

async fn act(to: &Connection, action: Action) -> Result<Value> {
    match action {
        Action::Instrument(InstrumentAction::Add(wanted)) => add_instrument(to, wanted).await,
        Action::Instrument(InstrumentAction::List) => {
            let request = to.request(trading::GetInstrumentsRequest {});
            let answer = TradingClient::new(to.peer()).get_instruments(request).await;
            let instruments = answer.map_err(words)?.into_inner().instruments;
            Ok(Value::Array(
                instruments.iter().map(show_instrument).collect(),
            ))
        }
        Action::Account(AccountAction::Add { email, deposit }) => {
            add_account(to, email, deposit).await
        }
        Action::Deposit { account, amounts } => {
            let mut transfers = Vec::new();
            for amount in amounts {
                transfers.push(pay_in(to, &account, amount).await?);
            }
            Ok(Value::Array(transfers))
        }
        Action::Order(OrderAction::End { id, reason }) => {
            let order_id = id;
            let request = to.request(risk::EndOrderRequest { order_id, reason });
            let answer = RiskClient::new(to.peer()).end_order(request).await;
            let asked = answer.map_err(words)?.into_inner();
            Ok(json!({"order_id": asked.order_id}))
        }
        Action::Halt { symbol } => {
            let request = to.request(trading::HaltInstrumentRequest {
                symbol,
                note: String::new(),
            });
            let answer = TradingClient::new(to.peer()).halt_instrument(request).await;
            Ok(show_instrument(answer.map_err(words)?.get_ref()))
        }
        Action::Resume { symbol } => {
            let request = to.request(trading::ResumeInstrumentRequest {
                symbol,
                note: String::new(),
            });
            let answer = TradingClient::new(to.peer())
                .resume_instrument(request)
                .await;
            Ok(show_instrument(answer.map_err(words)?.get_ref()))
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
            Ok(json!({"account_id": controls.account_id, "blocked": controls.blocked}))
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
    Ok(show_instrument(answer.map_err(words)?.get_ref()))
}

async fn add_account(to: &Connection, email: String, deposits: Vec<Amount>) -> Result<Value> {
    let request = to.request(user::AddAccountRequest {
        email,
        simulated: false,
    });
    let answer = UserServiceClient::new(to.peer()).add_account(request).await;
    let made = answer.map_err(words)?.into_inner();
    for deposit in deposits {
        let what = format!(
            "the account {} is made, but a deposit failed",
            made.account_id
        );
        pay_in(to, &made.account_id, deposit).await.context(what)?;
    }
    Ok(json!({
        "account_id": made.account_id,
        "key_id": made.key_id,
        "secret_key": made.secret_key,
    }))
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

fn show_instrument(instrument: &trading::Instrument) -> Value {
    json!({
        "id": instrument.id,
        "symbol": instrument.symbol,
        "tick_size": instrument.tick_size,
        "lot_size": instrument.lot_size,
        "reference_price": instrument.reference_price,
        "halted": instrument.halted,
    })
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
