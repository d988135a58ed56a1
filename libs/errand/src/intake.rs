//! The first attempt: a consumer of what the group follows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::TopicPartition;
use prepx_stage::consume::Consumer;
use prepx_stage::follow::{Batch, Message};
use prepx_stage::{Following, Runner};
use prepx_store::{Pool, Source};

use crate::error::{Error, Result};
use crate::outcomes::OutcomeWriter;
use crate::turn::turn;
use crate::wire;
use crate::{Effect, Origin, Settings};

/// How many messages are made into errands at once.
const CHUNK: usize = 256;

/// What a group needs.
pub struct Deps<E> {
    /// Its effect.
    pub effect: Arc<E>,
    /// Its limits.
    pub settings: Settings,
    /// What it follows, and whether this process is on duty.
    pub following: Following,
    /// The same log, to write to.
    pub log: Arc<dyn prepx_bus::Log>,
    /// Where its positions and dead letters are.
    pub pool: Pool,
}

/// Follows what a group follows, and tries each errand once.
pub struct Intake<E> {
    effect: Arc<E>,
    outcomes: Arc<OutcomeWriter>,
    pool: Pool,
    following: Following,
    /// How far it has been taken, by partition and, within it, by the journal of the lane's sender.
    taken: HashMap<TopicPartition, Taken>,
}

/// Up to where something was taken: one past the last offset, or the last number of a lane.
#[derive(Clone, Copy, Default)]
struct Taken {
    stored: u64,
    now: u64,
}

impl<E: Effect> Intake<E> {
    /// Reads the positions of the group.
    ///
    /// # Errors
    /// When the log or the store has failed.
    pub async fn open(deps: &Deps<E>) -> Result<Runner<Intake<E>>> {
        let Deps {
            effect,
            settings,
            following,
            log,
            pool,
        } = deps;
        let (log, clock) = (Arc::clone(log), Arc::clone(&following.clock));
        let intake = Intake {
            effect: Arc::clone(effect),
            outcomes: Arc::new(OutcomeWriter::new(E::GROUP, settings.clone(), log, clock)),
            pool: pool.clone(),
            following: following.clone(),
            taken: HashMap::new(),
        };
        Runner::open(following.clone(), intake).await
    }

    pub(crate) fn outcomes(&self) -> Arc<OutcomeWriter> {
        Arc::clone(&self.outcomes)
    }

    async fn stored(&self, partition: TopicPartition) -> Result<u64> {
        Ok(self.pool.position(&source::<E>(partition)).await?)
    }

    /// The messages that are new: after a takeover a stage sends some again.
    async fn fresh(&mut self, batch: Batch) -> Result<Vec<(Origin, Message)>> {
        let mut fresh = Vec::with_capacity(batch.len());
        for (origin, message) in wire::messages(batch.runs) {
            if !self.taken.contains_key(&origin.source) {
                let stored = self.stored(origin.source).await?;
                let taken = Taken {
                    stored,
                    now: stored,
                };
                self.taken.insert(origin.source, taken);
            }
            let lane = self.taken.entry(origin.source).or_default();
            if origin.number > lane.now {
                lane.now = origin.number;
                fresh.push((origin, message));
            }
        }
        Ok(fresh)
    }

    async fn commit(&mut self) -> Result<()> {
        let moved = |taken: &&mut Taken| taken.now > taken.stored;
        if !self.taken.values_mut().any(|taken| moved(&taken)) {
            return Ok(());
        }
        let mut tx = self.pool.begin().await?;
        for (partition, taken) in &self.taken {
            if taken.now > taken.stored {
                let (first, last) = (taken.stored + 1, taken.now);
                tx.advance(&source::<E>(*partition), first, last).await?;
            }
        }
        tx.commit().await?;
        for taken in self.taken.values_mut() {
            taken.stored = taken.now;
        }
        Ok(())
    }
}

impl<E: Effect> Consumer for Intake<E> {
    type Error = Error;

    const NAME: &'static str = E::GROUP.name;
    const PAUSE: Duration = Duration::from_millis(100);
    const BATCHES_BETWEEN_RELEASES: u32 = 64;

    fn sources(&self) -> Vec<TopicPartition> {
        let input = E::GROUP.input;
        let count = self.following.topology.partitions(input);
        (0..count).map(|number| input.partition(number)).collect()
    }

    /// Where it was, or where the log begins now if that is later.
    async fn resume(&mut self, partition: TopicPartition) -> Result<u64> {
        let stored = self.stored(partition).await?;
        let now = stored.max(self.outcomes.log.start(partition));
        if stored > 0 && now > stored {
            let (group, missed) = (E::GROUP.name, now - stored);
            tracing::error!(group, %partition, missed, "alarm: records are gone that were not taken");
        }
        self.taken.insert(partition, Taken { stored, now });
        Ok(now)
    }

    async fn take(&mut self, batch: Batch) -> Result<()> {
        let (partition, next) = (batch.partition, batch.next);
        let fresh = self.fresh(batch).await?;
        let mut any = false;
        for messages in fresh.chunks(CHUNK) {
            let errands = self.effect.errands(partition, messages).await;
            let errands = errands.map_err(|error| Error::Effect(Box::new(error)))?;
            if errands.is_empty() {
                continue;
            }
            any = true;
            let OutcomeWriter {
                settings, clock, ..
            } = &*self.outcomes;
            let tried = turn(&*self.effect, settings, &**clock, errands).await?;
            self.outcomes.write(partition.partition, tried).await?;
        }
        self.taken.entry(partition).or_default().now = next;
        match any {
            true => self.commit().await,
            false => Ok(()),
        }
    }

    async fn sync(&mut self) -> Result<()> {
        self.commit().await?;
        Ok(self.pool.sync().await?)
    }

    fn interrupted(&mut self) {
        self.taken.clear();
    }
}

/// The position of a group in a partition, or on the lane of a journal.
pub(crate) fn source<E: Effect>(partition: TopicPartition) -> Source<'static> {
    Source {
        consumer: E::GROUP.name,
        topic: partition.topic.name(),
        partition: partition.partition,
    }
}
