//! `prepx schemas`: the tables of all services, brought up to date before processes of a new version start.
//!
//! Owns the order of it and nothing more: what a schema needs, its service knows.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use prepx_market_data::Store as MarketData;
use prepx_platform::{Settings, engines};
use prepx_runtime::config::Sources;
use prepx_store::{Layout, Location};
use prepx_user as user;
use serde_json::json;

/// What to do with the schemas.
#[derive(Debug, Args)]
#[command(
    after_help = "Every service brings its own schema up to date when it starts. Done before, a new version starts at once,
and what cannot be done is seen while the old one still serves.

Examples:
  prepx schemas apply --config prepx.toml
  PREPX_SQL_URL=postgres://prepx:secret@10.0.0.3/prepx prepx schemas apply"
)]
pub struct Schemas {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with the schemas.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Create and migrate schemas, and print which are up to date.
    #[command(after_help = "Examples:
  prepx schemas apply --config prepx.toml
  PREPX_SQL_URL=postgres://prepx:secret@10.0.0.3/prepx prepx schemas apply --json")]
    Apply {
        /// The settings of the services, of which `sql_url` and `sql_shards` say where; PREPX_* variables override
        /// them.
        #[arg(long, env = "PREPX_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print JSON: a line of each schema.
        #[arg(long)]
        json: bool,
    },
}

/// Carries it out.
///
/// # Errors
/// Invalid settings, and the first schema that cannot be opened.
pub fn run(options: Schemas) -> Result<()> {
    let Action::Apply { config, json } = options.action;
    let sources = Sources::of_process(config, Default::default());
    let settings: Settings = sources.load()?;
    let home = engines::sql_location(&settings.sql_url, &settings.data_dir)?;
    let shards = engines::sql_layout(&settings.sql_shards, settings.account_partitions)?;
    let books = shards.unwrap_or_else(|| home.clone().into());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(apply(&home, &books, json))
}

async fn apply(home: &Location, books: &Layout, as_json: bool) -> Result<()> {
    let say = |service: &str| match as_json {
        true => println!("{}", json!({"schema": service, "up_to_date": true})),
        false => println!("{service} is up to date"),
    };
    user::migrate(home).await.context("user")?;
    say("user");
    MarketData::open(home).await.context("market-data")?;
    say("market-data");
    prepx_analytics::migrate(home).await.context("analytics")?;
    say("analytics");
    let webhooks = prepx_notification::webhook::migrate(home).await;
    webhooks.context("notification")?;
    say("notification");
    // In all shards: the longest.
    let books = prepx_portfolio::migrate(books).await;
    books.context("portfolio")?;
    say("portfolio");
    Ok(())
}
