//! The loop around every consumer of stage outputs (projections, streams, sinks).
//!
//! Owns the consumer's thread, its retries, its releases of the log, and its lag; [`progress`] owns how far it has come.
//! Where processes divide the partitions among them ([`Duties`]), one process takes each partition; the others follow it
//! if their consumer wants to see it ([`Consumer::see`]), but write nothing. Refuses to skip anything: a batch that a
//! consumer cannot process raises an alarm and is tried again, and reads that need it are refused meanwhile. Only a
//! failed log ends the loop.

mod consumer;
pub(crate) mod duty;
pub mod follow;
pub(crate) mod lag;
mod progress;
#[cfg(test)]
mod tests;
mod thread;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::TopicPartition;
use prepx_env::Clock;
use tokio::sync::watch;

pub use self::consumer::Consumer;
use self::duty::Taking;
use self::follow::{Batch, Blanks, Follower, Tail};
use self::lag::Lag;
use self::progress::Place;
pub(crate) use self::progress::{Places, Requests};
pub use self::progress::{Positions, Progress};
pub use self::thread::on_a_thread;
use crate::{Duties, Duty, Retention, Topology, traced};

/// The consumer pauses when no partition had as many messages as this.
const FULL_BATCH: usize = 4_096;
/// The least pause, however many readers wait.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What consumers need to follow the log.
#[derive(Clone)]
pub struct Following {
    /// The end of the log.
    pub tail: Tail,
    /// Where they release the log.
    pub retention: Arc<Retention>,
    /// The number of partitions.
    pub topology: Topology,
    /// The clock for the age of a lag.
    pub clock: Arc<dyn Clock>,
    /// The partitions that this process takes.
    pub duties: Duties,
}

/// Why an attempt ended.
enum Stop<E> {
    Log(follow::Error),
    Consumer(E),
}

