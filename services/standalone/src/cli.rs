//! The command line of `prepx`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use prepx_domain::decimal;
use prepx_platform::DATA_DIR;
use prepx_runtime::config;

use crate::client::{Believed, Connection};
use crate::dead_letters::DeadLetters;
use crate::replay::Replay;
use crate::schemas::Schemas;
use crate::shadow::Shadow;
use crate::stage::Stage;
use crate::topics::Topics;
use crate::verify::Verify;

/// A trading platform that its owner runs. Bots that speak the Alpaca API trade on it unchanged.
#[derive(Debug, Parser)]
#[command(
    name = "prepx",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = "Examples:
  prepx start                       serve on 127.0.0.1:8080, data in ./prepx-data
  prepx start --dev --listen 127.0.0.1:0
                                    fixed demo keys, a free port
  prepx admin account add --email me@example.com --deposit USD=10000
  prepx status                      how every part of it is
  prepx verify                      check the books of ./prepx-data

Exit codes: 0 done, 1 it failed, 2 the command line is wrong.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `prepx` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the platform: HTTP, gRPC and WebSocket on one port.
    Start(Start),
    /// Operate a platform that runs.
    Admin(Admin),
    /// Show how every part of a platform that runs is.
    Status(Status),
    /// Live through a recorded market and compare.
    Replay(Replay),
    /// Check that the books are right.
    Verify(Verify),
    /// Decide again what was decided, with this version or another, and show what differs.
    Shadow(Shadow),
    /// Help a partition of a stage over an input that has stopped it.
    Stage(Stage),
    /// Look at what could not be delivered, have it tried again or forget it.
    DeadLetters(DeadLetters),
    /// Show and make the topics of the event log on Apache Kafka.
    Topics(Topics),
    /// Bring the tables of all services up to date.
    Schemas(Schemas),
}

/// How to run the platform.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints `ready http://HOST:PORT` (https with `public_tls`) on stdout when it serves. SIGTERM
drains: what is under way is answered, then it ends with 0.

Examples:
  prepx start
  prepx start --dev --data-dir /tmp/prepx --listen 127.0.0.1:0
  PREPX_LISTEN=0.0.0.0:8080 prepx start --config prepx.toml"
)]
pub struct Start {
    /// Fixed keys for development (trader demo/demo-secret, operator operator/operator-secret);
    /// loopback only.
    #[arg(long)]
    pub dev: bool,
    /// Where data is kept; created when it is not there.
    #[arg(long, value_name = "DIR", help = format!("Where data is kept; made when it is not there [default: {DATA_DIR}]"))]
    pub data_dir: Option<PathBuf>,
    /// Where to listen; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", value_parser = config::address)]
    pub listen: Option<std::net::SocketAddr>,
    /// Whether a population of simulated traders keeps a market alive.
    #[arg(long, value_name = "on|off")]
    pub simulate: Option<Switch>,
    /// Settings in TOML; flags and PREPX_* variables come before them.
    #[arg(long, env = "PREPX_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

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

/// Which platform to look at.
#[derive(Debug, Args)]
#[command(
    after_help = "Every process, who owns which partition of the stages under which epoch, and how far the lanes
between them and the consumers of the event log are behind; how many letters of each group are dead,
which `prepx dead-letters` lists. Neither a lag nor a dead letter is a problem by itself; what
is: a process that does not answer, a service of which none takes calls, a partition that nobody
owns. Of the gateways only the one that is asked is shown.

Examples:
  prepx status
  prepx status --url https://prepx.example.com --json

Exit codes: 0 all is well, 1 it is not or nobody answers, 2 the command line is wrong."
)]
pub struct Status {
    /// Which platform, and as whom.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON, as `GET /api/v1/admin/status` has it.
    #[arg(long)]
    pub json: bool,
}

