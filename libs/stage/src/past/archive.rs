//! Journals in object storage, in segments by partition and range of offsets. What is archived may be
//! dropped from the log.
//!
//! A segment is the compressed frames of consecutive records, in the format in which the embedded log
//! archives its own segments ([`prepx_bus::embedded::archive`]), with one writer and one reader for both. Its
//! name says which records it has and when the last of them was decided. Segments are written once and never
//! change. Two owners may write the same records twice; that is harmless, because what is durable in a
//! journal is final.
//!
//! Owns: their names, writing and reading them, and reading from them what the log no longer has
//! ([`Archived`]). Refuses: to count as archived what cannot be read back, and to remove anything.

use std::io;
use std::sync::Arc;

use prepx_bus::embedded::archive;
use prepx_bus::{
    AppendError, Batch, EndsCallback, FenceError, Log, Owner, Poisoned, Position, ReadError,
    Record, TopicPartition, Watermark,
};
use prepx_domain::Micros;
use prepx_objects::Objects;

use crate::DecodeError;

const SUFFIX: &str = ".seg.lz4";

/// Why a journal could not be archived. The partition itself is not affected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record of the journal is not a transition.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The object storage failed, or returned something else than was written.
    #[error("archive {name}: {source}")]
    Objects {
        /// The segment, or the operation.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// The log is dead.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

fn failed(name: &str) -> impl FnOnce(io::Error) -> Error {
    let name = name.to_owned();
    move |source| Error::Objects { name, source }
}

/// A segment, as its name describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The journal.
    pub journal: TopicPartition,
    /// The offset of its first record.
    pub first: u64,
    /// The offset at which the next segment begins.
    pub next: u64,
    /// The time of its last transition.
    pub until: Micros,
}

impl Segment {
    fn name(&self) -> String {
        let (prefix, Micros(until_us)) = (prefix_of(self.journal), self.until);
        format!(
            "{prefix}{:020}-{:020}-{until_us:020}{SUFFIX}",
            self.first, self.next
        )
    }

    fn from_name(journal: TopicPartition, name: &str) -> Option<Segment> {
        let numbers = name
            .strip_prefix(&prefix_of(journal))?
            .strip_suffix(SUFFIX)?;
        let mut numbers = numbers.split('-');
        let segment = Segment {
            journal,
            first: numbers.next()?.parse().ok()?,
            next: numbers.next()?.parse().ok()?,
            until: Micros(numbers.next()?.parse().ok()?),
        };
        (segment.name() == name && segment.first < segment.next).then_some(segment)
    }
}

fn prefix_of(journal: TopicPartition) -> String {
    format!("{}-{}-", journal.topic, journal.partition)
}

/// The archives of all journals.
#[derive(Clone)]
pub struct Archives {
    objects: Arc<dyn Objects>,
}

impl Archives {
    /// The segments among `objects`.
    pub fn new(objects: Arc<dyn Objects>) -> Archives {
        Archives { objects }
    }

    /// The segments of a journal in order. They may overlap.
    ///
    /// # Errors
    /// When the object storage fails.
    pub fn segments(&self, journal: TopicPartition) -> Result<Vec<Segment>, Error> {
        let names = self
            .objects
            .list(&prefix_of(journal))
            .map_err(failed("list"))?;
        let segments = names
            .iter()
            .filter_map(|name| Segment::from_name(journal, name));
        Ok(segments.collect())
    }

    /// Writes a segment and reads it back: after that the log may drop its records.
    pub(crate) fn write(&self, segment: &Segment, records: &[Record]) -> Result<(), Error> {
        let name = segment.name();
        let keep = || {
            let packed = archive::pack(segment.journal, records)?;
            self.objects.put(&name, &packed)?;
            match self.objects.get(&name)? == packed {
                true => Ok(()),
                false => Err(io::Error::other("it does not read back as it was written")),
            }
        };
        keep().map_err(failed(&name))
    }

