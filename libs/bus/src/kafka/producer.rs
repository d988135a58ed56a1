//! A producer of the client library, as the senders use it.
//!
//! Owns: deliveries, transactions, what an error means. Refuses: to take an unknown outcome for a
//! failure.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use super::config::Names;
use crate::TopicPartition;
use crate::in_flight::lock;

/// The header that says under which epoch a record of a journal was written, big-endian `u32`.
pub(super) const EPOCH: &str = "epoch";
/// The header of the record that a fence leaves in its journal, which readers do not see.
pub(super) const FENCE: &str = "fence";

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// Somebody else has taken the transactional id.
    #[error("somebody else has taken the transactional id ({0})")]
    Fenced(String),
    /// It may be tried again: nothing of it will be visible.
    #[error("the transaction was aborted ({0})")]
    Aborted(String),
    /// It may have happened or not.
    #[error("{0}")]
    Unknown(String),
}

/// Told of each record that was sent, on the thread that polls. By position and end for what waits
/// for nothing else.
pub(super) type OnDelivery = Box<dyn Fn(&Sent, Result<u64, String>) + Send + Sync>;

/// A record on its way.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) position: crate::Position,
    pub(super) to: TopicPartition,
}

/// What has become of the records sent last.
#[derive(Default)]
struct Deliveries {
    state: Mutex<DeliveryState>,
    moved: Condvar,
    each: Option<OnDelivery>,
}

#[derive(Default)]
struct DeliveryState {
    outstanding: usize,
    /// One past the highest offset written, by partition.
    ends: HashMap<TopicPartition, u64>,
    error: Option<String>,
}

#[derive(Clone)]
struct Context(Arc<Deliveries>);

/// What the library says whenever a partition goes from one owner to another. Callers hear of it as a [`Failure`], or it is
/// tried again.
const OF_TAKEOVERS: [&str; 3] = [
    "fenced by a newer instance",
    "an operation with an old epoch",
    "another concurrent operation on the same transaction",
];

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let is_of_takeovers = OF_TAKEOVERS.iter().any(|words| message.contains(words));
        let level = match is_of_takeovers {
            true => RDKafkaLogLevel::Debug,
            false => level,
        };
        DefaultClientContext.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let message = format!("{error}: {reason}");
        self.log(RDKafkaLogLevel::Error, "producer", &message);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let end = match result {
            Ok(message) => Ok(message.offset().max(0) as u64 + 1),
            Err((error, _)) => Err(error.to_string()),
        };
        if let Some(each) = &self.0.each {
            each(&sent, end.clone());
        }
        let mut state = lock(&self.0.state);
        state.outstanding -= 1;
        match end {
            Ok(end) => {
                let known = state.ends.entry(sent.to).or_default();
                *known = end.max(*known);
            }
            Err(error) => state.error = state.error.take().or(Some(error)),
        }
        if state.outstanding == 0 {
            self.0.moved.notify_all();
        }
    }
}

/// One producer, with the thread that hears its reports.
pub(super) struct Producer {
    client: Arc<BaseProducer<Context>>,
    /// Tells the thread that nobody is left to hear for.
    closed: Arc<AtomicBool>,
    deliveries: Arc<Deliveries>,
    names: Names,
    patience: Duration,
}

/// How long one call into the library may take before it is made again.
const CALL: Duration = Duration::from_secs(5);
/// The same for taking a transactional id: the library tries again only after half a second what cannot be had at once,
/// such as a connection or the end of another holder's transaction, and at once when it is called again.
const TAKE: Duration = Duration::from_millis(50);
/// How long a look for reports takes when there are none. A report is heard at once, but each look ends with a
/// fraction of a millisecond of spinning, so looks are few: ten a second, as the library's own thread has them,
/// took 0.4 % of a core for each producer.
const LOOK: Duration = Duration::from_secs(1);
/// Between two tries of what has failed at once.
const PAUSE: Duration = Duration::from_millis(20);

impl Producer {
    pub(super) fn new(
        config: &ClientConfig,
        names: Names,
        patience: Duration,
        each: Option<OnDelivery>,
    ) -> Result<Producer, String> {
        let deliveries = Arc::new(Deliveries {
            each,
            ..Deliveries::default()
        });
        let context = Context(Arc::clone(&deliveries));
        let client = BaseProducer::from_config_and_context(config, context);
        let client = Arc::new(client.map_err(|error| error.to_string())?);
        let closed = Arc::new(AtomicBool::new(false));
        let (heard, over) = (Arc::clone(&client), Arc::clone(&closed));
        let hear = move || {
            while !over.load(Ordering::Acquire) {
                heard.poll(LOOK);
            }
        };
        let thread = std::thread::Builder::new().name("kafka-reports".into());
        thread.spawn(hear).map_err(|error| error.to_string())?;
        Ok(Producer {
            client,
            closed,
            deliveries,
            names,
            patience,
        })
    }

    /// Takes the transactional id: ends what its former holder has open and fences it.
    pub(super) fn init_transactions(&self) -> Result<(), Failure> {
        self.again(TAKE, |call| self.client.init_transactions(call))
    }

