//! `prepx stage`: what an operator does to a partition of a stage that nobody has.

use std::sync::Arc;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};
use prepx_account as account;
use prepx_env::{Clock as _, SystemClock};
use prepx_risk::AccountCodec;
use prepx_stage::lane::Message;
use prepx_stage::{Codec, Partition, Seat, Takeover};
use prepx_trading::MatchingCodec;
use serde_json::json;

use crate::recorded::{Opened, Recorded};

/// The longest reason.
const REASON_CHARS_MAX: usize = 1_000;

/// What to do with a stage.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prepx stage skip --partition matching/0 --input account-journal/2#57 --reason \"bug 7, see ticket\"")]
pub struct Stage {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with a stage.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Skip an input that a stage cannot process.
    Skip(Skip),
}

/// Which input to skip.
#[derive(Debug, Args)]
#[command(
    after_help = "A message from one stage to the other that cannot be decided stops its partition at
every start. The error then names the partition and the message. Skipping it is for good: what it would
have done is missing, and `prepx verify` tells what that is. The skip and its reason are on the
partition's journal, so the audit chain covers them.

Nobody may have the partition. A data directory is one of a platform that does not run. On Apache Kafka
other partitions may go on, and this one must be without an owner: the processes that stopped at the message
have ended, and one that was unheard of for a session is fenced. Start them again afterwards.

Examples:
  prepx stage skip --partition matching/0 --input account-journal/2#57 --reason \"bug 7, see ticket\"
  prepx stage skip --config risk.toml --partition account/1 --input matching-journal/3#8 --reason \"bug 8\""
)]
pub struct Skip {
    /// Where the partition's journal is.
    #[command(flatten)]
    pub recorded: Recorded,
    /// The partition that has stopped: account/N or matching/N.
    #[arg(long, value_name = "STAGE/N")]
    pub partition: Seat,
    /// The message: the journal of its sender and its number on the lane.
    #[arg(long, value_name = "JOURNAL/N#NUMBER")]
    pub input: Message,
    /// The reason, for readers of the journal; 1 to 1,000 characters.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Carries it out.
///
/// # Errors
/// Why it could not be done; nothing has changed then.
pub fn run(options: Stage) -> Result<()> {
    let Action::Skip(skip) = options.action;
    let chars = skip.reason.trim().chars().count();
    ensure!(
        (1..=REASON_CHARS_MAX).contains(&chars),
        "--reason has {chars} characters: give 1 to {REASON_CHARS_MAX}"
    );
    let opened = skip.recorded.open("prepx stage skip")?;
    let topology = opened.topology;
    let seat = skip.partition;
    let partitions = topology.partitions(seat.stage.journal);
    ensure!(
        seat.partition < partitions,
        "--partition is {seat}: the stage has {partitions} partitions, from 0"
    );
    let _nobody_comes_meanwhile = opened.nobody_has([seat])?;
    if seat.stage == prepx_stage::Stage::ACCOUNT {
        let config = account::Config::of_partitions(topology.account_partitions);
        record(&skip, &opened, AccountCodec::new(config))?;
    } else {
        record(&skip, &opened, MatchingCodec::bundled()?)?;
    }
    let Skip { input, reason, .. } = &skip;
    if skip.json {
        let partition = seat.to_string();
        println!(
            "{}",
            json!({"partition": partition, "skipped": input.to_string(), "reason": reason})
        );
    } else {
        println!("{seat} goes on without {input}; `prepx verify` tells what is missing for it");
    }
    Ok(())
}

/// Takes the partition over and records the skip, durably.
fn record<C: Codec>(skip: &Skip, opened: &Opened, codec: C) -> Result<()> {
    let takeover = Takeover {
        who: &opened.who,
        now: SystemClock::new().now(),
        reemit: false,
        watch: &(),
    };
    let (codec, seat, log) = (Arc::new(codec), skip.partition, &*opened.log);
    let (topology, snapshots) = (opened.topology, &opened.snapshots);
    let mut partition = Partition::open(codec, seat, topology, log, snapshots, takeover)?;
    partition.skip(log, skip.input, skip.reason.trim())?;
    let position = partition.append(log)?.expect("a skip is recorded");
    opened.make_durable(position)
}
