//! What operators decide about dead letters. Any process takes the decision and writes it to the log; the process on duty
//! carries it out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::{AppendError, Batch, Log, WaitError};
use uuid::Uuid;

use crate::letters::{Letter, Letters, Place};
use crate::wire::{Note, Verdict, put_note};
use crate::{Group, Origin};

/// How many letters are decided at once.
const CHUNK: u32 = 500;
/// How long the process on duty may take for a chunk.
const WAIT: Duration = Duration::from_secs(10);
/// How often to look whether it is done.
const LOOK: Duration = Duration::from_millis(50);

/// What operators may decide about a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It is tried again from the first attempt on.
    Replay,
    /// It is deleted.
    Drop,
}

/// Why a verdict was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] prepx_store::Error),
    /// Nothing was decided.
    #[error("the event log did not accept it: {0}")]
    Append(#[from] AppendError),
    /// The decision may not be on the log.
    #[error("the event log did not confirm it: {0}")]
    Wait(#[from] WaitError),
    /// It is on the log, but has not been carried out yet.
    #[error("it is on the log, but the delivering process has not done it within {WAIT:?}")]
    Late,
    /// A thread was lost.
    #[error("a thread panicked: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Where operators decide about the dead letters of the groups of a service.
#[derive(Clone)]
pub struct Desk {
    /// The letters.
    pub letters: Letters,
    /// The log.
    pub log: Arc<dyn Log>,
    /// The groups.
    pub groups: &'static [Group],
}

impl Desk {
    /// Carries out a decision on those of these letters that are there; returns how many. Repeating it changes nothing.
    ///
    /// # Errors
    /// When it is not certain that it was carried out.
    pub async fn settle(
        &self,
        group: Option<&str>,
        ids: &[Uuid],
        act: Act,
        by: Uuid,
    ) -> Result<u64, Error> {
        let mut settled = 0;
        for ids in ids.chunks(CHUNK as usize) {
            let letters = self.letters.among(group, ids).await?;
            settled += self.decide(&letters, act, by).await?;
        }
        Ok(settled)
    }

    /// Carries out a decision on all letters that are there now; returns how many those were.
    ///
    /// # Errors
    /// As [`Self::settle`]; it may have been carried out on some of them.
    pub async fn settle_all(&self, group: Option<&str>, act: Act, by: Uuid) -> Result<u64, Error> {
        let (mut settled, mut after, mut seen) = (0, None, HashSet::new());
        loop {
            let mut letters = self.letters.page(group, after, CHUNK).await?;
            // One that was replayed may have returned.
            letters.retain(|letter| seen.insert(letter.errand.id));
            let Some(last) = letters.last() else {
                return Ok(settled);
            };
            after = Some(Place {
                died_at: last.died_at,
                id: last.errand.id,
            });
            settled += self.decide(&letters, act, by).await?;
        }
    }

    async fn decide(&self, letters: &[Letter], act: Act, by: Uuid) -> Result<u64, Error> {
        let mut batch = Batch::new();
        for letter in letters {
            let group = self.groups.iter().find(|group| group.name == letter.group);
            let Some(group) = group else {
                continue;
            };
            let Origin { source, .. } = letter.errand.origin;
            let dead = group.dead.partition(source.partition);
            let note = Note::Verdict(Verdict {
                id: letter.errand.id,
                by,
                replay: act == Act::Replay,
            });
            batch.push_with(dead, |to| put_note(letter.errand.origin, &note, to));
        }
        if batch.is_empty() {
            return Ok(0);
        }
        let position = self.log.append(None, &batch)?;
        let log = Arc::clone(&self.log);
        tokio::task::spawn_blocking(move || log.wait_durable(position, WAIT)).await??;
        self.until_done(letters).await?;
        Ok(batch.len() as u64)
    }

    /// Waits until none of these is there as it was.
    async fn until_done(&self, letters: &[Letter]) -> Result<(), Error> {
        let ids: Vec<Uuid> = letters.iter().map(|letter| letter.errand.id).collect();
        let done = async {
            loop {
                let left = self.letters.among(None, &ids).await?;
                if !left.iter().any(|letter| letters.contains(letter)) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(WAIT, done)
            .await
            .unwrap_or(Err(Error::Late))
    }
}