    /// The records of a segment.
    ///
    /// # Errors
    /// When it cannot be read, or does not match its name.
    pub fn read(&self, segment: &Segment) -> Result<Vec<Record>, ReadError> {
        let name = segment.name();
        let damaged = |why: &str| ReadError::Damaged(format!("archive {name}: {why}"));
        let mut records = Vec::new();
        let mut foreign = false;
        let packed = self.objects.get(&name)?;
        let unpacked = archive::unpack(&packed, |of, record| {
            foreign |= of != segment.journal;
            records.push(record);
        });
        unpacked.map_err(|why| damaged(&why))?;
        let ends =
            [records.first(), records.last()].map(|record| record.map(|record| record.offset));
        let whole =
            ends[0] >= Some(segment.first) && ends[1].map(|last| last + 1) == Some(segment.next);
        match whole && !foreign {
            true => Ok(records),
            false => Err(damaged("its records are not those that its name says")),
        }
    }

    /// Archived records of a journal from an offset on, as many as `max_bytes` of payload allow but at least one;
    /// none if no segment has that offset.
    fn read_from(
        &self,
        journal: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Option<Vec<Record>>, ReadError> {
        let segments = self.segments(journal).map_err(io::Error::other)?;
        let has = |segment: &&Segment| segment.first <= from && from < segment.next;
        let mut last = Ok(None);
        for segment in segments.iter().filter(has) {
            match self.read(segment) {
                Ok(mut records) => {
                    records.retain(|record| record.offset >= from);
                    let mut bytes = 0;
                    let mut fits = |record: &Record| {
                        bytes += record.payload.len();
                        bytes <= max_bytes
                    };
                    let count = records.iter().take_while(|record| fits(record)).count();
                    records.truncate(count.max(1));
                    return Ok(Some(records));
                }
                // Another owner may have archived the same records.
                Err(error) => last = Err(error),
            }
        }
        last
    }
}

/// A log whose journals go back further than it has them: what it has dropped is read from the archives.
pub struct Archived {
    log: Arc<dyn Log>,
    archives: Archives,
}

impl Archived {
    /// The log with its archives, if there are any.
    pub fn of(log: Arc<dyn Log>, archives: Option<&Archives>) -> Arc<dyn Log> {
        match archives.cloned() {
            Some(archives) => Arc::new(Archived { log, archives }),
            None => log,
        }
    }
}

impl Log for Archived {
    fn read(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let read = self.log.read(partition, from, max_bytes);
        let gone = matches!(read, Err(ReadError::Truncated { .. }));
        if !gone || !partition.topic.is_journal() {
            return read;
        }
        match self.archives.read_from(partition, from, max_bytes)? {
            Some(records) => Ok(records),
            None => read,
        }
    }

    fn start(&self, partition: TopicPartition) -> u64 {
        let start = self.log.start(partition);
        if start == 0 || !partition.topic.is_journal() {
            return start;
        }
        let segments = self.archives.segments(partition).unwrap_or_default();
        let first = segments.first().map(|segment| segment.first);
        first.map_or(start, |first| first.min(start))
    }

    fn fence(&self, journal: TopicPartition, who: &str) -> Result<Owner, FenceError> {
        self.log.fence(journal, who)
    }

    fn holds(&self, owner: Owner) -> Result<bool, ReadError> {
        self.log.holds(owner)
    }

    fn append(&self, owner: Option<Owner>, batch: &Batch) -> Result<Position, AppendError> {
        self.log.append(owner, batch)
    }

    fn begin_group(&self) {
        self.log.begin_group();
    }

    fn end_group(&self) {
        self.log.end_group();
    }

    fn watermark(&self) -> &Watermark {
        self.log.watermark()
    }

    fn poll(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        self.log.poll(partition, from, max_bytes)
    }

    fn leave(&self, partition: TopicPartition) {
        self.log.leave(partition);
    }

    fn on_news(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.log.on_news(hook);
    }

    fn end(&self, partition: TopicPartition) -> u64 {
        self.log.end(partition)
    }

    fn acknowledged_ends(&self, partitions: &[TopicPartition], callback: EndsCallback) {
        self.log.acknowledged_ends(partitions, callback);
    }

    fn accepted_end(&self, partition: TopicPartition) -> u64 {
        self.log.accepted_end(partition)
    }

    fn runs_ahead(&self) -> bool {
        self.log.runs_ahead()
    }

    fn truncate_before(&self, partition: TopicPartition, offset: u64) -> Result<(), Poisoned> {
        self.log.truncate_before(partition, offset)
    }
}
