//! `prepx shadow`: decides again what the stages of a platform have decided, and shows each event
//! that comes out otherwise.
//!
//! What a version would decide only that version knows, so the program that is run decides; `--with` runs
//! another one. A new version is to find no difference before it owns a partition, or only those that it
//! was made for. Refuses to change anything that was recorded.

use std::ffi::OsString;
use std::fmt::Debug;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use prepx_account as account;
use prepx_risk::AccountCodec;
use prepx_stage::shadow::{self, Difference};
use prepx_stage::{Codec, Event, Seat, Stage};
use prepx_trading::MatchingCodec;
use serde_json::json;

use crate::progress::bar;
use crate::recorded::{Opened, Recorded};

/// What to decide again.
#[derive(Debug, Args)]
#[command(
    after_help = "Every transition is decided again from the inputs, the time and the state that it had, by this
program or by another: a new version on what the old one has recorded. Of what it would decide otherwise every
event is shown; the next transition goes on from what was recorded. Nothing is changed.

It goes as far back as the journals do, the archives included. Apache Kafka has the inputs of the last 7 days: older
transitions are folded, which checks their hashes, and counted. There the platform may go on meanwhile.

Exit codes: 0 everything is as it was recorded, 1 something differs or cannot be read, 2 the command line is wrong.

Examples:
  prepx shadow --data-dir /var/lib/prepx-copy
  prepx shadow --data-dir /var/lib/prepx-copy --with ./prepx-next --json
  prepx shadow --partition matching/0 --from 1000 --to 2000
  prepx shadow --log-url kafka://a:9092,b:9092/prod --snapshot-url s3://prepx/snapshots --with ./prepx-next"
)]
pub struct Shadow {
    /// Where it is recorded.
    #[command(flatten)]
    pub recorded: Recorded,
    /// The program that decides; this one by default.
    #[arg(long, value_name = "BINARY")]
    pub with: Option<PathBuf>,
    /// Only this partition: account/N or matching/N.
    #[arg(long, value_name = "STAGE/N")]
    pub partition: Option<Seat>,
    /// The first transition; by default the first after the oldest snapshot.
    #[arg(long, value_name = "SEQ", requires = "partition")]
    pub from: Option<u64>,
    /// The last transition; by default the last of the journal.
    #[arg(long, value_name = "SEQ", requires = "partition")]
    pub to: Option<u64>,
    /// Print JSON: a line for each difference, then the totals.
    #[arg(long)]
    pub json: bool,
}

/// Decides again and prints what differs.
///
/// # Errors
/// That something differs, or why it could not be checked.
pub fn run(options: Shadow) -> Result<()> {
    if let (Some(from), Some(to)) = (options.from, options.to) {
        ensure!(from <= to, "--from {from} is behind --to {to}");
    }
    if let Some(program) = &options.with {
        return run_other(program, &options);
    }
    let config = account::Config::of_partitions;
    let totals = decide(&options, config, |line| println!("{line}"))?;
    println!("{}", totals.show(options.json));
    ensure!(
        totals.transitions == 0 || totals.folded < totals.transitions,
        "none of the {} transitions could be decided again: the log has let go of their inputs",
        totals.transitions
    );
    ensure!(
        totals.differences == 0,
        "{} events are decided otherwise than they were recorded",
        totals.differences
    );
    Ok(())
}

/// Has another program do the same.
fn run_other(program: &Path, options: &Shadow) -> Result<()> {
    let mut arguments: Vec<OsString> = vec!["shadow".into()];
    arguments.extend(options.recorded.arguments());
    let named = [
        (
            "--partition",
            options.partition.map(|seat| seat.to_string()),
        ),
        ("--from", options.from.map(|seq| seq.to_string())),
        ("--to", options.to.map(|seq| seq.to_string())),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            arguments.push(name.into());
            arguments.push(value.into());
        }
    }
    if options.json {
        arguments.push("--json".into());
    }
    let cannot = || format!("cannot run {}", program.display());
    let mut command = Command::new(program);
    let command = command.args(arguments).stdout(Stdio::piped());
    command.envs(options.recorded.environment());
    let mut other = command.spawn().with_context(cannot)?;
    let said = other.stdout.take().with_context(cannot)?;
    let mut last = String::new();
    for line in BufReader::new(said).lines() {
        last = line.with_context(cannot)?;
        println!("{last}");
    }
    let status = other.wait().with_context(cannot)?;
    if !status.success() {
        bail!("{} ended with {status}", program.display());
    }
    // A program that is no PrepX may end well too, without having decided anything.
    ensure!(
        last.contains("transitions"),
        "{} did not say what it has decided again: is it a prepx?",
        program.display()
    );
    Ok(())
}

