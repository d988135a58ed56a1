//! The thread that works on durable records beside the owners: folds them into snapshots of the partitions that this
//! process has, and into copies of some that others have, and archives the journals of its own.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prepx_bus::{Log, Reading};
use prepx_env::Clock;
use prepx_stage::{
    ArchivePace, Archived, Archives, Archivist, Codec, Keeper, Pace, Retention, Snapshots, Stage,
    archive,
};

use crate::bell::Bell;
use crate::standing::{Here, Standing};
use crate::{BoxError, Logs};

/// How often to look whether a snapshot is due.
const LOOK: Duration = Duration::from_secs(1);

/// What the keeper is made with.
pub(crate) struct Keeping<C: Codec> {
    pub codec: Arc<C>,
    pub stage: Stage,
    pub logs: Logs,
    pub snapshots: Snapshots,
    pub pace: Pace,
    /// Where journals are archived, if they are.
    pub archives: Option<Archives>,
    /// What is here now.
    pub here: Box<dyn Fn() -> Here + Send>,
    pub standing: Standing<C>,
    /// Rung when the process has what it stands by for.
    pub warm: Arc<Bell>,
    /// Whether it has been rung.
    pub is_warm: bool,
    pub clock: Arc<dyn Clock>,
}

/// A handle of its own, and the keepers that read there.
struct Desk<C: Codec> {
    log: Arc<dyn Log>,
    /// The same, with what is archived of the journals.
    whole: Arc<dyn Log>,
    retention: Retention,
    keepers: BTreeMap<u32, Keeper<C>>,
    archivists: BTreeMap<u32, Archivist>,
    /// When to look whether a snapshot is due.
    next_look: Duration,
}

impl<C: Codec> Keeping<C> {
    /// Runs until it is told to stop. What fails costs nothing but a longer takeover: it is tried again, at a new
    /// handle if that has failed.
    pub fn run(mut self, stop: &AtomicBool, bell: &Arc<Bell>) {
        let mut desk = None;
        while !stop.load(Ordering::Acquire) {
            let more = self.look(&mut desk, bell).unwrap_or_else(|error| {
                tracing::error!(error, "snapshots are not made; it is tried again");
                desk = None;
                false
            });
            if !more {
                bell.wait(LOOK);
            }
        }
    }

    /// Whether there is more to do at once.
    fn look(&mut self, desk: &mut Option<Desk<C>>, bell: &Arc<Bell>) -> Result<bool, BoxError> {
        let desk = match desk {
            Some(desk) => desk,
            None => {
                let sat_down = self.sit_down(bell)?;
                self.warm_up(&sat_down);
                desk.insert(sat_down)
            }
        };
        if let Some(poisoned) = desk.log.watermark().failure() {
            return Err(poisoned.clone().into());
        }
        let (here, now) = ((self.here)(), self.clock.monotonic());
        let more = self.standing.look(&*desk.log, &here, now);
        if now >= desk.next_look {
            desk.next_look = now + LOOK;
            self.keep_all(desk, &here);
        }
        Ok(more)
    }

    /// Once, before the process joins the group and is given partitions.
    fn warm_up(&mut self, desk: &Desk<C>) {
        if !self.is_warm {
            self.standing.warm_up(&*desk.log, self.clock.monotonic());
            self.is_warm = true;
            self.warm.ring();
        }
    }

    fn keep_all(&self, desk: &mut Desk<C>, here: &Here) {
        let owned = |partition: &u32| here.get(partition).copied().flatten();
        let mine = |partition: &u32| owned(partition).is_some();
        desk.keepers.retain(|partition, _| mine(partition));
        desk.archivists.retain(|partition, _| mine(partition));
        for &partition in here.keys() {
            let Some(events) = owned(&partition) else {
                continue;
            };
            let seat = self.stage.seat(partition);
            // First, so that it holds on to the journal before a snapshot lets go of it.
            if let Err(error) = self.archive(desk, partition, events) {
                tracing::error!(%seat, %error, "a journal is not archived, and stays on the log; it is tried again");
                metrics::counter!("prepx_archive_failures_total", "partition" => seat.to_string())
                    .increment(1);
            }
            if let Err(error) = self.keep(desk, partition, events) {
                tracing::error!(%seat, %error, "a snapshot failed; it is tried again");
            }
        }
    }

    fn sit_down(&self, bell: &Arc<Bell>) -> Result<Desk<C>, BoxError> {
        let log = (self.logs)(
            &format!("keeper-{}", self.stage.journal),
            Reading::Unhurried,
        )?;
        let rung = Arc::clone(bell);
        log.on_news(Box::new(move || rung.ring()));
        let own = Arc::clone(&log);
        Ok(Desk {
            // Others follow the log too: nobody here knows what they need.
            retention: match self.archives {
                Some(_) => Retention::of_journals(own),
                None => Retention::shared(own),
            },
            keepers: BTreeMap::new(),
            archivists: BTreeMap::new(),
            next_look: Duration::ZERO,
            whole: Archived::of(Arc::clone(&log), self.archives.as_ref()),
            log,
        })
    }

    fn archive(
        &self,
        desk: &mut Desk<C>,
        partition: u32,
        events: u64,
    ) -> Result<(), archive::Error> {
        let Some(archives) = &self.archives else {
            return Ok(());
        };
        let (log, retention, now) = (&*desk.log, &desk.retention, self.clock.now());
        let archivist = match desk.archivists.entry(partition) {
            Entry::Occupied(archivist) => archivist.into_mut(),
            Entry::Vacant(place) => {
                let (seat, archives) = (self.stage.seat(partition), archives.clone());
                let pace = ArchivePace::default();
                place.insert(Archivist::open(seat, log, archives, retention, pace, now)?)
            }
        };
        archivist.look(log, retention, events, now)
    }

    fn keep(
        &self,
        desk: &mut Desk<C>,
        partition: u32,
        events: u64,
    ) -> Result<(), prepx_stage::KeeperError> {
        let (log, retention) = (&*desk.whole, &desk.retention);
        let keeper = match desk.keepers.entry(partition) {
            Entry::Occupied(keeper) => keeper.into_mut(),
            Entry::Vacant(place) => {
                let (codec, seat) = (Arc::clone(&self.codec), self.stage.seat(partition));
                let snapshots = self.snapshots.clone();
                place.insert(Keeper::open(
                    codec, seat, log, snapshots, retention, self.pace,
                )?)
            }
        };
        if keeper.is_due(log, events) {
            keeper.snapshot(log, retention)?;
        }
        Ok(())
    }
}
