//! Everything after the first attempt: the retry topics, in each of which the first errand is always the next one
//! due, and the dead letters.
//!
//! All errands of a retry topic wait equally long, so they become due in their order. An embedded log can only free space
//! from its oldest record on. So an errand that has waited while too much was written behind it is appended again at the
//! end, with everything that waits behind it, and its old place is freed.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use prepx_bus::{Batch as LogBatch, Topic, TopicPartition};
use prepx_stage::consume::{self, on_a_thread};
use prepx_stage::follow::{self, Follower};
use prepx_stage::{Following, Runner};
use prepx_store::Pool;

use crate::error::{Error, Result};
use crate::intake::{Deps, Intake, source};
use crate::letters;
use crate::outcomes::OutcomeWriter;
use crate::turn::turn;
use crate::wire::{self, Note, Verdict};
use crate::{Effect, Errand};

/// How often to look whether something is due.
const LOOK: Duration = Duration::from_millis(200);
/// How long after a failure it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How many errands make a turn.
const CHUNK: usize = 256;

/// The retry topics and the dead letters of a group.
pub struct Retries<E>(Arc<Shared<E>>);

struct Shared<E> {
    effect: Arc<E>,
    outcomes: Arc<OutcomeWriter>,
    following: Following,
    pool: Pool,
}

impl<E: Effect> Retries<E> {
    /// Those of the group with this intake.
    pub fn of(deps: Deps<E>, intake: &Runner<Intake<E>>) -> Retries<E> {
        Retries(Arc::new(Shared {
            effect: deps.effect,
            outcomes: intake.consumer().outcomes(),
            following: deps.following,
            pool: deps.pool,
        }))
    }

