//! The archivist of one journal: writes its segments beside the owner, and says what the log may drop.
//!
//! Owns when a segment is due. Refuses: to let the log drop anything that is not archived and read back, or
//! that is younger than followers of the log may lag behind.

use std::collections::VecDeque;
use std::time::Duration;

use prepx_bus::{Log, TopicPartition};
use prepx_domain::Micros;

use crate::archive::{Archives, Error, Segment};
use crate::journal::transition::Transition;
use crate::past::retention::Retention;
use crate::topology::Seat;

/// How many bytes of records a segment has at most, but for a record that is larger alone.
const SEGMENT_BYTES: usize = 16 << 20;
/// The name under which archives hold on to what they need of the log.
const CONSUMER: &str = "archive";
/// Most segments that are written at once; others have their turn then.
const SEGMENTS_A_LOOK: usize = 4;
/// Between a failure and the next try.
const PAUSE_US: i64 = 10_000_000;

/// When journals are archived, and how long they stay on the log all the same.
#[derive(Clone, Copy, Debug)]
pub struct ArchivePace {
    /// After this many events, which is to be about what a segment holds.
    pub events: u64,
    /// And after so long when there is anything at all.
    pub age: Duration,
    /// The log has a journal for so long, archived or not: for those who follow it.
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

/// Archives one journal, beside its owner.
pub struct Archivist {
    journal: TopicPartition,
    archives: Archives,
    pace: ArchivePace,
    /// Where the next segment begins.
    next: u64,
    /// The archived segments that may still be on the log: where each ends, and when its last transition was
    /// decided.
    held: VecDeque<(u64, Micros)>,
    /// How many events the owner had seen, and when, as all that was durable had been archived.
    all: (u64, Micros),
    /// Not tried again before this.
    pause: Micros,
}

impl Archivist {
    /// Finds what is archived, and holds on to the rest of the journal.
    ///
    /// # Errors
    /// When the place of archives cannot be asked; the journal is held on to all the same.
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
        // One that was not read back when it was written is the last, and nothing was let go of for it.
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

    /// Where on the journal the next segment begins.
    pub fn next_offset(&self) -> u64 {
        self.next
    }

    /// Archives what is due of what is durable, when the owner has come to `events` events, and lets go of what has been
    /// archived and is old enough. A bounded piece: it is asked often.
    ///
    /// # Errors
    /// What kept it from that. Nothing is let go of that is not archived; it is tried again after a while.
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
        self.let_go(retention, now)
    }

    fn archive(&mut self, log: &dyn Log, events: u64, now: Micros) -> Result<(), Error> {
        let journal = self.journal;
        for _ in 0..SEGMENTS_A_LOOK {
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

    fn let_go(&mut self, retention: &Retention, now: Micros) -> Result<(), Error> {
        let mut goes = None;
        while let Some((next, until)) = self.held.front()
            && age(*until, now) >= self.pace.keep
        {
            goes = Some(*next);
            self.held.pop_front();
        }
        if let Some(next) = goes {
            retention.release(CONSUMER, self.journal, next)?;
        }
        Ok(())
    }
}

/// How long ago that was.
fn age(at: Micros, now: Micros) -> Duration {
    Duration::from_micros(u64::try_from(now.0 - at.0).unwrap_or_default())
}
