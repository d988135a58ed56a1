//! The thread that makes snapshots of the partitions that this process has, of durable records and beside
//! their owners.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prepx_bus::{Log, Reading};
use prepx_stage::{Codec, Keeper, KeeperError, Pace, Retention, Snapshots, Stage};

use crate::bell::Bell;
use crate::{BoxError, Logs};

/// How often to look whether a snapshot is due.
const LOOK: Duration = Duration::from_secs(1);

/// How far each partition has come that is here: what the keeper asks for each time.
pub(crate) type Events = Box<dyn Fn() -> BTreeMap<u32, u64> + Send>;

/// What the keeper is made with.
pub(crate) struct Keeping<C: Codec> {
    pub codec: Arc<C>,
    pub stage: Stage,
    pub logs: Logs,
    pub snapshots: Snapshots,
    pub pace: Pace,
    pub events: Events,
}

/// A handle of its own, and the keepers that read there.
struct Desk<C: Codec> {
    log: Arc<dyn Log>,
    retention: Retention,
    keepers: BTreeMap<u32, Keeper<C>>,
}

impl<C: Codec> Keeping<C> {
    /// Runs until it is told to stop. A snapshot that fails costs nothing but a longer takeover: it is tried
    /// again, at a new handle if that has failed.
    pub fn run(self, stop: &AtomicBool, bell: &Bell) {
        let mut desk = None;
        while !stop.load(Ordering::Acquire) {
            if let Err(error) = self.look(&mut desk) {
                tracing::error!(error, "snapshots are not made; it is tried again");
                desk = None;
            }
            bell.wait(LOOK);
        }
    }

    fn look(&self, desk: &mut Option<Desk<C>>) -> Result<(), BoxError> {
        let desk = match desk {
            Some(desk) => desk,
            None => desk.insert(self.sit_down()?),
        };
        if let Some(poisoned) = desk.log.watermark().failure() {
            return Err(poisoned.clone().into());
        }
        let here = (self.events)();
        desk.keepers
            .retain(|partition, _| here.contains_key(partition));
        for (partition, events) in here {
            if let Err(error) = self.keep(desk, partition, events) {
                let seat = self.stage.seat(partition);
                tracing::error!(%seat, %error, "a snapshot failed; it is tried again");
            }
        }
        Ok(())
    }

    fn sit_down(&self) -> Result<Desk<C>, BoxError> {
        let log = (self.logs)(
            &format!("keeper-{}", self.stage.journal),
            Reading::Unhurried,
        )?;
        Ok(Desk {
            // Others follow the log too: nobody here knows what they need.
            retention: Retention::shared(Arc::clone(&log)),
            keepers: BTreeMap::new(),
            log,
        })
    }

    fn keep(&self, desk: &mut Desk<C>, partition: u32, events: u64) -> Result<(), KeeperError> {
        let (log, retention) = (&*desk.log, &desk.retention);
        let keeper = match desk.keepers.entry(partition) {
            std::collections::btree_map::Entry::Occupied(keeper) => keeper.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
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
