//! The loop around every consumer of stage outputs (projections, streams, sinks).
//!
//! Owns the consumer's thread, its retries, what it releases on the log, and its lag; [`progress`] owns how far
//! it has come. Where processes divide the partitions among them ([`Duties`]), one process takes each
//! partition; the others follow it too if their consumer wants to see it ([`Consumer::see`]), but write
//! nothing. Refuses to skip anything: what a consumer cannot take is reported loudly and tried again from the
//! same place, and reads that need it are refused meanwhile. Only a failed log ends the loop.

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
pub(crate) use self::progress::{Places, Wishes};
pub use self::progress::{Positions, Progress};
pub use self::thread::on_a_thread;
use crate::{Duties, Duty, Retention, Topology, traced};

/// When no partition had as many messages as this, the consumer pauses.
const FULL_BATCH: usize = 4_096;
/// The least pause, however many wait for what comes after it.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// How long after a failure it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What consumers follow.
#[derive(Clone)]
pub struct Following {
    /// The end of the log.
    pub tail: Tail,
    /// Where they say how far they have come.
    pub retention: Arc<Retention>,
    /// How many partitions there are.
    pub topology: Topology,
    /// The clock for the age of a lag.
    pub clock: Arc<dyn Clock>,
    /// Which partitions this process takes.
    pub duties: Duties,
}

/// Why an attempt has ended.
enum Stop<E> {
    Log(follow::Error),
    Consumer(E),
}

/// Why a consumer has ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log has failed.
    #[error(transparent)]
    Log(#[from] follow::Error),
    /// No thread can be had, or it panicked.
    #[error("the thread of a consumer: {0}")]
    Thread(#[from] io::Error),
}

/// Runs a consumer.
pub struct Runner<C> {
    consumer: C,
    following: Following,
    follower: Follower,
    progress: watch::Sender<Places>,
    wishes: Arc<Wishes>,
    /// One for each partition that this process takes.
    takings: BTreeMap<TopicPartition, Taking>,
    /// Batches since the log was last let go of.
    unreleased: u32,
    /// Whether somebody waits for an offset.
    hurried: bool,
}

impl<C: Consumer> Runner<C> {
    /// Finds out where the consumer stands. Speaks up at the log for what it still needs, so it is
    /// to be made before anything lets go of the log.
    ///
    /// # Errors
    /// The consumer's own, or that the log has failed.
    pub async fn open(following: Following, consumer: C) -> Result<Runner<C>, C::Error> {
        let mut runner = Runner {
            consumer,
            follower: following.tail.follow([]),
            following,
            progress: watch::Sender::default(),
            wishes: Arc::default(),
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
            wishes: Arc::clone(&self.wishes),
        }
    }

    /// Who takes.
    pub const fn consumer(&self) -> &C {
        &self.consumer
    }

    /// Takes everything that is durable now; shows each batch before it is taken.
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

    /// Runs on a thread of its own until `stop`; what it does never stands in the way of an order.
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
            Arc::clone(&self.wishes),
            self.following.duties.clone(),
        );
        tokio::select! {
            () = stop => Ok(()),
            () = lag => Ok(()),
            dead = self.go_on() => Err(dead),
        }
    }

    /// Takes what comes while it is this process's to take, and begins anew after every failure but the
    /// log's.
    async fn go_on(&mut self) -> follow::Error {
        let name = self.consumer.name();
        // While another process takes all, what was found out when this one was made gets old.
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

    /// The duty of a consumer that does not see what others take: of all or nothing.
    fn whole_duty(&self) -> Duty {
        self.following.duties.of(0).clone()
    }

    /// Goes on from where it stands until it has to find that out anew.
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
        let (wishes, name) = (Arc::clone(&self.wishes), self.consumer.name());
        tokio::select! {
            Err(why) = self.take_all() => Err(why),
            () = duty.over(), if !C::SEES => Ok(()),
            () = wishes.doubt.notified() => {
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

    /// Whether a partition has become this process's to take.
    fn take_up(&mut self, partition: TopicPartition) -> bool {
        if self.takes(partition) {
            return false;
        }
        let duty = self.following.duties.of(partition.partition);
        let taking = duty.take_up();
        taking.is_some_and(|taking| self.takings.insert(partition, taking).is_none())
    }

    /// Lets go of partitions that are another process's to take by now, and finds out where those stand that have become
    /// this one's: whoever had them may not have come as far as was seen here.
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
            // Taken note of before looking, so that what comes after the look wakes.
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
                    // Somebody may wait for what is to be let go of.
                    _ = moved.changed() => {}
                }
            }
        }
    }

    /// The next batch. Whoever waits for an offset that no record stands before is told meanwhile that
    /// the consumer has come so far.
    async fn next(&mut self) -> Result<Batch, follow::Error> {
        loop {
            if std::mem::take(&mut self.hurried) {
                let wanted = self.wishes.wanted();
                let (blanks, batch) = self.follower.search(&wanted)?;
                self.pass_over(&blanks);
                if let Some(batch) = batch {
                    self.wishes.want(wanted);
                    self.hurried = true;
                    return Ok(batch);
                }
            }
            tokio::select! {
                batch = self.follower.next() => return batch,
                () = self.wishes.hurry.notified() => self.hurried = true,
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

    /// Lets more come together, but not longer than [`PAUSE_MIN`] when somebody waits for it.
    async fn pause(&mut self) {
        tokio::time::sleep(PAUSE_MIN).await;
        let rest = C::PAUSE.saturating_sub(PAUSE_MIN);
        let hurried = tokio::time::timeout(rest, self.wishes.hurry.notified()).await;
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

    /// Lets go of the log behind what the consumer has taken.
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
