//! `prepx topics`: the topics of the event log on Apache Kafka, as declared and as they are.

use std::num::NonZeroU32;

use anyhow::{Result, anyhow, bail};
use clap::{Args, Subcommand};
#[cfg(feature = "kafka")]
use prepx_bus::kafka::topics::{self, Change};
use prepx_bus::{KafkaLocation, Location};
#[cfg(feature = "kafka")]
use serde_json::{Value, json};

use crate::core::manifest;

/// What to do with the topics.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prepx topics plan --url kafka://a:9092,b:9092,c:9092/prod --json
  prepx topics apply --url kafka://127.0.0.1:9092/test --replication 1")]
pub struct Topics {
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with the topics.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Print how the topics differ from what is declared.
    #[command(after_help = "Examples:
  prepx topics plan --url kafka://a:9092,b:9092,c:9092/prod
  prepx topics plan --url kafka://127.0.0.1:9092/test --replication 1")]
    Plan(Target),
    /// Create what is missing, and print what was done.
    #[command(after_help = "Examples:
  prepx topics apply --url kafka://a:9092,b:9092,c:9092/prod
  prepx topics apply --url kafka://127.0.0.1:9092/test --replication 1")]
    Apply(Target),
}

/// Which platform's topics.
#[derive(Debug, Args)]
pub struct Target {
    /// The event log.
    #[arg(long, env = "PREPX_LOG_URL", value_name = "kafka://HOST:PORT,…/PREFIX")]
    pub url: String,
    /// Replicas of each topic.
    #[arg(long, default_value_t = 3)]
    pub replication: u16,
    /// Partitions of everything that goes by account.
    #[arg(long, default_value_t = manifest::DEFAULT.account_partitions)]
    pub account_partitions: u32,
    /// Partitions of everything that goes by instrument.
    #[arg(long, default_value_t = manifest::DEFAULT.matching_partitions)]
    pub matching_partitions: u32,
    /// Partitions of each topic that PrepX itself neither writes nor reads; as many as are declared for each if left
    /// away. They cost brokers with few cores as much as those in use.
    #[arg(
        long,
        env = "PREPX_LOG_PARTITIONS_OF_OTHERS",
        value_name = "PARTITIONS"
    )]
    pub partitions_of_others: Option<NonZeroU32>,
}

/// Carries it out.
///
/// # Errors
/// Brokers that do not answer, and differences that are never made in place.
pub fn run(options: Topics) -> Result<()> {
    let (target, apply) = match options.action {
        Action::Plan(target) => (target, false),
        Action::Apply(target) => (target, true),
    };
    match Location::parse(&target.url)? {
        Location::Kafka(location) => show(&location, &target, apply, options.json),
        Location::Embedded(path) => bail!(
            "--url names {}: topics are made on Kafka only; kafka://HOST:PORT/PREFIX would be right",
            path.display()
        ),
    }
}

#[cfg(feature = "kafka")]
fn show(location: &KafkaLocation, target: &Target, apply: bool, as_json: bool) -> Result<()> {
    let topology = prepx_stage::Topology {
        account_partitions: target.account_partitions,
        matching_partitions: target.matching_partitions,
    };
    let declared =
        prepx_owner::kafka::declared(topology, target.replication, target.partitions_of_others);
    let changes = match apply {
        true => topics::apply(location, &declared),
        false => topics::plan(location, &declared),
    };
    let changes = changes.map_err(|error| anyhow!(error))?;
    if as_json {
        println!("{}", Value::from_iter(changes.iter().map(json)));
        return Ok(());
    }
    for change in &changes {
        println!("{change}");
    }
    if changes.is_empty() {
        println!("nothing differs");
    }
    Ok(())
}

#[cfg(feature = "kafka")]
fn json(change: &Change) -> Value {
    match change {
        Change::Create {
            name,
            partitions,
            replication,
            config,
        } => json!({
            "change": "create",
            "topic": name,
            "partitions": partitions,
            "replication": replication,
            "config": config,
        }),
        Change::Set {
            name,
            key,
            from,
            to,
        } => json!({"change": "set", "topic": name, "key": key, "from": from, "to": to}),
        Change::Never {
            name,
            what,
            from,
            to,
        } => json!({"change": "never", "topic": name, "what": what, "from": from, "to": to}),
    }
}

#[cfg(not(feature = "kafka"))]
fn show(location: &KafkaLocation, _: &Target, _: bool, _: bool) -> Result<()> {
    Err(anyhow!(prepx_platform::engines::without_kafka(location)))
}