/// A platform that runs, and the operator's key to it.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// Where the platform serves.
    #[arg(
        long,
        env = "PREPX_URL",
        help_heading = "Platform",
        global = true,
        default_value = "http://127.0.0.1:8080"
    )]
    pub url: String,
    /// Whom to believe there.
    #[command(flatten)]
    pub believed: Believed,
    /// An operator's key.
    #[arg(
        long,
        env = "PREPX_KEY_ID",
        help_heading = "Platform",
        global = true,
        default_value = "operator"
    )]
    pub key_id: String,
    /// Its secret; better in the environment than on the command line.
    #[arg(
        long,
        env = "PREPX_SECRET_KEY",
        help_heading = "Platform",
        hide_env_values = true,
        global = true,
        default_value = "operator-secret"
    )]
    pub secret_key: String,
}

impl Target {
    /// A connection of the operator's.
    ///
    /// # Errors
    /// When the URL, the CA or the key is not right.
    pub fn connection(&self) -> anyhow::Result<Connection> {
        self.connection_as(&self.key_id, &self.secret_key)
    }

    /// A connection of somebody else's.
    ///
    /// # Errors
    /// When the URL, the CA or the key is not right.
    pub fn connection_as(&self, key_id: &str, secret_key: &str) -> anyhow::Result<Connection> {
        Connection::new(&self.url, &self.believed.ca, key_id, secret_key)
    }
}

/// What an operator can do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List instruments, and show them.
    #[command(
        subcommand,
        after_help = "Examples:
  prepx admin instrument add --symbol BTC/USD --class crypto --tick 0.01 --lot 0.0001
  prepx admin instrument list"
    )]
    Instrument(InstrumentAction),
    /// Make accounts.
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
    /// Stop an instrument: it takes cancels only.
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

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// What an operator can do with instruments.
#[derive(Debug, Subcommand)]
pub enum InstrumentAction {
    /// List an instrument. Repeating it with the same values changes nothing.
    Add(InstrumentAdd),
    /// Show all instruments.
    #[command(after_help = "Examples:
  prepx admin instrument list
  prepx admin instrument list --url https://prepx.example.com --json")]
    List,
}

/// An instrument to list.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prepx admin instrument add --symbol BTC/USD --class crypto --tick 0.01 --lot 0.0001 --reference-price 60000
  prepx admin instrument add --symbol AAPL --class us_equity --tick 0.01 --lot 1 --calendar nyse")]
pub struct InstrumentAdd {
    /// AAPL, or BTC/USD for a pair.
    #[arg(long)]
    pub symbol: String,
    /// What kind of thing it is.
    #[arg(long)]
    pub class: Class,
    /// Prices are multiples of it.
    #[arg(long)]
    pub tick: String,
    /// Quantities are multiples of it.
    #[arg(long)]
    pub lot: String,
    /// What it is paid with: from the pair, else USD.
    #[arg(long)]
    pub quote: Option<String>,
    /// When it trades: always for crypto, nyse for equities.
    #[arg(long)]
    pub calendar: Option<Calendar>,
    /// The price to start from before the first trade.
    #[arg(long, value_name = "PRICE")]
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
    /// Make a user with a trading account and an API key; prints account_id, key_id, secret_key.
    #[command(after_help = "The secret is shown this once.

Examples:
  prepx admin account add --email bot@example.com
  prepx admin account add --email bot@example.com --deposit USD=10000 --deposit AAPL=10 --json")]
    Add {
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
        /// What to pay in at once.
        #[arg(long, value_name = "ASSET=AMOUNT", value_parser = parse_amount)]
        deposit: Vec<Amount>,
    },
}

/// What an operator can do with orders.
#[derive(Debug, Subcommand)]
pub enum OrderAction {
    /// End an order of any account, also one that the market has lost by `prepx stage skip`.
    #[command(
        after_help = "The market cancels the order; where it does not know it, what the order holds is let
go of all the same. The reason is on the journal, so the audit chain covers it.

Examples:
  prepx admin order end --id 018bcfe5-… --reason \"lost by a skip, see ticket\""
    )]
    End {
        /// UUID of the order.
        #[arg(long, value_name = "UUID")]
        id: String,
        /// Why, for those who read the journal later; 1 to 1,000 characters.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// So much of an asset. The server has the last word on the number; what is none at all is refused
/// before anything is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Which asset.
    pub asset: String,
    /// How much, in decimal.
    pub amount: String,
}

/// Decimal places of amounts.
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
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

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
