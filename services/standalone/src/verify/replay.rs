//! Replays everything on the log that was not dropped, once and in order: archives and segments, from the
//! beginning or from the signed checkpoint on.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use prepx_analytics::{Check, Totals, VerifyError};
use prepx_bus::file::Dir;
use prepx_bus::{EmbeddedLog, Log as _, Record, TopicPartition};
use prepx_portfolio::audit;
use prepx_stage::{Seat, Skip, Topology, Transition};
use prepx_store::Location;

use super::stages::{Folded, Whole};
use crate::disk::Past;
use crate::disk::checkpoint::{self, Checkpoint};
use crate::progress::bar;

/// The state that results from the log.
pub(super) struct Replayed {
    past: Past,
    whole: Option<Whole>,
    /// What was checked of the audit chain.
    pub audit: Totals,
    /// The checkpoint from which the replay starts, if not from the beginning.
    pub checkpoint: Option<Checkpoint>,
    /// The messages that stages have skipped since then.
    pub skipped: Vec<Skip>,
}

/// The skips in a record of a journal.
fn skips_of(from: TopicPartition, record: &Record) -> Result<Vec<Skip>> {
    let Some(seat) = Seat::of_journal(from) else {
        return Ok(Vec::new());
    };
    let transition = Transition::decode(&record.payload)
        .with_context(|| format!("{from} at offset {}", record.offset))?;
    Ok(Skip::of(seat, transition).collect())
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
    /// The outputs must result in what the stages have, and the fold of the journals from their beginning
    /// in the same as from the snapshots (I6).
    pub fn compare(&self, folded: &Folded) -> Result<()> {
        audit::compare(&folded.books(), &self.past.books)
            .map_err(|difference| anyhow!(difference))
            .context("the account stages beside what they told since the beginning of the log")?;
        self.whole
            .as_ref()
            .map_or(Ok(()), |whole| whole.compare(folded))
    }
}
