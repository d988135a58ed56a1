//! The command line of `prepx admin`.

use clap::{Args, Subcommand, ValueEnum};
use prepx_domain::decimal;

use super::{Switch, Target};

/// Which platform to operate, and what to do.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prepx admin instrument add --symbol BTC/USD --class crypto --tick 0.01 --lot 0.0001 --reference-price 60000
  prepx admin account add --email bot@example.com --deposit USD=10000 --json
  prepx admin deposit --account 018bcfe5-… USD=500
  prepx admin halt --symbol BTC/USD
  prepx admin kill-switch --account 018bcfe5-… on")]
pub struct Admin {
    /// Which platform, and as whom.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What an operator can do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Add and show instruments.
    #[command(
        subcommand,
        after_help = "Examples:
  prepx admin instrument add --symbol BTC/USD --class crypto --tick 0.01 --lot 0.0001
  prepx admin instrument list"
    )]
    Instrument(InstrumentAction),
    /// Create accounts.
    #[command(
        subcommand,
        after_help = "Examples:
  prepx admin account add --email bot@example.com --deposit USD=10000"
    )]
    Account(AccountAction),
    /// Pay into an account.
    #[command(after_help = "Examples:
  prepx admin deposit --account 018bcfe5-… USD=500
  prepx admin deposit --account 018bcfe5-… USD=500 AAPL=10 --json")]
    Deposit {
        /// UUID of the account.
        #[arg(long = "account", alias = "account-id", value_name = "UUID")]
        account: String,
        /// What to pay in.
        #[arg(required = true, value_name = "ASSET=AMOUNT", value_parser = parse_amount)]
        amounts: Vec<Amount>,
    },
    /// End orders.
    #[command(
        subcommand,
        after_help = "Examples:
  prepx admin order end --id 018bcfe5-… --reason \"lost by a skip, see ticket\""
    )]
    Order(OrderAction),
    /// Halt an instrument: it accepts cancels only.
    #[command(after_help = "Examples:
  prepx admin halt --symbol BTC/USD")]
    Halt {
        /// Its symbol.
        #[arg(long)]
        symbol: String,
    },
    /// Let an instrument trade again.
    #[command(after_help = "Examples:
  prepx admin resume --symbol BTC/USD")]
    Resume {
        /// Its symbol.
        #[arg(long)]
        symbol: String,
    },
    /// Stop an account (it can only cancel), or let it trade again.
    #[command(after_help = "Examples:
  prepx admin kill-switch --account 018bcfe5-… on --cancel-orders
  prepx admin kill-switch --account 018bcfe5-… off")]
    KillSwitch {
        /// UUID of the account.
        #[arg(long = "account", alias = "account-id", value_name = "UUID")]
        account: String,
        /// Whether it is stopped.
        state: Switch,
        /// Cancel its open orders too.
        #[arg(long)]
        cancel_orders: bool,
    },
}

/// What an operator can do with instruments.
#[derive(Debug, Subcommand)]
pub enum InstrumentAction {
    /// Add an instrument. Repeating it with the same values changes nothing.
    Add(InstrumentAdd),
    /// Show all instruments.
    #[command(after_help = "Examples:
  prepx admin instrument list
  prepx admin instrument list --url https://prepx.example.com --json")]
    List,
}

/// An instrument to add.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prepx admin instrument add --symbol BTC/USD --class crypto --tick 0.01 --lot 0.0001 --reference-price 60000
  prepx admin instrument add --symbol AAPL --class us_equity --tick 0.01 --lot 1 --calendar nyse")]
pub struct InstrumentAdd {
    /// AAPL, or BTC/USD for a pair.
    #[arg(long)]
    pub symbol: String,
    /// The asset class.
    #[arg(long)]
    pub class: Class,
    /// The tick size: prices are multiples of it.
    #[arg(long, allow_negative_numbers = true)]
    pub tick: String,
    /// The lot size: quantities are multiples of it.
    #[arg(long, allow_negative_numbers = true)]
    pub lot: String,
    /// The quote asset; by default that of the pair, or USD.
    #[arg(long)]
    pub quote: Option<String>,
    /// When it trades; by default always for crypto, nyse for equities.
    #[arg(long)]
    pub calendar: Option<Calendar>,
    /// The reference price before the first trade.
    #[arg(long, value_name = "PRICE", allow_negative_numbers = true)]
    pub reference_price: Option<String>,
}

/// The kind of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Class {
    /// A share.
    UsEquity,
    /// A crypto pair.
    Crypto,
}

/// When an instrument trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Calendar {
    /// Around the clock.
    Always,
    /// In the sessions of the New York exchange.
    Nyse,
}

/// What an operator can do with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountAction {
    /// Create a user with a trading account and an API key; prints account_id, key_id, secret_key.
    #[command(after_help = "The secret is shown only once.

Examples:
  prepx admin account add --email bot@example.com
  prepx admin account add --email bot@example.com --deposit USD=10000 --deposit AAPL=10 --json")]
    Add {
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
        /// What to pay in right away.
        #[arg(long, value_name = "ASSET=AMOUNT", value_parser = parse_amount)]
        deposit: Vec<Amount>,
    },
}

/// What an operator can do with orders.
#[derive(Debug, Subcommand)]
pub enum OrderAction {
    /// End an order of any account, also one that the market lost through `prepx stage skip`.
    #[command(
        after_help = "The market cancels the order; if the market does not know it, its hold is released all the
same. The reason is in the journal, so the audit chain covers it.

Examples:
  prepx admin order end --id 018bcfe5-… --reason \"lost by a skip, see ticket\""
    )]
    End {
        /// UUID of the order.
        #[arg(long, value_name = "UUID")]
        id: String,
        /// The reason, for readers of the journal; 1 to 1,000 characters.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// An amount of an asset. The server decides whether the number is valid; what is not a positive number is refused here,
/// before anything is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// The asset.
    pub asset: String,
    /// How much, in decimal.
    pub amount: String,
}

/// The most decimal places of an amount.
const AMOUNT_SCALE: u32 = 8;

fn parse_amount(text: &str) -> Result<Amount, String> {
    let (asset, amount) = text
        .split_once('=')
        .filter(|(asset, _)| !asset.is_empty())
        .ok_or_else(|| format!("{text:?} is not ASSET=AMOUNT, such as USD=1000"))?;
    let minor = decimal::parse(amount, AMOUNT_SCALE).map_err(|error| error.to_string())?;
    if minor <= 0 {
        return Err(format!("the amount is {amount}: it must be above 0"));
    }
    Ok(Amount {
        asset: asset.to_owned(),
        amount: amount.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_need_both_halves() {
        let usd = Amount {
            asset: "USD".into(),
            amount: "12.5".into(),
        };
        assert_eq!(parse_amount("USD=12.5"), Ok(usd));
        for wrong in [
            "USD",
            "=1",
            "USD=",
            "USD=one",
            "USD=0",
            "USD=-1",
            "USD=0.000000001",
        ] {
            assert!(parse_amount(wrong).is_err(), "{wrong}");
        }
    }
}
