//! Follows what the stages tell, from the end of the log on, on a thread of its own.
//!
//! Nothing is told that is not durable (I8), and nothing twice: repeats on a lane are left out. After
//! a gap, or anything that cannot be read, every listener is ended and clients begin anew; a stream
//! that is missing something is never passed off as whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::{Poisoned, Topic, TopicPartition};
use prepx_domain::market::{MINUTE_US, interval};
use prepx_domain::update::{AccountUpdate, Change, MarketChange, MarketUpdate};
use prepx_domain::{InstrumentId, Micros};
use prepx_env::Clock;
use prepx_proto::journal;
use prepx_runtime::{Drain, TaskError};
use prepx_stage::follow::{self, Batch, Follower, Message, Run, Tail};
use prepx_stage::port::{MatchingPort, ReadError};
use prepx_stage::{Retention, Topology};
use tokio::sync::oneshot;

use crate::hub::Hub;

/// The name under which the streams hold on to what they have not told.
const CONSUMER: &str = "notification";
/// How long after its end a minute is told, so that its last trades are in it.
const GRACE_US: i64 = 200_000;
/// How long after a failure it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Why following was interrupted.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Follow(#[from] follow::Error),
    #[error("{partition}: {found} follows {last} on the lane of {source_journal}")]
    Gap {
        partition: TopicPartition,
        source_journal: TopicPartition,
        last: u64,
        found: u64,
    },
    #[error("{partition} at offset {offset}: {source}")]
    Poison {
        partition: TopicPartition,
        offset: u64,
        source: journal::Error,
    },
    #[error("the instruments cannot be asked for: {0}")]
    Instruments(#[from] ReadError),
}

/// What the streams are made of.
pub struct Sources {
    /// The end of the log.
    pub tail: Tail,
    /// Where they say how far they have come.
    pub retention: Arc<Retention>,
    /// How many partitions there are.
    pub topology: Topology,
    /// Who knows the instruments.
    pub matching: Arc<dyn MatchingPort>,
    /// Tells when a minute is over.
    pub clock: Arc<dyn Clock>,
}

/// Follows the log and tells the hub.
pub struct Following {
    sources: Sources,
    hub: Arc<Hub>,
    follower: Follower,
    /// The last number of each lane.
    lanes: HashMap<(TopicPartition, TopicPartition), u64>,
}

impl Following {
    /// From here on.
    ///
    /// # Errors
    /// When the log has failed.
    pub fn new(sources: Sources, hub: Arc<Hub>) -> Result<Following, Poisoned> {
        let follower = from_the_end(&sources)?;
        Ok(Following {
            sources,
            hub,
            follower,
            lanes: HashMap::new(),
        })
    }

    /// Runs until the process ends.
    pub async fn run(self, drain: Drain) -> Result<(), TaskError> {
        let (ended, end) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let work = move || {
            let outcome = runtime.block_on(self.follow(&drain));
            // Nobody to tell means that the process is at its end.
            let _ = ended.send(outcome);
        };
        std::thread::Builder::new()
            .name("notification".into())
            .spawn(work)?;
        end.await?.map_err(TaskError::from)
    }

