//! Writes the outcomes of attempts to the log, durably, before any position moves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prepx_bus::{AppendError, Batch, Log, TopicPartition, WaitError};
use prepx_env::Clock;
use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::wire::{Note, put_errand, put_note};
use crate::{Errand, Group, Next, Outcome, Settings};

/// Batches are appended when they reach this size.
const BATCH_BYTES: usize = 256 << 10;
/// How long to wait when the log's buffer is full.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// How long to wait before looking again whether a batch is durable.
const DURABLE_WAIT: Duration = Duration::from_secs(10);

/// Writes a group's errands to the log.
pub(crate) struct OutcomeWriter {
    pub group: Group,
    pub settings: Settings,
    pub log: Arc<dyn Log>,
    pub clock: Arc<dyn Clock>,
    delays_us: Vec<i64>,
    /// How many errands wait in each partition of a retry topic. Counted here, because asking for the end of a partition
    /// may take a round trip.
    waiting: Mutex<HashMap<TopicPartition, u64>>,
    /// Whether the errands that waited before this process began are counted. Until then the free space is unknown.
    counted: watch::Sender<bool>,
}

impl OutcomeWriter {
    pub fn new(group: Group, settings: Settings, log: Arc<dyn Log>, clock: Arc<dyn Clock>) -> Self {
        OutcomeWriter {
            delays_us: settings.delays_us(),
            group,
            settings,
            log,
            clock,
            waiting: Mutex::default(),
            counted: watch::Sender::new(false),
        }
    }

    /// Sets whether all waiting errands are counted.
    pub fn set_counted(&self, counted: bool) {
        self.counted.send_replace(counted);
    }

    /// Changes how many errands wait in a partition of a retry topic; returns the new number.
    pub fn waiting(&self, partition: TopicPartition, change: impl FnOnce(&mut u64)) -> u64 {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(partition).or_default();
        change(count);
        *count
    }

    /// Writes the outcomes of a partition's errands, once all waiting errands are counted; returns when they are durable.
    pub async fn write(&self, partition: u32, tried: Vec<(Errand, Outcome)>) -> Result<()> {
        let mut counted = self.counted.subscribe();
        // Who says so is part of this, so the wait has no other end.
        drop(counted.wait_for(|counted| *counted).await);
        let mut batch = Batch::new();
        for (errand, outcome) in tried {
            self.add(partition, errand, outcome, &mut batch);
            if batch.payload_bytes() >= BATCH_BYTES {
                self.append(&batch).await?;
                batch.clear();
            }
        }
        match batch.is_empty() {
            true => Ok(()),
            false => self.append(&batch).await,
        }
    }

    fn add(&self, partition: u32, mut errand: Errand, outcome: Outcome, to: &mut Batch) {
        let done = outcome == Outcome::Done;
        let next = errand.settle(outcome, self.clock.now(), &self.delays_us);
        let counted = match next {
            Next::Over if done => "delivered",
            Next::Over => "gone",
            Next::Retry(level) if self.has_room(level, partition) => {
                let topic = self.group.retries[level];
                let topic_partition = topic.partition(partition);
                to.push_with(topic_partition, |to| put_errand(&errand, to));
                self.waiting(topic_partition, |count| *count += 1);
                "retried"
            }
            Next::Retry(_) | Next::Dead => {
                let origin = errand.origin;
                let note = Note::Letter(Box::new(errand));
                let dead = self.group.dead.partition(partition);
                to.push_with(dead, |to| put_note(origin, &note, to));
                "dead"
            }
        };
        let counter = metrics::counter!("prepx_errands_total", "group" => self.group.name, "outcome" => counted);
        counter.increment(1);
    }

    fn has_room(&self, level: usize, partition: u32) -> bool {
        let topic = self.group.retries.get(level);
        topic.is_some_and(|topic| {
            self.waiting(topic.partition(partition), |_| ()) < self.settings.waiting_max
        })
    }

    /// Appends, and waits until it is durable.
    pub async fn append(&self, batch: &Batch) -> Result<()> {
        let position = loop {
            match self.log.append(None, batch) {
                Ok(position) => break position,
                Err(AppendError::Full { .. }) => tokio::time::sleep(FULL_PAUSE).await,
                Err(AppendError::Poisoned(poisoned)) => return Err(poisoned.into()),
                Err(error) => return Err(error.into()),
            }
        };
        loop {
            let log = Arc::clone(&self.log);
            let wait = move || log.wait_durable(position, DURABLE_WAIT);
            match tokio::task::spawn_blocking(wait).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(WaitError::Timeout { .. })) => {}
                Ok(Err(WaitError::Poisoned(poisoned))) => return Err(poisoned.into()),
                Ok(Err(lost)) => return Err(Error::Effect(Box::new(lost))),
                Err(panicked) => return Err(Error::Effect(Box::new(panicked))),
            }
        }
    }
}