/// Why a consumer ended before it was stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log has failed.
    #[error(transparent)]
    Log(#[from] follow::Error),
    /// The thread could not be started, or panicked.
    #[error("the thread of a consumer: {0}")]
    Thread(#[from] io::Error),
}

/// Runs a consumer.
pub struct Runner<C> {
    consumer: C,
    following: Following,
    follower: Follower,
    progress: watch::Sender<Places>,
    requests: Arc<Requests>,
    /// For each partition that this process takes.
    takings: BTreeMap<TopicPartition, Taking>,
    /// Batches since the log was last released.
    unreleased: u32,
    /// Whether somebody waits for an offset.
    hurried: bool,
}

impl<C: Consumer> Runner<C> {
    /// Reads the consumer's positions, and registers with [`Retention`] what it still needs, so this must happen before
    /// anything releases the log.
    ///
    /// # Errors
    /// The consumer's own, or that the log has failed.
    pub async fn open(following: Following, consumer: C) -> Result<Runner<C>, C::Error> {
        let mut runner = Runner {
            consumer,
            follower: following.tail.follow([]),
            following,
            progress: watch::Sender::default(),
            requests: Arc::default(),
            takings: BTreeMap::new(),
            unreleased: 0,
            hurried: false,
        };
        runner.begin().await.map_err(Stop::into_error)?;
        Ok(runner)
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        Progress {
            places: self.progress.subscribe(),
            requests: Arc::clone(&self.requests),
        }
    }

    /// The consumer.
    pub const fn consumer(&self) -> &C {
        &self.consumer
    }

    /// Processes everything that is durable now; calls `seen` with each batch first.
    ///
    /// # Errors
    /// The first one, without trying again.
    pub async fn catch_up(&mut self, mut seen: impl FnMut(&Batch)) -> Result<(), C::Error> {
        self.settle().await.map_err(Stop::into_error)?;
        while let Some(batch) = self.follower.look()? {
            seen(&batch);
            if let Err(why) = self.take(batch).await {
                self.consumer.interrupted();
                self.begin().await.map_err(Stop::into_error)?;
                return Err(why.into_error());
            }
        }
        Ok(())
    }

    /// Runs on a thread of its own until `stop`.
    ///
    /// # Errors
    /// When the log has failed.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        let name = self.consumer.name();
        let work = move || {
            if C::YIELDS {
                prepx_env::yield_to_others();
            }
            self.follow(stop)
        };
        let outcome = on_a_thread(&name, work).await?;
        Ok(outcome?)
    }

    async fn follow(mut self, stop: impl Future<Output = ()>) -> Result<(), follow::Error> {
        let name = self.consumer.name();
        let lag = Lag::new(&name, &self.following.tail, &self.following.clock).watch(
            self.progress.subscribe(),
            Arc::clone(&self.requests),
            self.following.duties.clone(),
        );
        tokio::select! {
            () = stop => Ok(()),
            () = lag => Ok(()),
            dead = self.go_on() => Err(dead),
        }
    }

    /// Runs attempts, each until the duty ends or a failure; only a failure of the log ends it.
    async fn go_on(&mut self) -> follow::Error {
        let name = self.consumer.name();
        // While another process takes everything, the positions read by `open` become stale.
        let mut knows_where = C::SEES || self.whole_duty().is_mine();
        loop {
            let ended = self.attempt(&mut knows_where).await;
            self.consumer.interrupted();
            self.takings.clear();
            match ended {
                Ok(()) => continue,
                Err(Stop::Log(dead @ follow::Error::Poisoned(_))) => return dead,
                Err(Stop::Log(error)) => alarm(&name, &error),
                Err(Stop::Consumer(error)) => alarm(&name, &error),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// The duty of a consumer that does not see what others take: all partitions or none.
    fn whole_duty(&self) -> Duty {
        self.following.duties.of(0).clone()
    }

    /// Processes batches until the positions have to be read again.
    async fn attempt(&mut self, knows_where: &mut bool) -> Result<(), Stop<C::Error>> {
        let duty = self.whole_duty();
        let _taking = match C::SEES {
            true => None,
            false => Some(duty.taken().await),
        };
        if !std::mem::take(knows_where) {
            self.begin().await?;
        }
        self.consumer.prepare().await.map_err(Stop::Consumer)?;
        let (requests, name) = (Arc::clone(&self.requests), self.consumer.name());
        tokio::select! {
            Err(why) = self.take_all() => Err(why),
            () = duty.over(), if !C::SEES => Ok(()),
            () = requests.recheck.notified() => {
                tracing::warn!(consumer = name, "a consumer has stored less than it took");
                Ok(())
            }
        }
    }

    async fn begin(&mut self) -> Result<(), Stop<C::Error>> {
        let mut positions = Positions::new();
        self.takings.clear();
        for partition in self.consumer.sources() {
            self.take_up(partition);
            let next = self.consumer.resume(partition).await;
            positions.push((partition, next.map_err(Stop::Consumer)?));
        }
        let place = |(of, next): &(TopicPartition, u64)| (*of, Place::at(*next, self.takes(*of)));
        let places = positions.iter().map(place);
        self.progress.send_replace(places.collect());
        self.follower = self.following.tail.follow(positions);
        self.release().await
    }

    fn takes(&self, partition: TopicPartition) -> bool {
        !C::SEES || self.takings.contains_key(&partition)
    }

    /// Starts taking a partition if it is this process's duty; returns whether this is new.
    fn take_up(&mut self, partition: TopicPartition) -> bool {
        if self.takes(partition) {
            return false;
        }
        let duty = self.following.duties.of(partition.partition);
        let taking = duty.take_up();
        taking.is_some_and(|taking| self.takings.insert(partition, taking).is_none())
    }

    /// Gives up partitions that are now another process's duty, and reads the positions of those that are now this one's:
    /// their previous process may not have come as far as was seen here.
    async fn settle(&mut self) -> Result<(), Stop<C::Error>> {
        let duties = &self.following.duties;
        let over = |of: &TopicPartition, _: &mut Taking| !duties.of(of.partition).is_mine();
        for (partition, taking) in self.takings.extract_if(.., over) {
            self.progress.send_modify(|places| {
                places.entry(partition).or_default().is_taken = false;
            });
            drop(taking);
        }
        for partition in self.consumer.sources() {
            if self.take_up(partition) {
                let next = self.consumer.resume(partition).await;
                let next = next.map_err(Stop::Consumer)?;
                self.follower.resume(partition, next);
                self.progress.send_modify(|places| {
                    places.insert(partition, Place::at(next, true));
                });
            }
        }
        Ok(())
    }

    async fn take_all(&mut self) -> Result<std::convert::Infallible, Stop<C::Error>> {
        let mut moved = self.following.duties.watch();
        loop {
            // Marked before looking, so that changes after the look wake this.
            moved.mark_unchanged();
            self.settle().await?;
            let first = tokio::select! {
                first = self.next() => first.map_err(Stop::Log)?,
                _ = moved.changed() => continue,
            };
            let (mut batch, mut largest) = (Some(first), 0);
            let mut partitions = self.progress.borrow().len();
            while let Some(taken) = batch.take() {
                largest = largest.max(taken.len());
                self.take(taken).await?;
                partitions = partitions.saturating_sub(1);
                if partitions > 0 && !moved.has_changed().unwrap_or(true) {
                    batch = self.follower.look().map_err(Stop::Log)?;
                }
            }
            let pauses = !C::PAUSE.is_zero() && !self.consumer.is_awaited();
            if largest < FULL_BATCH && pauses {
                tokio::select! {
                    () = self.pause() => {}
                    // Another process may wait for a partition that must be given up.
                    _ = moved.changed() => {}
                }
            }
        }
    }

    /// The next batch. Meanwhile, readers that wait for an offset without a record before it are told that the consumer
    /// has reached it.
    async fn next(&mut self) -> Result<Batch, follow::Error> {
        loop {
            if std::mem::take(&mut self.hurried) {
                let wanted = self.requests.wanted();
                let (blanks, batch) = self.follower.search(&wanted)?;
                self.pass_over(&blanks);
                if let Some(batch) = batch {
                    self.requests.want(wanted);
                    self.hurried = true;
                    return Ok(batch);
                }
            }
            tokio::select! {
                batch = self.follower.next() => return batch,
                () = self.requests.hurry.notified() => self.hurried = true,
            }
        }
    }

    fn pass_over(&self, blanks: &Blanks) {
        self.progress.send_if_modified(|places| {
            let mut news = false;
            for &(partition, next) in blanks {
                let place = places.entry(partition).or_default();
                news |= std::mem::replace(&mut place.next, next) != next;
            }
            news
        });
    }

    /// Waits for more messages, but no longer than [`PAUSE_MIN`] when somebody waits for the consumer.
    async fn pause(&mut self) {
        tokio::time::sleep(PAUSE_MIN).await;
        let rest = C::PAUSE.saturating_sub(PAUSE_MIN);
        let hurried = tokio::time::timeout(rest, self.requests.hurry.notified()).await;
        self.hurried |= hurried.is_ok();
    }

    async fn take(&mut self, batch: Batch) -> Result<(), Stop<C::Error>> {
        let (partition, next) = (batch.partition, batch.next);
        let is_taken = self.takes(partition);
        let done = if is_taken {
            let spans = traced::begin(&batch);
            let done = self.consumer.take(batch).await;
            if done.is_ok() {
                traced::end(spans, partition, C::NAME);
            }
            done
        } else {
            self.consumer.see(&batch)
        };
        done.map_err(Stop::Consumer)?;
        self.progress.send_modify(|places| {
            places.insert(partition, Place::at(next, is_taken));
        });
        self.unreleased += u32::from(is_taken);
        if self.unreleased < C::BATCHES_BETWEEN_RELEASES {
            return Ok(());
        }
        self.release().await
    }

    /// Releases the log behind the consumer's positions.
    async fn release(&mut self) -> Result<(), Stop<C::Error>> {
        self.consumer.sync().await.map_err(Stop::Consumer)?;
        self.unreleased = 0;
        let places = self.progress.borrow().clone();
        for (partition, Place { next, .. }) in places {
            let released = self.following.retention.release(C::NAME, partition, next);
            released.map_err(|poisoned| Stop::Log(poisoned.into()))?;
        }
        Ok(())
    }
}

impl<E: From<follow::Error>> Stop<E> {
    fn into_error(self) -> E {
        match self {
            Stop::Log(error) => error.into(),
            Stop::Consumer(error) => error,
        }
    }
}

fn alarm(consumer: &str, error: &(dyn std::error::Error + 'static)) {
    tracing::error!(
        consumer,
        error,
        "alarm: a consumer cannot go on; it is tried again"
    );
}
