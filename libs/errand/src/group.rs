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
    /// The topic that it follows.
    pub input: Topic,
    /// Where failed errands wait: after the first failure, the second, and so on.
    pub retries: &'static [Topic],
    /// Where errands go that have failed for good.
    pub dead: Topic,
}

/// The limits of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a failed errand waits: the first time, the second, and so on; no more of them than retry topics.
    pub delays: Vec<Duration>,
    /// How long the attempts for one target may take in a turn; then the others continue.
    pub turn: Duration,
    /// How many targets are tried at the same time.
    pub targets_at_once: usize,
    /// How many errands may wait in a partition of a retry topic.
    pub waiting_max: u64,
    /// How many dead letters are kept.
    pub letters_max: u64,
    /// How many bytes of an embedded log a waiting errand may keep from being freed.
    pub held_bytes_max: u64,
}

impl Settings {
    pub(crate) fn delays_us(&self) -> Vec<i64> {
        let micros = |delay: &Duration| i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        self.delays.iter().map(micros).collect()
    }
}

/// The effect of a group.
pub trait Effect: Send + Sync + 'static {
    /// Its topics.
    const GROUP: Group;
    /// What reaches one target for the length of a turn, such as an open connection.
    type Way: Send;
    /// Why it cannot go on for now. A failure of the target is not an error but an [`Outcome`].
    type Error: std::error::Error + Send + Sync + 'static;

    /// The errands that follow from messages, in their order.
    fn errands(
        &self,
        partition: TopicPartition,
        messages: &[(Origin, Message)],
    ) -> impl Future<Output = Result<Vec<Errand>, Self::Error>> + Send;

    /// Connects to a target; `None` if the target no longer exists.
    fn way(
        &self,
        target: Uuid,
    ) -> impl Future<Output = Result<Option<Self::Way>, Self::Error>> + Send;

    /// Tries an errand, once, within a time limit of its own.
    fn attempt(
        &self,
        way: &mut Self::Way,
        errand: &Errand,
        now: Micros,
    ) -> impl Future<Output = Result<Outcome, Self::Error>> + Send;
}
