//! Everything that ever was on the log and was not dropped, once and in its order: archives and
//! segments, from the beginning or from the signed checkpoint on.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Error, Result, anyhow, ensure};
use prepx_analytics::{Check, Totals, VerifyError};
use prepx_bus::file::Dir;
use prepx_bus::{EmbeddedLog, Log as _, Record, Topic, TopicPartition};
use prepx_portfolio::audit;
use prepx_stage::lane::Message;
use prepx_stage::{Seat, Stage, Taken, Topology, Transition};
use prepx_store::Location;

use super::bar;
use super::stages::{Folded, Whole};
use crate::disk::Past;
use crate::disk::checkpoint::{self, Checkpoint};

/// What the log comes to.
pub(super) struct Replayed {
    past: Past,
    whole: Option<Whole>,
    /// What of the audit chain was checked.
    pub audit: Totals,
    /// From where on, if not from the beginning.
    pub checkpoint: Option<Checkpoint>,
    /// What stages went on without since then.
    pub skipped: Vec<Skipped>,
}

/// A message that a stage went on without, as an operator decided.
pub(super) struct Skipped {
    /// The partition that did.
    pub seat: Seat,
    /// The message.
    pub message: Message,
    /// Why, in the operator's words.
    pub reason: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Skipped {
            seat,
            message,
            reason,
        } = self;
        write!(f, "{seat} went on without {message} ({reason})")
    }
}

/// What a record of a journal says of skips.
fn skips_of(from: TopicPartition, record: &Record) -> Result<Vec<Skipped>> {
    let stage = match from.topic {
        Topic::AccountJournal => Stage::ACCOUNT,
        Topic::MatchingJournal => Stage::MATCHING,
        _ => return Ok(Vec::new()),
    };
    let transition = Transition::decode(&record.payload)
        .with_context(|| format!("{from} at offset {}", record.offset))?;
    let skip = |taken| match taken {
        Taken::Skip {
            source,
            number,
            reason,
        } => Some(Skipped {
            seat: stage.seat(from.partition),
            message: Message { source, number },
            reason,
        }),
        _ => None,
    };
    Ok(transition.inputs.into_iter().filter_map(skip).collect())
}

/// Replays a log that nobody writes to, and checks the audit chain on the way.
pub(super) async fn replay(
    data_dir: &Path,
    (dir, log): (&dyn Dir, &EmbeddedLog),
    location: &Location,
    topology: Topology,
) -> Result<Replayed> {
    let checkpoint = checkpoint::read(dir, data_dir)?;
    let mut past = Past::since(checkpoint.as_ref(), topology);
    let key = prepx_analytics::public_key(data_dir)?;
    let start = |journal| past.heads.get(&journal).copied();
    let mut check = Check::open(location, topology, key.as_ref(), start).await?;
    let mut whole = checkpoint.is_none().then(|| Whole::of(topology));
    let mut skipped = Vec::new();
    let journals = prepx_analytics::journals(topology).into_iter();
    let left = journals.map(|journal| {
        let from = past.heads.get(&journal).map_or(0, |head| head.next_offset);
        log.end(journal).saturating_sub(from)
    });
    let bar = bar("log", left.sum());
    let seen = |from: TopicPartition, record: &Record| -> Result<()> {
        check.take(from, record).map_err(VerifyError::from)?;
        skipped.extend(skips_of(from, record)?);
        bar.inc(u64::from(from.topic.is_journal()));
        whole
            .as_mut()
            .map_or(Ok(()), |whole| whole.fold(from, record))
    };
    let taken = past.take_all(dir, log, seen);
    bar.finish_and_clear();
    taken?;
    for (partition, next) in &past.next {
        let end = log.end(*partition);
        ensure!(
            end == *next,
            "I1: {partition} ends at offset {end}, but has come to {next}"
        );
    }
    let audit = check.finish(|journal| log.end(journal));
    Ok(Replayed {
        audit: audit.map_err(VerifyError::from)?,
        past,
        whole,
        checkpoint,
        skipped,
    })
}

impl Replayed {
    /// A difference of the books, with what was skipped: it may be what is missing for it.
    pub fn explain(&self, difference: Error) -> Error {
        if self.skipped.is_empty() {
            return difference;
        }
        let skipped: Vec<String> = self.skipped.iter().map(Skipped::to_string).collect();
        anyhow!(
            "{difference:#}; as operators decided, {}",
            skipped.join("; ")
        )
    }

    /// What was told must be what the stages have, and the fold of the journals from their beginning
    /// what it is from the snapshots (I6).
    pub fn compare(&self, folded: &Folded) -> Result<()> {
        audit::compare(&folded.books(), &self.past.books)
            .map_err(|difference| anyhow!(difference))
            .context("the account stages beside what they told since the beginning of the log")?;
        self.whole
            .as_ref()
            .map_or(Ok(()), |whole| whole.compare(folded))
    }
}
