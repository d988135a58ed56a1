//! The command line of `prepx`.

pub mod admin;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use prepx_platform::DATA_DIR;
use prepx_runtime::config;

use self::admin::Admin;
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
  prepx status                      the state of every part
  prepx verify                      check the books of ./prepx-data

Exit codes: 0 success, 1 failure, 2 the command line is wrong.")]
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
    /// Operate a running platform.
    Admin(Admin),
    /// Show the state of every part of a running platform.
    Status(Status),
    /// Replay a recorded market and compare the outcome.
    Replay(Replay),
    /// Check that the books are right.
    Verify(Verify),
    /// Decide recorded inputs again, with this version or another, and show what differs.
    Shadow(Shadow),
    /// Get a stage's partition past an input that has stopped it.
    Stage(Stage),
    /// List what could not be delivered, retry it or drop it.
    DeadLetters(DeadLetters),
    /// Show and create the topics of the event log on Apache Kafka.
    Topics(Topics),
    /// Bring the tables of all services up to date.
    Schemas(Schemas),
}

/// How to run the platform.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints `ready http://HOST:PORT` (https with `public_tls`) on stdout when it serves. SIGTERM
drains: requests in progress are answered, then it exits with 0.

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
    /// The data directory; created if it does not exist.
    #[arg(long, value_name = "DIR", help = format!("The data directory; created if it does not exist [default: {DATA_DIR}]"))]
    pub data_dir: Option<PathBuf>,
    /// The address to listen on; port 0 picks a free port.
    #[arg(long, value_name = "HOST:PORT", value_parser = config::address)]
    pub listen: Option<std::net::SocketAddr>,
    /// Whether simulated traders keep a market going.
    #[arg(long, value_name = "on|off")]
    pub simulate: Option<Switch>,
    /// Settings in TOML; flags and PREPX_* variables override them.
    #[arg(long, env = "PREPX_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Which platform to show.
#[derive(Debug, Args)]
#[command(
    after_help = "Shows every process; which process owns which partition of the stages, and its epoch; how far the lanes
between stages and the consumers of the event log lag behind; and the number of dead letters of each
group, which `prepx dead-letters` lists. A lag or a dead letter is not a problem by itself. These are:
a process that does not answer, a service without a process that accepts calls, a partition without an
owner. Of the gateways only the one that answers is shown.

Examples:
  prepx status
  prepx status --url https://prepx.example.com --json

Exit codes: 0 no problems, 1 problems or no answer, 2 the command line is wrong."
)]
pub struct Status {
    /// Which platform, and as whom.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON, as `GET /api/v1/admin/status` has it.
    #[arg(long)]
    pub json: bool,
}

/// A running platform, and the operator's key to it.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// The platform's URL.
    #[arg(
        long,
        env = "PREPX_URL",
        help_heading = "Platform",
        global = true,
        default_value = "http://127.0.0.1:8080"
    )]
    pub url: String,
    /// The CA to trust there.
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
    /// A connection with the operator's key.
    ///
    /// # Errors
    /// When the URL, the CA or the key is invalid.
    pub fn connection(&self) -> anyhow::Result<Connection> {
        self.connection_as(&self.key_id, &self.secret_key)
    }

    /// A connection with another key.
    ///
    /// # Errors
    /// When the URL, the CA or the key is invalid.
    pub fn connection_as(&self, key_id: &str, secret_key: &str) -> anyhow::Result<Connection> {
        Connection::new(&self.url, &self.believed.ca, key_id, secret_key)
    }
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
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
    fn a_negative_number_is_one_and_the_service_refuses_it() {
        let line = "prepx admin instrument add --symbol A --class us_equity --tick -1 --lot -0.5";
        let parsed = Cli::try_parse_from(line.split(' '));
        assert!(parsed.is_ok(), "{}", parsed.unwrap_err());
    }
}