    async fn follow(mut self, drain: &Drain) -> Result<(), follow::Error> {
        loop {
            let error = tokio::select! {
                () = drain.draining() => break,
                error = self.take_all() => error,
            };
            self.hub.interrupt();
            tracing::error!(%error, "alarm: streams were interrupted; they begin anew");
            if let Error::Follow(dead @ follow::Error::Poisoned(_)) = error {
                return Err(dead);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
            self.lanes.clear();
            self.follower = from_the_end(&self.sources)?;
        }
        self.hub.end();
        drain.stopping().await;
        Ok(())
    }

    /// Tells what comes until something fails.
    async fn take_all(&mut self) -> Error {
        if let Err(error) = self.define().await {
            return error;
        }
        loop {
            let now = self.sources.clock.now();
            tokio::select! {
                () = tokio::time::sleep(until_minute_is_over(now)) => {
                    self.hub.close_minutes(self.sources.clock.now().plus_us(-GRACE_US));
                }
                batch = self.follower.next() => {
                    let taken = match batch {
                        Ok(batch) => self.take(batch).await,
                        Err(error) => Err(error.into()),
                    };
                    if let Err(error) = taken {
                        return error;
                    }
                }
            }
        }
    }

    async fn define(&self) -> Result<(), Error> {
        let views = self.sources.matching.instruments().await?;
        let now = self.sources.clock.now();
        let bars_from = interval(now, MINUTE_US).plus_us(MINUTE_US);
        self.hub.define(&views, bars_from);
        Ok(())
    }

    async fn take(&mut self, batch: Batch) -> Result<(), Error> {
        let (partition, next) = (batch.partition, batch.next);
        self.tell(batch).await?;
        let released = self.sources.retention.release(CONSUMER, partition, next);
        Ok(released.map_err(follow::Error::from)?)
    }

    async fn tell(&mut self, batch: Batch) -> Result<(), Error> {
        let mut fresh = Vec::with_capacity(batch.len());
        for run in batch.runs {
            fresh.extend(self.fresh(batch.partition, run)?);
        }
        match batch.partition.topic {
            Topic::MarketData => {
                let updates: Vec<MarketUpdate> = decode(batch.partition, &fresh)?;
                let is_named =
                    |update: &&MarketUpdate| !matches!(update.change, MarketChange::Defined(_));
                let named = updates.iter().filter(is_named);
                self.know(named.map(|update| update.instrument)).await?;
                self.hub.tell_markets(&updates);
            }
            _ => {
                let updates: Vec<AccountUpdate> = decode(batch.partition, &fresh)?;
                let named = updates.iter().filter_map(|update| match &update.change {
                    Change::Order { order, .. } => Some(order.instrument),
                    _ => None,
                });
                self.know(named).await?;
                self.hub.tell_accounts(&updates);
            }
        }
        Ok(())
    }

    /// The messages of a run that were not there before.
    fn fresh(&mut self, partition: TopicPartition, run: Run) -> Result<Vec<Message>, Error> {
        let (first, last) = (run.first, run.last());
        let known = self
            .lanes
            .entry((partition, run.source))
            .or_insert(first - 1);
        if first > *known + 1 {
            return Err(Error::Gap {
                partition,
                source_journal: run.source,
                last: *known,
                found: first,
            });
        }
        let repeats = usize::try_from(*known + 1 - first).unwrap_or(usize::MAX);
        *known = last.max(*known);
        Ok(run.messages.into_iter().skip(repeats).collect())
    }

    /// Asks for the instruments when one is not known.
    async fn know(&self, named: impl Iterator<Item = InstrumentId>) -> Result<(), Error> {
        for instrument in named {
            if !self.hub.knows(instrument) {
                return self.define().await;
            }
        }
        Ok(())
    }
}

/// Follows every partition from its end on, and holds on to what comes.
fn from_the_end(sources: &Sources) -> Result<Follower, Poisoned> {
    let mut ends = Vec::new();
    for topic in [Topic::PortfolioUpdates, Topic::MarketData] {
        for number in 0..sources.topology.partitions(topic) {
            let partition = topic.partition(number);
            let end = sources.tail.end(partition);
            sources.retention.release(CONSUMER, partition, end)?;
            ends.push((partition, end));
        }
    }
    Ok(sources.tail.follow(ends))
}

fn decode<T: journal::Record>(
    partition: TopicPartition,
    messages: &[Message],
) -> Result<Vec<T>, Error> {
    let decode = |message: &Message| {
        journal::decode(&message.payload).map_err(|source| Error::Poison {
            partition,
            offset: message.offset,
            source,
        })
    };
    messages.iter().map(decode).collect()
}

fn until_minute_is_over(now: Micros) -> Duration {
    let since_us = now.plus_us(-GRACE_US).0.rem_euclid(MINUTE_US);
    Duration::from_micros(u64::try_from(MINUTE_US - since_us).unwrap_or(0))
}