    /// Runs on a thread of its own until `stop`.
    ///
    /// # Errors
    /// When the log has failed.
    pub async fn run(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::result::Result<(), consume::Error> {
        let name = format!("{}-retries", E::GROUP.name);
        let work = move || {
            prepx_env::yield_to_others();
            async move {
                tokio::select! {
                    () = stop => Ok(()),
                    dead = self.0.go_on() => Err(dead),
                }
            }
        };
        Ok(on_a_thread(&name, work).await??)
    }
}

impl<E: Effect> Shared<E> {
    /// Works while this process is on duty, and starts over after every failure except the log's.
    async fn go_on(&self) -> follow::Error {
        let duty = self.following.duties.of(0).clone();
        loop {
            let taking = duty.taken().await;
            let failed = tokio::select! {
                Err(why) = self.work() => Some(why),
                () = duty.over() => None,
            };
            // The process that takes over counts them, and so does this one when it begins again.
            self.show(0);
            self.outcomes.set_counted(false);
            drop(taking);
            match failed {
                None => continue,
                Some(Error::Follow(dead @ follow::Error::Poisoned(_))) => return dead,
                Some(error) => {
                    let (group, error) =
                        (E::GROUP.name, &error as &(dyn std::error::Error + 'static));
                    tracing::error!(
                        group,
                        error,
                        "alarm: a group cannot go on; it is tried again"
                    );
                }
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn work(&self) -> Result<std::convert::Infallible> {
        let group = E::GROUP;
        // All before anything begins: the log may take a round trip for each and hold up this thread meanwhile,
        // when nobody may be waiting for an answer of the store.
        let mut topics = Vec::new();
        for topic in group.retries {
            topics.push((*topic, self.heads(*topic).await?));
        }
        self.outcomes.set_counted(true);
        let dead = self.places(group.dead).await?;
        let retries = topics.into_iter();
        let retries = try_join_all(retries.map(|(topic, heads)| self.retry(topic, heads)));
        let (_, never) = tokio::try_join!(retries, self.bury(dead))?;
        Ok(never)
    }

    async fn places(&self, topic: Topic) -> Result<Vec<Place>> {
        let count = self.following.topology.partitions(topic);
        let mut places = Vec::new();
        for partition in (0..count).map(|number| topic.partition(number)) {
            let stored = self.pool.position(&source::<E>(partition)).await?;
            let next = stored.max(self.outcomes.log.start(partition));
            self.release(partition, stored)?;
            places.push(Place {
                partition,
                stored,
                follower: self.following.tail.follow([(partition, next)]),
            });
        }
        Ok(places)
    }

    async fn heads(&self, topic: Topic) -> Result<Vec<Head>> {
        let mut heads = Vec::new();
        for place in self.places(topic).await? {
            let end = self.outcomes.log.end(place.partition);
            let waiting = end.saturating_sub(place.stored);
            (self.outcomes).waiting(place.partition, |count| *count = waiting);
            heads.push(Head::at(place));
        }
        Ok(heads)
    }

    fn release(&self, partition: TopicPartition, next: u64) -> Result<()> {
        let retention = &self.following.retention;
        Ok(retention.release(E::GROUP.name, partition, next)?)
    }

    /// Waits at the heads of a retry topic.
    async fn retry(&self, topic: Topic, mut heads: Vec<Head>) -> Result<std::convert::Infallible> {
        loop {
            let (mut any, mut waiting) = (false, 0);
            for head in &mut heads {
                any |= self.step(head).await?;
                waiting += self.outcomes.waiting(head.place.partition, |_| ());
            }
            let gauge = metrics::gauge!("prepx_errands_waiting", "group" => E::GROUP.name, "topic" => topic.name());
            gauge.set(waiting as f64);
            if !any {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Tries what is due at the head of a partition; returns whether anything was.
    async fn step(&self, head: &mut Head) -> Result<bool> {
        if !head.look()? {
            return Ok(false);
        }
        let OutcomeWriter {
            settings, clock, ..
        } = &*self.outcomes;
        let now = clock.now();
        let is_due = |(_, errand): &&(u64, Errand)| errand.due <= now;
        let due = head.waiting.iter().take(CHUNK).take_while(is_due).count();
        if due == 0 {
            return self.carry(head).await;
        }
        let errands = head.waiting.drain(..due).map(|(_, errand)| errand);
        let tried = turn(&*self.effect, settings, &**clock, errands.collect()).await?;
        let partition = head.place.partition;
        self.outcomes.write(partition.partition, tried).await?;
        self.commit(head).await?;
        let less = |count: &mut u64| *count = count.saturating_sub(due as u64);
        self.outcomes.waiting(partition, less);
        Ok(true)
    }

    /// Moves the position up to what still waits.
    async fn commit(&self, head: &mut Head) -> Result<()> {
        let next = head.next();
        let place = &mut head.place;
        let mut tx = self.pool.begin().await?;
        let of = source::<E>(place.partition);
        tx.advance(&of, place.stored + 1, next).await?;
        tx.commit().await?;
        place.stored = next;
        self.release(place.partition, next)
    }

    /// Appends a partition's waiting errands again when the first keeps too much of an embedded log from being freed.
    async fn carry(&self, head: &mut Head) -> Result<bool> {
        let log = &*self.outcomes.log;
        if !log.runs_ahead() {
            return Ok(false);
        }
        let partition = head.place.partition;
        let held = head.held(log.durable().0, log.end(partition));
        let at_most = self
            .outcomes
            .settings
            .held_bytes_max
            .max(4 * head.carried_bytes);
        if held <= at_most {
            return Ok(false);
        }
        let end = log.end(partition);
        head.carried_bytes = 0;
        while head.place.stored < end && head.look()? {
            let mut batch = LogBatch::new();
            for (_, errand) in head.waiting.drain(..) {
                batch.push_with(partition, |to| wire::put_errand(&errand, to));
            }
            head.carried_bytes += batch.payload_bytes() as u64;
            self.outcomes.append(&batch).await?;
            self.commit(head).await?;
        }
        Ok(true)
    }

    /// Stores dead letters and carries out what operators decide about them.
    async fn bury(&self, mut places: Vec<Place>) -> Result<std::convert::Infallible> {
        self.show(letters::count(E::GROUP.name, &mut self.pool.read().await?).await?);
        loop {
            let mut any = false;
            for place in &mut places {
                any |= self.read_notes(place).await?;
            }
            if !any {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    async fn read_notes(&self, place: &mut Place) -> Result<bool> {
        let Some(batch) = place.follower.look()? else {
            return Ok(false);
        };
        let (partition, next, group) = (batch.partition, batch.next, E::GROUP);
        let mut tx = self.pool.begin().await?;
        let mut again = LogBatch::new();
        for note in wire::notes(batch)? {
            match note {
                Note::Letter(errand) => letters::keep(&mut tx, &group, &errand).await?,
                Note::Verdict(Verdict { id, by, replay }) => {
                    let Some(errand) = letters::take(&mut tx, &group, id).await? else {
                        continue;
                    };
                    tracing::info!(group = group.name, letter = %id, operator = %by, replay, "a dead letter was settled");
                    if let (true, Some(first)) = (replay, group.retries.first()) {
                        let errand = errand.anew(self.outcomes.clock.now());
                        let to = first.partition(partition.partition);
                        again.push_with(to, |to| wire::put_errand(&errand, to));
                        self.outcomes.waiting(to, |count| *count += 1);
                    }
                }
            }
        }
        let letters_max = self.outcomes.settings.letters_max;
        let forgotten = letters::forget_beyond(&mut tx, &group, letters_max).await?;
        if forgotten > 0 {
            tracing::error!(
                group = group.name,
                forgotten,
                letters_max,
                "alarm: the oldest dead letters were forgotten"
            );
        }
        if !again.is_empty() {
            // Before the letters are deleted: a crash between the two leaves both, and the errand is tried
            // once more.
            self.outcomes.append(&again).await?;
        }
        tx.advance(&source::<E>(partition), place.stored + 1, next)
            .await?;
        let count = letters::count(group.name, &mut tx).await?;
        tx.commit().await?;
        place.stored = next;
        self.show(count);
        self.release(partition, next)?;
        Ok(true)
    }

    fn show(&self, letters: u64) {
        metrics::gauge!("prepx_dead_letters", "group" => E::GROUP.name).set(letters as f64);
    }
}

/// Where a partition is read from.
struct Place {
    partition: TopicPartition,
    /// What the store says has been processed.
    stored: u64,
    follower: Follower,
}

/// The head of a partition of a retry topic.
struct Head {
    place: Place,
    /// What was read and is not due yet, with its offset.
    waiting: VecDeque<(u64, Errand)>,
    /// The offset at which reading continues.
    read: u64,
    /// Ends of the log and of this partition at past times, oldest first; from these follows how much is held.
    marks: VecDeque<(u64, u64)>,
    /// What was appended again the last time.
    carried_bytes: u64,
}

/// How much of the log is between two marks.
const MARK_BYTES: u64 = 1 << 20;

impl Head {
    fn at(place: Place) -> Head {
        Head {
            read: place.stored,
            place,
            waiting: VecDeque::new(),
            marks: VecDeque::new(),
            carried_bytes: 0,
        }
    }

    /// Reads on when nothing that was read is left; returns whether anything waits.
    fn look(&mut self) -> Result<bool> {
        if self.waiting.is_empty()
            && let Some(batch) = self.place.follower.look()?
        {
            self.read = batch.next;
            self.waiting = wire::errands(batch)?.into();
        }
        Ok(!self.waiting.is_empty())
    }

    /// The offset of the first waiting errand.
    fn next(&self) -> u64 {
        self.waiting
            .front()
            .map_or(self.read, |(offset, _)| *offset)
    }

    /// How far back on a log that ends at `position` the head is at least, while this partition ends at
    /// `end`.
    fn held(&mut self, position: u64, end: u64) -> u64 {
        let next = self.next();
        while self.marks.front().is_some_and(|(_, end)| *end <= next) {
            self.marks.pop_front();
        }
        if (self.marks.back())
            .is_none_or(|(marked, _)| position.saturating_sub(*marked) >= MARK_BYTES)
        {
            self.marks.push_back((position, end));
        }
        let oldest = self
            .marks
            .front()
            .map_or(position, |(position, _)| *position);
        position.saturating_sub(oldest)
    }
}
