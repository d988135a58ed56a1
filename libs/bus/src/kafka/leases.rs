//! Leases over Kafka's group protocol: a lease is an assigned partition of the group's topic.
//!
//! Owns: one consumer that reads nothing, and its talk with the coordinator. Assignments move one by one
//! (cooperative-sticky), so what stays is not disturbed. A revocation is answered once everything that it
//! names has been released. Refuses: to commit offsets, and to run a thread: the holder calls
//! [`Leases::next`].

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, Once};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::config::{self, Names};
use super::open::OpenError;
use crate::in_flight::lock;
use crate::location::KafkaLocation;
use crate::{Change, LeaseError, Leases, Topic};

/// Which group, and how it is joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group: those who share.
    pub group: String,
    /// Whose partitions are shared.
    pub topic: Topic,
    /// Which process this is, for people.
    pub who: String,
    /// For how long a member may be unheard of; the brokers' `group.min.session.timeout.ms` at least.
    pub session: Duration,
}

impl Membership {
    /// With a session of three seconds.
    pub fn of(group: &str, topic: Topic, who: &str) -> Membership {
        Membership {
            group: group.to_owned(),
            topic,
            who: who.to_owned(),
            session: Duration::from_secs(3),
        }
    }
}

/// A member that has not asked for news for this many sessions is taken for dead, as is one that does not let go
/// of what is revoked.
const POLL_SESSIONS_MAX: u32 = 2;

/// A member of a group on Kafka. See [`Leases`] for what it promises.
pub struct KafkaLeases {
    consumer: BaseConsumer<Rebalances>,
    membership: Membership,
    /// The topic whose partitions are shared, as the cluster names it.
    topic: String,
    joined: Once,
}

/// What the coordinator has said and nobody has heard yet.
#[derive(Default)]
struct Rebalances(Mutex<Heard>);

#[derive(Default)]
struct Heard {
    changes: VecDeque<Change>,
    /// What is revoked and not answered: all of it, and of that what is not released yet.
    revoked: Option<(TopicPartitionList, BTreeSet<u32>)>,
    /// Whether the member is dropped: nothing is waited for any more.
    dropped: bool,
    /// Why nothing more will be heard.
    failure: Option<String>,
}

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let done = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        };
        if let Err(error) = done {
            lock(&self.0).failure = Some(error.to_string());
        }
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<u32> {
    let elements = list.elements();
    let numbers = elements.iter().map(|each| each.partition().max(0) as u32);
    numbers.collect()
}

impl Rebalances {
    /// Takes what is assigned, and has nothing of it read.
    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &mut TopicPartitionList,
    ) -> KafkaResult<()> {
        list.set_all_offsets(Offset::End)?;
        consumer.incremental_assign(list)?;
        consumer.pause(list)?;
        let granted = numbers(list).into_iter().map(Change::Granted);
        lock(&self.0).changes.extend(granted);
        Ok(())
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let mut heard = lock(&self.0);
        let (lost, numbers) = (consumer.assignment_lost(), numbers(list));
        if lost || heard.dropped || numbers.is_empty() {
            heard.changes.extend(numbers.into_iter().map(Change::Lost));
            heard.revoked = None;
            return unassign(consumer, list);
        }
        let changes = numbers.iter().map(|number| Change::Revoked(*number));
        heard.changes.extend(changes);
        heard.revoked = Some((list.clone(), numbers.into_iter().collect()));
        Ok(())
    }
}

fn unassign(consumer: &BaseConsumer<Rebalances>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        _ => consumer.unassign(),
    }
}

impl KafkaLeases {
    /// A member of a group, which it joins when it is first asked for news ([`Leases::next`]): from then on it is counted
    /// on to take its share of the topic's partitions.
    ///
    /// # Errors
    /// When the client cannot be made. Brokers that are away are waited for.
    pub fn join(
        location: &KafkaLocation,
        membership: Membership,
    ) -> Result<KafkaLeases, OpenError> {
        let names = Names::of(location);
        let unavailable = |error: KafkaError| OpenError::Unavailable {
            brokers: location.brokers.clone(),
            why: error.to_string(),
        };
        let poll_max = membership.session * POLL_SESSIONS_MAX;
        let consumer = config::member(location, &membership, &names, poll_max)
            .create_with_context(Rebalances::default());
        let consumer: BaseConsumer<Rebalances> = consumer.map_err(unavailable)?;
        Ok(KafkaLeases {
            topic: names.topic(membership.topic),
            consumer,
            membership,
            joined: Once::new(),
        })
    }

    fn heard(&self) -> Result<Option<Change>, LeaseError> {
        let mut heard = lock(&self.consumer.context().0);
        let change = heard.changes.pop_front();
        match &heard.failure {
            Some(why) if change.is_none() => Err(self.failed(why.clone())),
            _ => Ok(change),
        }
    }

    fn join_group(&self) {
        if let Err(error) = self.consumer.subscribe(&[&self.topic]) {
            lock(&self.consumer.context().0).failure = Some(error.to_string());
        }
    }

    fn failed(&self, why: String) -> LeaseError {
        let group = self.membership.group.clone();
        LeaseError { group, why }
    }
}

impl Leases for KafkaLeases {
    fn next(&self, timeout: Duration) -> Result<Option<Change>, LeaseError> {
        if let Some(change) = self.heard()? {
            return Ok(Some(change));
        }
        self.joined.call_once(|| self.join_group());
        match self.consumer.poll(timeout) {
            Some(Err(error)) if is_final(&error) => {
                let session = self.membership.session;
                Err(self.failed(format!(
                    "{error}, with a session of {session:?}: the brokers' \
                     group.min.session.timeout.ms bounds it"
                )))
            }
            // Brokers that are away come back, and what is read is not wanted.
            _ => self.heard(),
        }
    }

    fn release(&self, partition: u32) {
        let mut heard = lock(&self.consumer.context().0);
        let Some((list, left)) = &mut heard.revoked else {
            return;
        };
        left.remove(&partition);
        if left.is_empty() {
            // Whoever is not assigned it any more has nothing to let go.
            let _ = unassign(&self.consumer, list);
            heard.revoked = None;
        }
    }

    fn leave(&self) {
        // Who has not joined does not join any more.
        self.joined.call_once(|| {});
        self.consumer.unsubscribe();
    }

    fn session(&self) -> Duration {
        self.membership.session
    }
}

impl Drop for KafkaLeases {
    fn drop(&mut self) {
        let mut heard = lock(&self.consumer.context().0);
        heard.dropped = true;
        if let Some((list, _)) = heard.revoked.take() {
            let _ = unassign(&self.consumer, &list);
        }
    }
}

/// Whether joining again cannot help.
fn is_final(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::InvalidSessionTimeout
                    | RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::InconsistentGroupProtocol
            )
        )
}
