//! The embedded engine: one write-ahead log for all topics, in the data directory.
//!
//! Owns: the order of all batches, group commit, fencing, retention. Refuses: to run threads of
//! its own ([`EmbeddedLog::flush`] does the work; [`spawn_writer`] is the thread for it), to go on
//! after a failed write or sync, to share its directory.
//!
//! Three parts, each behind a lock of its own, taken in this order and held shortly: the *back*
//! (the file being written, held through a sync, by the flusher only), the *front* (what has been
//! accepted, in memory), the *view* (what is durable, for readers).

pub mod archive;
mod config;
pub mod frame;
mod index;
mod partitions;
mod recover;
mod retention;
mod scan;
mod segment;
mod view;
mod writer;

use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::{Bytes, BytesMut};

pub use self::config::{Config, OpenError, Retention};
use self::frame::{Frame, Stamp};
use self::partitions::PartitionMap;
use self::segment::Segment;
use self::view::{Gather, Place, Span, View};
pub use self::writer::{WriterHandle, spawn_writer};
use crate::file::{Dir, Lock};
use crate::{
    AppendError, Batch, FenceError, Log, Owner, Poisoned, Position, ReadError, Record,
    TopicPartition, Watermark,
};

/// The log of one data directory. See [`Log`] for what it promises.
pub struct EmbeddedLog {
    config: Config,
    dir: Arc<dyn Dir>,
    back: Mutex<Back>,
    front: Mutex<Front>,
    /// Signalled when the front has something and the writer waits for it.
    arrived: Condvar,
    view: RwLock<View>,
    watermark: Watermark,
    /// One retention at a time: segments must go in order.
    retention: Mutex<()>,
    _lock: Lock,
}

/// The end that is written to disk.
struct Back {
    segment: Arc<Segment>,
    /// The address that is written next.
    address: u64,
}

/// The end that accepts.
struct Front {
    buffer: BytesMut,
    /// The address after the last accepted frame.
    accepted: u64,
    partitions: PartitionMap<Accepted>,
    writer_waits: bool,
    /// More is appended at once: the writer leaves it to come together.
    grouping: bool,
    closing: bool,
}

#[derive(Clone, Copy, Default)]
struct Accepted {
    end: u64,
    epoch: u32,
}

/// Memory for frames is taken in pieces of this size.
const CHUNK_BYTES: usize = 1 << 20;

impl EmbeddedLog {
    /// Opens the log in `dir`, or begins one. A torn tail is cut off, damage is an error.
    pub fn open(dir: Arc<dyn Dir>, config: Config) -> Result<Arc<EmbeddedLog>, OpenError> {
        config.validate()?;
        let lock = dir.lock(&config.holder)?;
        let view = recover::recover(&*dir, &config)?;
        let mut partitions = PartitionMap::<Accepted>::default();
        for (at, standing) in view.standings().iter() {
            *partitions.get_mut(at) = Accepted {
                end: standing.end,
                epoch: standing.epoch,
            };
        }
        let Some(segment) = view.segments.back().map(Arc::clone) else {
            unreachable!("recovery makes a segment if there is none");
        };
        Ok(Arc::new(EmbeddedLog {
            back: Mutex::new(Back {
                segment,
                address: view.end,
            }),
            front: Mutex::new(Front {
                buffer: BytesMut::new(),
                accepted: view.end,
                partitions,
                writer_waits: false,
                grouping: false,
                closing: false,
            }),
            arrived: Condvar::new(),
            watermark: Watermark::at(Position(view.end)),
            view: RwLock::new(view),
            retention: Mutex::new(()),
            config,
            dir,
            _lock: lock,
        }))
    }

    /// Writes and syncs everything that has been accepted, in one go, and moves the watermark.
    /// Any failure is for good: what the disk holds then is known only after a restart.
    pub fn flush(&self) -> Result<Position, Poisoned> {
        let mut back = lock(&self.back);
        self.check_alive()?;
        let frames = lock(&self.front).buffer.split().freeze();
        self.write_out(&mut back, frames)
            .map_err(|what| self.poison(&what))?;
        Ok(self.durable())
    }

    fn check_alive(&self) -> Result<(), Poisoned> {
        self.watermark
            .failure()
            .map_or(Ok(()), |poisoned| Err(poisoned.clone()))
    }

    /// Wakes the writer if there is something for it. That costs a system call, so only when it is
    /// known to wait.
    fn rouse(&self, mut front: MutexGuard<'_, Front>) {
        let wakes = front.is_due() && std::mem::take(&mut front.writer_waits);
        drop(front);
        if wakes {
            self.arrived.notify_one();
        }
    }

