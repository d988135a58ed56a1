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
}
