//! Reading: one consumer that is assigned partitions explicitly, with a queue for each of them.
//!
//! Owns: the starts and ends that the brokers report, and continuing where the last read ended. Refuses:
//! to read what is not committed (the last stable offset is the end), and to keep more than a bounded part of
//! a partition in memory.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::iter::{once, repeat_n};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::config::Names;
use super::producer::{EPOCH, FENCE};
use crate::in_flight::{News, lock};
use crate::{ReadError, Record, Topic, TopicPartition};

/// A record of a partition with what only the engine looks at.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) record: Record,
    /// Under which epoch it was written, in a journal.
    pub(super) epoch: Option<u32>,
    /// Whether it is what a fence left.
    pub(super) fence: bool,
}

/// What can be read of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) start: u64,
    /// The last stable offset: before it everything is decided and kept by all replicas in sync.
    pub(super) end: u64,
}

pub(super) struct Reader {
    consumer: Arc<BaseConsumer<Quiet>>,
    names: Names,
    patience: Duration,
    news: Arc<News>,
    partitions: Mutex<HashMap<TopicPartition, Arc<Mutex<Stand>>>>,
    /// The topics whose leaders the library has been told to learn.
    led: Mutex<BTreeSet<Topic>>,
}

/// The library's words, but for the ends of partitions, which are no error.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            let said = format!("{error}: {reason}");
            self.log(RDKafkaLogLevel::Error, "consumer", &said);
        }
    }
}

impl ConsumerContext for Quiet {}

/// Where reading of one partition stands.
#[derive(Default)]
struct Stand {
    queue: Option<PartitionQueue<Quiet>>,
    /// What the queue gives next is here or after it.
    next: u64,
    /// From here to `next` there was nothing that readers see.
    blank: u64,
    /// Taken from the queue and not yet given away.
    kept: Option<Found>,
    bounds: Bounds,
    /// From the first to the second there is no record: only what transactions leave.
    dry: (u64, u64),
}

/// How long one call into the library may take before it is made again.
const CALL: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);
/// How long to wait for a topic's leaders. Without them the library finds out by itself.
const LEADERS: Duration = Duration::from_millis(500);
/// How long to wait for news that must have been sent off already, and how often before the place is
/// sought anew, which takes longer: a place that has just been sought is being fetched from.
const NEWS: Duration = Duration::from_millis(10);
const NEWS_MAX: usize = 100;
/// How many records may be passed over so that nothing is sought.
const AHEAD_MAX: u64 = 4_096;
/// The most that may go wrong in one look at a partition: each wait for a record ends with it, and the
/// library tells of brokers that are away again and again.
const FAULTS_MAX: u32 = 256;

impl Reader {
    pub(super) fn new(
        config: &ClientConfig,
        names: Names,
        patience: Duration,
        news: Arc<News>,
    ) -> Result<Reader, KafkaError> {
        Ok(Reader {
            consumer: Arc::new(config.create_with_context(Quiet)?),
            names,
            patience,
            news,
            partitions: Mutex::default(),
            led: Mutex::default(),
        })
    }

    pub(super) fn consumer(&self) -> &BaseConsumer<Quiet> {
        &self.consumer
    }

