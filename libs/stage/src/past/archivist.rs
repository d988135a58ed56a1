//! The archivist of one journal: writes its segments, and releases to the log what is archived.
//!
//! Owns when a segment is due. Refuses: to have the log drop what is not archived and read back, or what is
//! younger than consumers of the log may lag behind.

use std::collections::VecDeque;
use std::time::Duration;

use prepx_bus::{Log, TopicPartition};
use prepx_domain::Micros;

use crate::archive::{Archives, Error, Segment};
use crate::journal::transition::Transition;
use crate::past::retention::Retention;
use crate::topology::Seat;

/// The most bytes of records in a segment, unless one record alone is larger.
const SEGMENT_BYTES: usize = 16 << 20;
/// The name under which archives register what they need of the log.
const CONSUMER: &str = "archive";
/// The most segments that are written at a time; the rest is written in the next rounds.
const SEGMENTS_PER_ROUND: usize = 4;
/// The pause after a failure.
const PAUSE_US: i64 = 10_000_000;

/// When journals are archived, and how long they stay on the log after that.
#[derive(Clone, Copy, Debug)]
pub struct ArchivePace {
    /// A segment is due after this many events, which should be about what a segment holds.
    pub events: u64,
    /// It is due after this time if there is any record.
    pub age: Duration,
    /// How long records stay on the log even if archived, for those who follow it.
    pub keep: Duration,
}

impl Default for ArchivePace {
    fn default() -> ArchivePace {
        ArchivePace {
            events: 100_000,
            age: Duration::from_secs(15 * 60),
            keep: Duration::from_secs(7 * 24 * 3_600),
        }
    }
}

/// Archives one journal, next to its owner.
pub struct Archivist {
    journal: TopicPartition,
    archives: Archives,
    pace: ArchivePace,
    /// The offset at which the next segment begins.
    next: u64,
    /// Archived segments that may still be on the log: the end of each, and the time of its last transition.
    held: VecDeque<(u64, Micros)>,
    /// How many events the owner had seen, and when, the last time that everything durable was archived.
    all: (u64, Micros),
    /// No new attempt before this.
    pause: Micros,
}

impl Archivist {
    /// Finds what is archived, and keeps the rest of the journal on the log.
    ///
    /// # Errors
    /// When the object storage fails; the journal is kept on the log.
    pub fn open(
        seat: Seat,
        log: &dyn Log,
        archives: Archives,
        retention: &Retention,
        pace: ArchivePace,
        now: Micros,
    ) -> Result<Archivist, Error> {
        let journal = seat.journal();
        retention.release(CONSUMER, journal, 0)?;
        let mut segments = archives.segments(journal)?;
        // Only the last segment may not have been read back after writing, and nothing was dropped because
        // of it.
        while let Some(Err(error)) = segments.last().map(|last| archives.read(last)) {
            tracing::error!(%journal, %error, "what this segment has is archived anew");
            segments.pop();
        }
        let start = log.start(journal);
        let end = segments.iter().map(|segment| segment.next).max();
        if let Some(end) = end.filter(|end| *end < start) {
            tracing::error!(%journal, start, end, "what is between the archive and the log was never archived");
        }
        let last = segments.last().map_or(now, |last| last.until);
        segments.retain(|segment| segment.next > start);
        let held = segments.iter().map(|segment| (segment.next, segment.until));
        Ok(Archivist {
            journal,
            archives,
            pace,
            next: end.unwrap_or(start).max(start),
            held: held.collect(),
            all: (0, last),
            pause: now,
        })
    }

    /// The offset at which the next segment begins.
    pub fn next_offset(&self) -> u64 {
        self.next
    }

    /// Archives what is due of what is durable, when the owner has seen `events` events, and releases what is
    /// archived and old enough. One call does a bounded amount of work; it is called often.
    ///
    /// # Errors
    /// What prevented it. Nothing is released that is not archived; the next attempt comes after a while.
    pub fn look(
        &mut self,
        log: &dyn Log,
        retention: &Retention,
        events: u64,
        now: Micros,
    ) -> Result<(), Error> {
        let (seen, at) = self.all;
        let due = events.saturating_sub(seen) >= self.pace.events || age(at, now) >= self.pace.age;
        let mut archived = Ok(());
        if due && now >= self.pause {
            archived = self.archive(log, events, now);
            if archived.is_err() {
                self.pause = now.plus_us(PAUSE_US);
            }
        }
        let late = age(self.all.1, now).as_secs_f64();
        metrics::gauge!("prepx_archive_age_seconds", "partition" => self.journal.to_string())
            .set(late);
        archived?;
        self.release(retention, now)
    }

    fn archive(&mut self, log: &dyn Log, events: u64, now: Micros) -> Result<(), Error> {
        let journal = self.journal;
        for _ in 0..SEGMENTS_PER_ROUND {
            let records = match self.next < log.end(journal) {
                true => log.read(journal, self.next, SEGMENT_BYTES)?,
                false => Vec::new(),
            };
            let Some(last) = records.last() else {
                self.all = (events, now);
                return Ok(());
            };
            let segment = Segment {
                journal,
                first: self.next,
                next: last.offset + 1,
                until: Transition::decode(&last.payload)?.now,
            };
            self.archives.write(&segment, &records)?;
            self.next = segment.next;
            self.held.push_back((segment.next, segment.until));
        }
        Ok(())
    }

    fn release(&mut self, retention: &Retention, now: Micros) -> Result<(), Error> {
        let mut released = None;
        while let Some((next, until)) = self.held.front()
            && age(*until, now) >= self.pace.keep
        {
            released = Some(*next);
            self.held.pop_front();
        }
        if let Some(next) = released {
            retention.release(CONSUMER, self.journal, next)?;
        }
        Ok(())
    }
}

/// The time since `at`.
fn age(at: Micros, now: Micros) -> Duration {
    Duration::from_micros(u64::try_from(now.0 - at.0).unwrap_or_default())
}