    /// Sends a record without waiting for it.
    pub(super) fn send(
        &self,
        sent: Sent,
        key: Option<&[u8]>,
        payload: &[u8],
        headers: Option<OwnedHeaders>,
    ) -> Result<(), Failure> {
        let topic = self.names.topic(sent.to.topic);
        let partition = sent.to.partition as i32;
        let mut record =
            BaseRecord::<'_, [u8], [u8], Box<Sent>>::with_opaque_to(&topic, Box::new(sent))
                .partition(partition)
                .payload(payload);
        (record.key, record.headers) = (key, headers);
        lock(&self.deliveries.state).outstanding += 1;
        // The handle's bound is below the client's, so a full queue is only records that have
        // been delivered and not yet been told of.
        let mut tries = self.patience.as_millis() / PAUSE.as_millis();
        loop {
            let Err((error, refused)) = self.client.send(record) else {
                return Ok(());
            };
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            if !full || tries == 0 {
                lock(&self.deliveries.state).outstanding -= 1;
                return Err(self.failure(&error));
            }
            tries -= 1;
            record = refused;
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until every record is written or known not to be, whichever.
    pub(super) fn wait_for_reports(&self) -> Result<(), Failure> {
        self.reported().map(drop)
    }

    fn reported(&self) -> Result<MutexGuard<'_, DeliveryState>, Failure> {
        let state = lock(&self.deliveries.state);
        let waiting = |state: &mut DeliveryState| state.outstanding > 0;
        let waited = self
            .deliveries
            .moved
            .wait_timeout_while(state, self.patience, waiting);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        match timeout.timed_out() {
            true => Err(Failure::Unknown(format!(
                "{} records were not acknowledged within {:?}",
                state.outstanding, self.patience
            ))),
            false => Ok(state),
        }
    }

    /// Waits until all that was sent is written, or is known not to be; the ends that it brought.
    pub(super) fn delivered(&self) -> Result<HashMap<TopicPartition, u64>, Failure> {
        let mut state = self.reported()?;
        let (error, ends) = (state.error.take(), std::mem::take(&mut state.ends));
        drop(state);
        match error {
            Some(error) => Err(self.fenced().unwrap_or(Failure::Aborted(error))),
            None => Ok(ends),
        }
    }

    pub(super) fn begin(&self) -> Result<(), Failure> {
        self.client
            .begin_transaction()
            .map_err(|error| self.failure(&error))
    }

    /// Commits what was delivered since [`Self::begin`].
    pub(super) fn commit(&self) -> Result<(), Failure> {
        // The last report is told of a moment before the client forgets its record, and its
        // commit would wait a tenth of a second for that.
        let mut tries = 1_000;
        while self.client.in_flight_count() > 0 && tries > 0 {
            tries -= 1;
            std::thread::yield_now();
        }
        self.again(CALL, |call| self.client.commit_transaction(call))
            .map_err(|failure| match failure {
                // Whether the brokers got it is what nobody here knows.
                Failure::Aborted(why) => self
                    .abort()
                    .map_or_else(|other| other, |()| Failure::Aborted(why)),
                other => other,
            })
    }

    /// Gives the open transaction up.
    pub(super) fn abort(&self) -> Result<(), Failure> {
        let aborted = self.again(CALL, |call| self.client.abort_transaction(call));
        // The reports of what was purged say nothing new.
        let purged = self.delivered();
        aborted.map_err(|failure| match failure {
            Failure::Aborted(why) => Failure::Unknown(why),
            other => other,
        })?;
        match purged {
            Err(failure @ (Failure::Fenced(_) | Failure::Unknown(_))) => Err(failure),
            _ => Ok(()),
        }
    }

    /// Makes a call, for so long each time, until it succeeds, fails for good, or patience ends.
    fn again(
        &self,
        each: Duration,
        call: impl Fn(Duration) -> Result<(), KafkaError>,
    ) -> Result<(), Failure> {
        // A call that may be repeated has used up its time, or failed at once.
        let mut tries = self.patience.as_millis() / each.as_millis() + 20;
        loop {
            let Err(error) = call(each) else {
                return Ok(());
            };
            let again = matches!(&error, KafkaError::Transaction(error) if error.is_retriable())
                || matches!(&error, KafkaError::Flush(_));
            if !again || tries == 0 {
                return Err(self.failure(&error));
            }
            tries -= 1;
            std::thread::sleep(PAUSE);
        }
    }

    fn failure(&self, error: &KafkaError) -> Failure {
        if let Some(fenced) = self.fenced() {
            return fenced;
        }
        match error {
            KafkaError::Transaction(error) if is_fence(error.code()) => {
                Failure::Fenced(error.string())
            }
            KafkaError::Transaction(error) if error.txn_requires_abort() => {
                Failure::Aborted(error.string())
            }
            KafkaError::Transaction(error) => Failure::Unknown(error.string()),
            other => Failure::Unknown(other.to_string()),
        }
    }

    fn fenced(&self) -> Option<Failure> {
        let (code, why) = self.client.client().fatal_error()?;
        Some(match is_fence(code) {
            true => Failure::Fenced(why),
            false => Failure::Unknown(why),
        })
    }
}

impl Drop for Producer {
    /// Waits for nothing: the thread ends with its look, and the client with the thread.
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// The brokers say it in several ways, the oldest of them also of a transaction that they have
/// timed out: its owner is as good as fenced.
fn is_fence(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch
            | RDKafkaErrorCode::InvalidProducerIdMapping
    )
}

/// The headers of a record in a journal.
pub(super) fn journal_headers(epoch: u32, fence: bool) -> OwnedHeaders {
    let value = epoch.to_be_bytes();
    let headers = OwnedHeaders::new().insert(Header {
        key: EPOCH,
        value: Some(&value[..]),
    });
    match fence {
        false => headers,
        true => headers.insert(Header {
            key: FENCE,
            value: None::<&[u8]>,
        }),
    }
}
