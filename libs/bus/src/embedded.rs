//! The embedded engine: one write-ahead log for all topics, in the data directory.
//!
//! Owns: the order of all batches, group commit, fencing, retention. Refuses: to run its own threads
//! ([`EmbeddedLog::flush`] does the work; [`spawn_writer`] is the thread for it), to continue after a
//! failed write or sync, to share its directory.
//!
//! Three parts, each behind a lock of its own, taken in this order and held shortly: the *back*
//! (the file being written, held through a sync, by the flusher only), the *front* (what has been
//! accepted, in memory), the *view* (what is durable, for readers).

pub mod archive;
mod config;
mod flush;
pub mod frame;
mod front;
mod gather;
mod index;
mod partitions;
mod recover;
mod retention;
mod scan;
mod segment;
mod view;
mod writer;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

pub use self::config::{Config, OpenError, Retention};
use self::flush::Back;
use self::frame::Stamp;
use self::front::Front;
use self::gather::{Gather, Place};
use self::view::View;
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
    /// One retention at a time: segments must be dropped in order.
    retention: Mutex<()>,
    _lock: Lock,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, or begins one. A torn tail is cut off, damage is an error.
    pub fn open(dir: Arc<dyn Dir>, config: Config) -> Result<Arc<EmbeddedLog>, OpenError> {
        config.validate()?;
        let lock = dir.lock(&config.holder)?;
        let view = recover::recover(&*dir, &config)?;
        let Some(segment) = view.segments.back().map(Arc::clone) else {
            unreachable!("recovery makes a segment if there is none");
        };
        Ok(Arc::new(EmbeddedLog {
            back: Mutex::new(Back {
                segment,
                address: view.end,
            }),
            front: Mutex::new(Front::new(view.end, &view.standings())),
            arrived: Condvar::new(),
            watermark: Watermark::at(Position(view.end)),
            view: RwLock::new(view),
            retention: Mutex::new(()),
            config,
            dir,
            _lock: lock,
        }))
    }

    fn check_alive(&self) -> Result<(), Poisoned> {
        self.watermark
            .failure()
            .map_or(Ok(()), |poisoned| Err(poisoned.clone()))
    }

    /// Wakes the writer if there is something for it. That is a system call, so it is done only when the
    /// writer is known to wait.
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
            // A separate statement, so that the view is unlocked before the search.
            let place = read(&self.view).find(partition, gather.want)?;
            match place {
                Place::Tail(span) => span.gather(&mut gather),
                Place::Disk(span) => span.gather(&mut gather)?,
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

/// A panic under one of these locks leaves at worst batches that were accepted and never acknowledged.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(view: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    view.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(view: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    view.write().unwrap_or_else(PoisonError::into_inner)
}
