//! What defines a group: its topics, its limits, and the effect that it has.

use std::future::Future;
use std::time::Duration;

use prepx_bus::{Topic, TopicPartition};
use prepx_domain::Micros;
use prepx_stage::follow::Message;
use uuid::Uuid;

use crate::{Errand, Origin, Outcome};

/// The topics of a group of consumers, each with as many partitions as its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name on the log, in metrics, in the store and for operators.
    pub name: &'static str,
    /// What it follows.
    pub input: Topic,
    /// Where what failed waits: once failed, twice, and so on.
    pub retries: &'static [Topic],
    /// Where what has failed for good is.
    pub dead: Topic,
}

/// The figures of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long what failed waits: the first time, the second, at most as often as there are retry topics.
    pub delays: Vec<Duration>,
    /// How long the attempts for one target may take before it is the others' turn.
    pub turn: Duration,
    /// How many targets are tried at the same time.
    pub targets_at_once: usize,
    /// How many errands may wait in a partition of a retry topic.
    pub waiting_max: u64,
    /// How many dead letters are kept.
    pub letters_max: u64,
    /// How much of a log whose space is given back from its oldest on an errand that waits may hold.
    pub held_bytes_max: u64,
}

impl Settings {
    pub(crate) fn delays_us(&self) -> Vec<i64> {
        let micros = |delay: &Duration| i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        self.delays.iter().map(micros).collect()
    }
}

/// What a group does.
pub trait Effect: Send + Sync + 'static {
    /// Its topics.
    const GROUP: Group;
    /// The way to one target for the length of a turn, such as an open connection.
    type Way: Send;
    /// Why it cannot go on, for now. What fails outside is no error but an [`Outcome`].
    type Error: std::error::Error + Send + Sync + 'static;

    /// The errands that come of messages, in their order.
    fn errands(
        &self,
        partition: TopicPartition,
        messages: &[(Origin, Message)],
    ) -> impl Future<Output = Result<Vec<Errand>, Self::Error>> + Send;

    /// The way to a target; `None` when there is none any more.
    fn way(
        &self,
        target: Uuid,
    ) -> impl Future<Output = Result<Option<Self::Way>, Self::Error>> + Send;

    /// Tries an errand, once, within a time of its own.
    fn attempt(
        &self,
        way: &mut Self::Way,
        errand: &Errand,
        now: Micros,
    ) -> impl Future<Output = Result<Outcome, Self::Error>> + Send;
}