/// How much was decided again.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    partitions: u64,
    transitions: u64,
    /// How many of those have inputs that are no longer on the log.
    folded: u64,
    events: u64,
    differences: u64,
}

impl Totals {
    fn show(&self, as_json: bool) -> String {
        let Totals {
            partitions,
            transitions,
            folded,
            events,
            differences,
        } = self;
        if as_json {
            return json!({
                "ok": *differences == 0,
                "partitions": partitions,
                "transitions": transitions,
                "folded": folded,
                "events": events,
                "differences": differences,
            })
            .to_string();
        }
        let found = match differences {
            0 => "all are as they were recorded".to_owned(),
            some => format!("{some} differ"),
        };
        let only = match folded {
            0 => String::new(),
            some => format!(
                "; {some} transitions were only folded, because the log has let go of their inputs"
            ),
        };
        format!(
            "{events} events of {transitions} transitions of {partitions} partitions: {found}{only}"
        )
    }
}

/// Decides what is asked for; tells each difference. `config` is that of the account stage, by how many
/// partitions it has.
fn decide(
    options: &Shadow,
    config: impl Fn(u32) -> account::Config,
    mut tell: impl FnMut(&str),
) -> Result<Totals> {
    let opened = options.recorded.open("prepx shadow")?;
    let topology = opened.topology;
    let all = [Stage::ACCOUNT, Stage::MATCHING].map(|stage| topology.seats(stage));
    let wanted = |seat: &Seat| options.partition.is_none_or(|only| only == *seat);
    let seats: Vec<Seat> = all.into_iter().flatten().filter(wanted).collect();
    ensure!(
        !seats.is_empty(),
        "--partition is none of the {} account and {} matching partitions, counted from 0",
        topology.account_partitions,
        topology.matching_partitions
    );
    let accounts = Arc::new(AccountCodec::new(config(topology.account_partitions)));
    let matching = Arc::new(MatchingCodec::bundled()?);
    let mut totals = Totals::default();
    for seat in seats {
        let range = (options.from, options.to, options.json);
        let at = (&opened, seat);
        let decided = match seat.stage {
            Stage::ACCOUNT => partition(&accounts, at, range, &mut totals, &mut tell),
            _ => partition(&matching, at, range, &mut totals, &mut tell),
        };
        decided.with_context(|| seat.to_string())?;
    }
    Ok(totals)
}