    fn poison(&self, what: &str) -> Poisoned {
        let poisoned = Poisoned(what.into());
        self.watermark.fail(poisoned.clone());
        self.watermark.failure().cloned().unwrap_or(poisoned)
    }

    fn write_out(&self, back: &mut Back, mut frames: Bytes) -> Result<(), String> {
        while !frames.is_empty() {
            let fitting = self.fitting(back, &frames);
            if fitting == 0 {
                self.roll(back)
                    .map_err(|error| format!("a new segment: {error}"))?;
                continue;
            }
            let part = frames.split_to(fitting);
            let position = back.segment.position_of(back.address);
            back.segment
                .file
                .write_at(position, &part)
                .and_then(|()| back.segment.file.sync())
                .map_err(|error| {
                    format!("writing {}: {error}", Segment::name_of(back.segment.base))
                })?;
            back.address += part.len() as u64;
            write(&self.view).publish(part)?;
            self.watermark.advance(Position(back.address));
        }
        Ok(())
    }

    /// How many bytes of whole frames fit into the segment; a frame always fits into an empty one.
    fn fitting(&self, back: &Back, frames: &[u8]) -> usize {
        let position = back.segment.position_of(back.address);
        let room = self.config.segment_bytes.saturating_sub(position) as usize;
        if frames.len() <= room {
            return frames.len();
        }
        let mut fitting = 0;
        while fitting < frames.len() {
            let size = frame::u32_at(frames, fitting) as usize;
            let alone = fitting == 0 && back.address == back.segment.base;
            if fitting + size > room && !alone {
                break;
            }
            fitting += size;
        }
        fitting
    }

    /// Seals the segment and begins the next. Everything in the old one is synced already, so
    /// that only the last segment of a log can have a torn tail.
    fn roll(&self, back: &mut Back) -> io::Result<()> {
        let (base, end) = (back.segment.base, back.address);
        // Space that was reserved and not used goes back; nothing depends on when.
        back.segment.file.set_size(back.segment.position_of(end))?;
        let standings = {
            let view = read(&self.view);
            index::write(&*self.dir, base, end, view.index_from(base))?;
            view.standings()
        };
        let next = Segment::create(&*self.dir, end, standings, self.config.segment_bytes)?;
        back.segment = Arc::new(next);
        write(&self.view)
            .segments
            .push_back(Arc::clone(&back.segment));
        Ok(())
    }

    /// Follows the index to the disk, without holding a lock while it reads.
    fn gather_span(&self, span: &Span, gather: &mut Gather) -> Result<(), ReadError> {
        let before = gather.want;
        let frames = span.segment.frames(span.address, span.end);
        let mut frames = frames.before(span.stop);
        while frames.address < span.stop {
            let address = frames.address;
            let Some(bytes) = frames
                .next()
                .map_err(|error| damage(&span.segment, error))?
            else {
                break;
            };
            let frame = Frame::trust(&bytes, address)
                .map_err(|error| ReadError::Damaged(error.to_string()))?;
            // A copy: a record that is kept would keep all that was read around it.
            let payload = |range: Range<usize>| Bytes::copy_from_slice(&bytes[range]);
            if !gather.take(&frame, payload) {
                break;
            }
        }
        if gather.want == before && gather.want < gather.until {
            let name = Segment::name_of(span.segment.base);
            return Err(ReadError::Damaged(format!(
                "{name} lacks offset {}",
                gather.want
            )));
        }
        Ok(())
    }
}

impl Log for EmbeddedLog {
    fn fence(&self, journal: TopicPartition, who: &str) -> Result<Owner, FenceError> {
        if !journal.topic.is_journal() {
            return Err(FenceError::NotAJournal(journal));
        }
        if journal.partition >= TopicPartition::COUNT_MAX {
            return Err(FenceError::UnknownPartition(journal));
        }
        self.check_alive()?;
        let owner = {
            let mut front = lock(&self.front);
            let accepted = front.partitions.get_mut(journal);
            accepted.epoch += 1;
            let owner = Owner {
                journal,
                epoch: accepted.epoch,
            };
            let stamp = Stamp {
                address: front.accepted,
                synced: self.durable().0,
                owner: Some(owner),
            };
            let before = front.buffer.len();
            frame::encode_fence(&mut front.buffer, stamp, who);
            front.accepted += (front.buffer.len() - before) as u64;
            owner
        };
        self.flush()?;
        Ok(owner)
    }