    /// The bounds, asked of the partition's leader, once its end has reached `least` or a bounded
    /// time is over: what a handle knows to be durable may stand behind a transaction of
    /// somebody else that is open.
    pub(super) fn bounds(
        &self,
        partition: TopicPartition,
        least: u64,
    ) -> Result<Bounds, ReadError> {
        let topic = self.names.topic(partition.topic);
        let mut tries = self.patience.as_millis() / PAUSE.as_millis();
        let mut behind = 400;
        loop {
            let asked = self
                .consumer
                .fetch_watermarks(&topic, partition.partition as i32, CALL);
            match asked {
                Ok((start, end)) => {
                    let bounds = Bounds {
                        start: start.max(0) as u64,
                        end: end.max(0) as u64,
                    };
                    if bounds.end >= least || behind == 0 {
                        return Ok(bounds);
                    }
                    behind -= 1;
                }
                Err(error) if tries == 0 => return Err(failed(partition, &error)),
                Err(_) => tries = tries.saturating_sub(1),
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Records from `from` on that are at hand: at least one if there is one before the end, as many
    /// as `max_bytes` of payload hold; and where to go on.
    pub(super) fn read(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
        least: u64,
    ) -> Result<(Vec<Found>, Bounds), ReadError> {
        let stand = self.stand(partition);
        let mut stand = lock(&stand);
        if from < stand.bounds.start
            || from >= stand.bounds.end
            || stand.bounds.end < least
            || stand.is_dry(from)
        {
            stand.bounds = self.bounds(partition, least)?;
        }
        let bounds = stand.bounds;
        let (start, end) = (bounds.start, bounds.end);
        if from < start {
            return Err(ReadError::Truncated {
                partition,
                wanted: from,
                start,
            });
        }
        if from > end {
            return Err(ReadError::PastEnd {
                partition,
                wanted: from,
                end,
            });
        }
        if from == end || stand.is_dry(from) {
            return Ok((Vec::new(), bounds));
        }
        let mut found = Vec::new();
        if stand.queue.is_some() && stand.next == from {
            // What has arrived is taken before anything is waited for.
            let waits = once(Duration::ZERO).chain(repeat_n(NEWS, NEWS_MAX));
            for wait in waits {
                self.gather(&mut stand, partition, from, max_bytes, wait, &mut found)?;
                if !found.is_empty() {
                    break;
                }
                if self.position(partition) >= Some(end) {
                    stand.dry = (from, end);
                    return Ok((found, bounds));
                }
            }
        }
        if found.is_empty() {
            self.seek(&mut stand, partition, from)?;
            let ended = self.gather(
                &mut stand,
                partition,
                from,
                max_bytes,
                self.patience,
                &mut found,
            )?;
            if found.is_empty() && !ended {
                let why = format!(
                    "{partition} gave nothing from {from} to {end} within {:?}",
                    self.patience
                );
                return Err(io::Error::new(io::ErrorKind::TimedOut, why).into());
            }
            if found.is_empty() {
                stand.dry = (from, end);
            }
        }
        Ok((found, bounds))
    }

    /// Records from `from` on that have arrived, without asking anybody. What a fence has left is
    /// passed over.
    pub(super) fn poll(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let stand = self.stand(partition);
        let mut stand = lock(&stand);
        // A little further on is not sought but waited for: it has been asked for already.
        let here = stand.blank <= from && from <= stand.next + AHEAD_MAX;
        if stand.queue.is_none() || !here {
            self.seek(&mut stand, partition, from)?;
        }
        let (blank, mut found) = (stand.blank, Vec::new());
        let at = stand.next.max(from);
        self.gather(
            &mut stand,
            partition,
            at,
            max_bytes,
            Duration::ZERO,
            &mut found,
        )?;
        let shown = found.into_iter().filter(|found| !found.fence);
        let records: Vec<Record> = shown.map(|found| found.record).collect();
        stand.blank = if records.is_empty() {
            blank
        } else {
            stand.next
        };
        Ok(records)
    }

    /// Up to where everything has been taken from the queue, what transactions leave included.
    fn position(&self, partition: TopicPartition) -> Option<u64> {
        let positions = self.consumer.position().ok()?;
        let topic = self.names.topic(partition.topic);
        let position = positions.find_partition(&topic, partition.partition as i32)?;
        u64::try_from(position.offset().to_raw()?).ok()
    }

    /// Forgets what was known of a partition's bounds.
    pub(super) fn forget(&self, partition: TopicPartition) {
        lock(&self.stand(partition)).bounds = Bounds::default();
    }

    /// Has nothing more of a partition fetched, until it is read again.
    pub(super) fn leave(&self, partition: TopicPartition) {
        let stand = self.stand(partition);
        let mut stand = lock(&stand);
        if stand.queue.take().is_none() {
            return;
        }
        let mut list = TopicPartitionList::new();
        list.add_partition(
            &self.names.topic(partition.topic),
            partition.partition as i32,
        );
        // Where this fails it goes on being fetched, up to the bound of its queue.
        let _ = self.consumer.incremental_unassign(&list);
    }

    fn stand(&self, partition: TopicPartition) -> Arc<Mutex<Stand>> {
        Arc::clone(lock(&self.partitions).entry(partition).or_default())
    }

    /// Takes from the queue, waiting up to `first` for the first record. Whether the end of the
    /// partition was met.
    fn gather(
        &self,
        stand: &mut Stand,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
        first: Duration,
        found: &mut Vec<Found>,
    ) -> Result<bool, ReadError> {
        self.serve();
        let (mut bytes, mut faults) = (0, 0);
        loop {
            let wait = if found.is_empty() {
                first
            } else {
                Duration::ZERO
            };
            let next = match stand.kept.take() {
                Some(kept) => Some(Ok(kept)),
                None => stand.poll(wait),
            };
            match next {
                None => return Ok(false),
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    if !found.is_empty() || first > NEWS {
                        return Ok(true);
                    }
                }
                Some(Err(error)) if is_gone(&error) => {
                    let start = self.bounds(partition, 0)?.start;
                    return Err(ReadError::Truncated {
                        partition,
                        wanted: from,
                        start,
                    });
                }
                Some(Err(error)) if is_final(&error) => return Err(failed(partition, &error)),
                Some(Err(error)) if faults == FAULTS_MAX => return Err(failed(partition, &error)),
                Some(Err(_)) => faults += 1,
                Some(Ok(record)) if record.record.offset < from => {}
                Some(Ok(record)) => {
                    bytes += record.record.payload.len();
                    if bytes > max_bytes && !found.is_empty() {
                        stand.kept = Some(record);
                        return Ok(false);
                    }
                    stand.next = record.record.offset + 1;
                    stand.blank = stand.next;
                    found.push(record);
                }
            }
        }
    }

    /// Serves what is for nobody in particular, such as errors of brokers.
    pub(super) fn serve(&self) {
        while self.consumer.poll(Duration::ZERO).is_some() {}
    }

    /// Has the queue begin at `from`.
    fn seek(
        &self,
        stand: &mut Stand,
        partition: TopicPartition,
        from: u64,
    ) -> Result<(), ReadError> {
        let topic = self.names.topic(partition.topic);
        let number = partition.partition as i32;
        let offset = Offset::Offset(from as i64);
        let error = |error: KafkaError| failed(partition, &error);
        (stand.kept, stand.next, stand.blank) = (None, from, from);
        if stand.queue.is_some() && self.consumer.seek(&topic, number, offset, CALL).is_ok() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, number, offset)
            .map_err(error)?;
        if stand.queue.take().is_some() {
            self.consumer.incremental_unassign(&list).map_err(error)?;
        }
        self.learn_leaders(partition.topic, &topic);
        // Split first, so that nothing of it goes to the common queue.
        stand.queue = self.consumer.split_partition_queue(&topic, number);
        if let Some(queue) = &mut stand.queue {
            let news = Arc::clone(&self.news);
            queue.set_nonempty_callback(move || news.notify());
        }
        self.consumer.incremental_assign(&list).map_err(error)
    }
}

impl Reader {
    /// Asks for the leaders of a topic that is read for the first time. The library asks by itself only when it looks after
    /// all topics, once a second.
    fn learn_leaders(&self, topic: Topic, name: &str) {
        let is_first = lock(&self.led).insert(topic);
        if is_first && self.consumer.fetch_metadata(Some(name), LEADERS).is_err() {
            lock(&self.led).remove(&topic);
        }
    }
}

impl Stand {
    fn is_dry(&self, from: u64) -> bool {
        let (first, last) = self.dry;
        first <= from && from < last && self.bounds.end <= last
    }

    fn poll(&self, wait: Duration) -> Option<KafkaResult<Found>> {
        let polled = self.queue.as_ref()?.poll(wait)?;
        Some(polled.map(|message| found(&message)))
    }
}

fn found(message: &BorrowedMessage<'_>) -> Found {
    let mut found = Found {
        record: Record {
            offset: message.offset().max(0) as u64,
            payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
        },
        epoch: None,
        fence: false,
    };
    let headers = message
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter());
    for header in headers {
        match header.key {
            EPOCH => {
                let bytes = header.value.and_then(|value| value.try_into().ok());
                found.epoch = bytes.map(u32::from_be_bytes);
            }
            FENCE => found.fence = true,
            _ => {}
        }
    }
    found
}

/// What was asked for is before what the brokers still have.
fn is_gone(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
    )
}

/// Whether trying on cannot help: the library tries the rest again by itself.
fn is_final(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownPartition)
        )
}

fn failed(partition: TopicPartition, error: &KafkaError) -> ReadError {
    io::Error::other(format!("{partition} on Kafka: {error}")).into()
}