/// Decides one partition.
fn partition<C: Codec>(
    codec: &Arc<C>,
    (opened, seat): (&Opened, Seat),
    (from, to, as_json): (Option<u64>, Option<u64>, bool),
    totals: &mut Totals,
    tell: &mut impl FnMut(&str),
) -> Result<()>
where
    Event<C>: Debug,
{
    let (log, snapshots) = (&*opened.log, &opened.snapshots);
    let mut shadow = shadow::Shadow::open(Arc::clone(codec), seat, log, snapshots, from)?;
    let bar = bar("transitions", shadow.left());
    totals.partitions += 1;
    let before = totals.transitions;
    while to.is_none_or(|to| shadow.seq() < to) {
        let Some(again) = shadow.decide(log)? else {
            break;
        };
        totals.transitions += 1;
        totals.folded += u64::from(!again.decided);
        totals.events += again.events;
        totals.differences += again.differences.len() as u64;
        for difference in &again.differences {
            bar.suspend(|| tell(&show(seat, difference, as_json)));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if totals.transitions == before {
        check_range(shadow.seq(), from, to)?;
    }
    Ok(())
}

/// Nothing was decided again: right only if nothing was asked for. `at` is the last transition that was passed.
fn check_range(at: u64, from: Option<u64>, to: Option<u64>) -> Result<()> {
    if let Some(from) = from.filter(|&from| from > at) {
        bail!("--from {from} is beyond the journal, whose last transition is {at}");
    }
    if let Some(to) = to.filter(|&to| to <= at) {
        let first = at + 1;
        bail!("--to {to} is before {first}, the first transition that the journal still has");
    }
    Ok(())
}

fn show<E: Debug>(seat: Seat, difference: &Difference<E>, as_json: bool) -> String {
    let Difference {
        seq,
        event,
        recorded,
        decided,
    } = difference;
    let words = |event: &Option<E>| event.as_ref().map(|event| format!("{event:?}"));
    let (recorded, decided) = (words(recorded), words(decided));
    if as_json {
        return json!({
            "partition": seat.to_string(),
            "transition": seq,
            "event": event,
            "recorded": recorded,
            "decided": decided,
        })
        .to_string();
    }
    let nothing = || "nothing".to_owned();
    format!(
        "{seat}, transition {seq}, event {event}: recorded is {}, decided {}",
        recorded.unwrap_or_else(nothing),
        decided.unwrap_or_else(nothing)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::platform;

    fn of(data_dir: &Path) -> Shadow {
        Shadow {
            recorded: Recorded::in_directory(data_dir),
            with: None,
            partition: None,
            from: None,
            to: None,
            json: false,
        }
    }

    #[tokio::test]
    async fn the_same_rules_decide_the_same() {
        let dir = tempfile::tempdir().unwrap();
        platform(dir.path()).await;
        let config = account::Config::of_partitions;
        let mut said = Vec::new();
        let totals = decide(&of(dir.path()), config, |line| said.push(line.to_owned())).unwrap();
        assert_eq!((totals.differences, said), (0, Vec::new()));
        assert!(
            totals.partitions == 8 && totals.transitions > 10 && totals.events > 10,
            "{totals:?}"
        );
    }

    #[tokio::test]
    async fn a_changed_rule_is_shown_where_it_decides_otherwise_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        platform(dir.path()).await;
        let config = |partitions| {
            let mut config = account::Config::of_partitions(partitions);
            config.limits.open_orders -= 1;
            config
        };
        let mut said = Vec::new();
        let totals = decide(&of(dir.path()), config, |line| said.push(line.to_owned())).unwrap();
        // The limits of a new account are in the event that opens it.
        assert_eq!(totals.differences, 2, "{said:?}");
        for line in said {
            let (recorded, decided) = line.split_once(", decided ").unwrap();
            assert!(recorded.contains("recorded is Opened"), "{line}");
            assert!(decided.contains("Opened"), "{line}");
        }
    }

    #[tokio::test]
    async fn a_range_is_decided_from_the_state_before_it() {
        let dir = tempfile::tempdir().unwrap();
        platform(dir.path()).await;
        let config = account::Config::of_partitions;
        let all = decide(&of(dir.path()), config, |_| ()).unwrap();
        let mut found = Totals::default();
        for seat in ["account/0", "account/1", "account/2", "account/3"] {
            let range = Shadow {
                partition: Some(seat.parse().unwrap()),
                from: Some(2),
                to: Some(3),
                ..of(dir.path())
            };
            let totals = decide(&range, config, |line| panic!("{line}")).unwrap();
            assert!(totals.transitions <= 2, "{totals:?}");
            found.transitions += totals.transitions;
        }
        assert!(found.transitions > 0 && found.transitions < all.transitions);
        let none = Shadow {
            partition: Some("account/9".parse().unwrap()),
            ..of(dir.path())
        };
        assert!(decide(&none, config, |_| ()).is_err());
        let beyond = Shadow {
            partition: Some("account/0".parse().unwrap()),
            from: Some(777_777),
            ..of(dir.path())
        };
        let refused = format!("{:#}", decide(&beyond, config, |_| ()).unwrap_err());
        let said = "account/0: --from 777777 is beyond the journal, whose last transition is ";
        assert!(refused.starts_with(said), "{refused}");
    }
}