    fn holds(&self, owner: Owner) -> Result<bool, ReadError> {
        let front = lock(&self.front);
        Ok(front.check_owner(Some(owner)).is_ok())
    }

    fn append(&self, owner: Option<Owner>, batch: &Batch) -> Result<Position, AppendError> {
        let batch_bytes = frame::batch_bytes(batch) as u64;
        let limit_bytes = self.config.batch_bytes_max;
        batch.check(owner, batch_bytes, limit_bytes, |_| {
            TopicPartition::COUNT_MAX
        })?;
        self.check_alive()?;
        let mut front = lock(&self.front);
        front.check_owner(owner)?;
        let synced = self.durable().0;
        let (buffered_bytes, limit_bytes) = (front.accepted - synced, self.config.buffer_bytes);
        if buffered_bytes + batch_bytes > limit_bytes {
            return Err(AppendError::Full {
                buffered_bytes,
                limit_bytes,
            });
        }
        front.reserve(batch_bytes as usize);
        let Front {
            buffer,
            partitions,
            accepted,
            ..
        } = &mut *front;
        let stamp = Stamp {
            address: *accepted,
            synced,
            owner,
        };
        frame::encode_batch(buffer, stamp, batch, |to| {
            let end = &mut partitions.get_mut(to).end;
            *end += 1;
            *end - 1
        });
        *accepted += batch_bytes;
        let position = Position(*accepted);
        self.rouse(front);
        Ok(position)
    }

    fn begin_group(&self) {
        lock(&self.front).grouping = true;
    }

    fn end_group(&self) {
        let mut front = lock(&self.front);
        front.grouping = false;
        self.rouse(front);
    }

    fn watermark(&self) -> &Watermark {
        &self.watermark
    }

    fn read(
        &self,
        partition: TopicPartition,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let standing = read(&self.view).standing(partition);
        ReadError::check(partition, from, (standing.start, standing.end))?;
        let mut gather = Gather::new(partition, from, standing.end, max_bytes);
        while gather.want < gather.until {
            let before = gather.want;
            // A statement of its own, so that the view is let go of before anything is looked through.
            let place = read(&self.view).find(partition, gather.want)?;
            match place {
                Place::Tail(span) => span.gather(&mut gather),
                Place::Disk(span) => self.gather_span(&span, &mut gather)?,
            }
            if gather.want == before {
                break;
            }
        }
        Ok(gather.records)
    }

    fn start(&self, partition: TopicPartition) -> u64 {
        read(&self.view).standing(partition).start
    }

    fn end(&self, partition: TopicPartition) -> u64 {
        read(&self.view).standing(partition).end
    }

    fn accepted_end(&self, partition: TopicPartition) -> u64 {
        lock(&self.front)
            .partitions
            .get(partition)
            .map_or(0, |accepted| accepted.end)
    }

    fn runs_ahead(&self) -> bool {
        true
    }

    fn truncate_before(&self, partition: TopicPartition, offset: u64) -> Result<(), Poisoned> {
        self.retain_from(partition, offset)
    }
}

impl Front {
    /// Whether there is something to write that nothing more is about to join.
    fn is_due(&self) -> bool {
        !self.buffer.is_empty() && !self.grouping
    }

    fn check_owner(&self, owner: Option<Owner>) -> Result<(), AppendError> {
        let Some(owner) = owner else { return Ok(()) };
        let current = self
            .partitions
            .get(owner.journal)
            .map_or(0, |accepted| accepted.epoch);
        match owner.epoch == current && current > 0 {
            true => Ok(()),
            false => Err(AppendError::Fenced { owner, current }),
        }
    }

    /// Makes room. What was split off shares its chunk with what comes next until that is full;
    /// a buffer that outgrows its chunk doubles, so that copying stays cheap.
    fn reserve(&mut self, more: usize) {
        if self.buffer.capacity() - self.buffer.len() < more {
            self.buffer
                .reserve(more.max(self.buffer.len()).max(CHUNK_BYTES));
        }
    }
}

fn damage(segment: &Segment, error: segment::FrameError) -> ReadError {
    match error {
        segment::FrameError::Io(error) => ReadError::Io(error),
        invalid => ReadError::Damaged(format!("{}: {invalid}", Segment::name_of(segment.base))),
    }
}

/// A panic under one of these locks leaves at worst what was accepted and never acknowledged.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(view: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    view.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(view: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    view.write().unwrap_or_else(PoisonError::into_inner)
}
