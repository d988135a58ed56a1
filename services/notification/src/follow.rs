//! Follows the stages' outputs, from the end of the log on, and feeds the hub.
//!
//! Nothing is sent that is not durable (I8), and nothing twice: repeats on a lane are left out. After a gap, or a record that
//! cannot be read, every listener is ended and clients have to start again, because a stream must never silently miss
//! something.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::{Topic, TopicPartition};
use prepx_domain::market::{MINUTE_US, interval};
use prepx_domain::update::{AccountUpdate, Change, MarketChange, MarketUpdate};
use prepx_domain::{InstrumentId, Micros};
use prepx_env::Clock;
use prepx_proto::journal;
use prepx_runtime::{Drain, TaskError};
use prepx_stage::consume::{Consumer, Runner};
use prepx_stage::follow::{self, Batch, Message, Poison, Run};
use prepx_stage::port::{MatchingPort, ReadError};
use prepx_stage::{Following, lane};

use crate::hub::Hub;

/// How long after its end a minute is sent, so that its last trades are in it.
const GRACE_US: i64 = 200_000;

/// Why the feed was interrupted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be followed.
    #[error(transparent)]
    Follow(#[from] follow::Error),
    /// Something is missing on a lane.
    #[error("{partition}: {source}")]
    Gap {
        /// The partition.
        partition: TopicPartition,
        /// The lane and the numbers.
        source: lane::Gap,
    },
    /// A message is not understood.
    #[error(transparent)]
    Poison(#[from] Poison<journal::Error>),
    /// The stage does not answer.
    #[error("the instruments cannot be asked for: {0}")]
    Instruments(#[from] ReadError),
}

/// What the feed reads.
pub struct Sources {
    /// The log.
    pub following: Following,
    /// Knows the instruments.
    pub matching: Arc<dyn MatchingPort>,
}

/// The consumer that publishes the log's changes through the hub.
pub struct Feed {
    sources: Sources,
    hub: Arc<Hub>,
    lanes: Lanes,
}

/// The last number of each lane, by the followed partition and the sender's journal.
#[derive(Default)]
struct Lanes(HashMap<(TopicPartition, TopicPartition), u64>);

impl Consumer for Feed {
    type Error = Error;

    const NAME: &'static str = "notification";
    const PAUSE: Duration = Duration::from_millis(10);
    const BATCHES_BETWEEN_RELEASES: u32 = 64;
    // Clients wait for what it sends.
    const YIELDS: bool = false;

    fn is_awaited(&self) -> bool {
        self.hub.has_listeners()
    }

    fn sources(&self) -> Vec<TopicPartition> {
        let topology = self.sources.following.topology;
        let of = |topic: Topic| {
            (0..topology.partitions(topic)).map(move |number| topic.partition(number))
        };
        (of(Topic::PortfolioUpdates).chain(of(Topic::MarketData))).collect()
    }

    /// The end of the partition: streams show only what is new.
    async fn resume(&mut self, partition: TopicPartition) -> Result<u64, Error> {
        Ok(self.sources.following.tail.end(partition))
    }

    async fn prepare(&mut self) -> Result<(), Error> {
        self.define().await
    }

    async fn take(&mut self, batch: Batch) -> Result<(), Error> {
        self.publish(batch).await
    }

    fn interrupted(&mut self) {
        self.lanes = Lanes::default();
        self.hub.interrupt();
    }
}

impl Feed {
    /// Opens a feed that starts at the end of the log.
    ///
    /// # Errors
    /// When the log has failed.
    pub async fn open(sources: Sources, hub: Arc<Hub>) -> Result<Runner<Feed>, Error> {
        let following = sources.following.clone();
        let feed = Feed {
            sources,
            hub,
            lanes: Lanes::default(),
        };
        Runner::open(following, feed).await
    }

    async fn define(&self) -> Result<(), Error> {
        let views = self.sources.matching.instruments().await?;
        let now = self.sources.following.clock.now();
        let bars_from = interval(now, MINUTE_US).plus_us(MINUTE_US);
        self.hub.define(&views, bars_from);
        Ok(())
    }

    async fn publish(&mut self, batch: Batch) -> Result<(), Error> {
        let mut fresh = Vec::with_capacity(batch.len());
        for run in batch.runs {
            fresh.extend(self.lanes.fresh(batch.partition, run)?);
        }
        match batch.partition.topic {
            Topic::MarketData => {
                let updates: Vec<MarketUpdate> = decode(batch.partition, &fresh)?;
                let is_named =
                    |update: &&MarketUpdate| !matches!(update.change, MarketChange::Defined(_));
                let named = updates.iter().filter(is_named);
                self.know(named.map(|update| update.instrument)).await?;
                self.hub.publish_markets(&updates);
            }
            // A new listener receives only what becomes durable later.
            _ if !self.hub.hears_accounts() => {}
            _ => {
                let updates: Vec<AccountUpdate> = decode(batch.partition, &fresh)?;
                let named = updates.iter().filter_map(|update| match &update.change {
                    Change::Order { order, .. } => Some(order.instrument),
                    _ => None,
                });
                self.know(named).await?;
                self.hub.publish_accounts(&updates);
            }
        }
        Ok(())
    }

    /// Asks for the instruments if one is unknown.
    async fn know(&self, named: impl Iterator<Item = InstrumentId>) -> Result<(), Error> {
        for instrument in named {
            if !self.hub.knows(instrument) {
                return self.define().await;
            }
        }
        Ok(())
    }
}

impl Lanes {
    /// The messages of a run that are not repeats. A lane is followed from its first message seen here.
    fn fresh(&mut self, partition: TopicPartition, run: Run) -> Result<Vec<Message>, Error> {
        let (source, first, count) = (run.source, run.first, run.messages.len() as u64);
        let lane = self.0.entry((partition, source));
        let known = lane.or_insert(first.saturating_sub(1));
        let repeats = lane::repeats(source, *known, first, count)
            .map_err(|source| Error::Gap { partition, source })?;
        *known = run.last().max(*known);
        Ok(run.messages.into_iter().skip(repeats as usize).collect())
    }
}

/// Follows the log until the process drains; then listeners are ended.
///
/// # Errors
/// When the log has failed.
pub async fn run(feed: Runner<Feed>, hub: Arc<Hub>, drain: Drain) -> Result<(), TaskError> {
    let draining = drain.clone();
    feed.run(async move { draining.draining().await }).await?;
    hub.end();
    drain.stopping().await;
    Ok(())
}

/// Publishes the minutes that are over, until the process drains.
///
/// # Errors
/// Never.
pub async fn close_minutes(
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
    drain: Drain,
) -> Result<(), TaskError> {
    loop {
        tokio::select! {
            () = drain.draining() => break,
            () = tokio::time::sleep(until_minute_is_over(clock.now())) => {
                hub.close_minutes(clock.now().plus_us(-GRACE_US));
            }
        }
    }
    drain.stopping().await;
    Ok(())
}

fn decode<T: journal::Record>(
    partition: TopicPartition,
    messages: &[Message],
) -> Result<Vec<T>, Error> {
    let decode = |message: &Message| {
        journal::decode(&message.payload).map_err(|source| Poison {
            partition,
            offset: message.offset,
            source,
        })
    };
    let decoded: Result<_, Poison<_>> = messages.iter().map(decode).collect();
    Ok(decoded?)
}

fn until_minute_is_over(now: Micros) -> Duration {
    let since_us = now.plus_us(-GRACE_US).0.rem_euclid(MINUTE_US);
    Duration::from_micros(u64::try_from(MINUTE_US - since_us).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use prepx_trace::Traces;

    use super::*;

    const UPDATES: TopicPartition = Topic::PortfolioUpdates.partition(0);

    fn run(first: u64, payloads: &[&'static [u8]]) -> Run {
        let message = |payload: &&'static [u8]| Message {
            seq: 1,
            offset: 0,
            payload: (*payload).into(),
        };
        Run {
            source: Topic::AccountJournal.partition(2),
            first,
            messages: payloads.iter().map(message).collect(),
            traces: Traces::default(),
        }
    }

    fn fresh(lanes: &mut Lanes, run: Run) -> Vec<Message> {
        lanes.fresh(UPDATES, run).unwrap()
    }

    #[test]
    fn i2_repeats_are_left_out_and_a_gap_is_an_error() {
        let mut lanes = Lanes::default();
        let two = run(7, &[b"a", b"b"]);
        assert_eq!(fresh(&mut lanes, two.clone()), two.messages);
        assert_eq!(fresh(&mut lanes, two), []);
        let overlapping = run(8, &[b"b", b"c"]);
        assert_eq!(
            fresh(&mut lanes, overlapping.clone()),
            overlapping.messages[1..]
        );
        let error = lanes.fresh(UPDATES, run(11, &[b"e"])).unwrap_err();
        let words = "portfolio-updates/0: the lane from account-journal/2 has a gap: 11 follows 9";
        assert_eq!(error.to_string(), words);
    }
}
