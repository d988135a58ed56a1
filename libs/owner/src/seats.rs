//! The partitions of one stage that this process owns.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use prepx_env::Clock;
use prepx_stage::{Codec, Pace, Partition, Snapshots, Stage, Topology};
use tokio::sync::oneshot;

use crate::bell::Bell;
use crate::keeping::Keeping;
use crate::release::Deliver;
use crate::seat::{self, Look, Seated};
use crate::{BoxError, Failure, Gate, Logs, QueryError, RETRY_AFTER};

/// How a process runs partitions of a stage.
#[derive(Clone)]
pub struct Options {
    /// Which stage.
    pub stage: Stage,
    /// How many partitions there are.
    pub topology: Topology,
    /// The log.
    pub logs: Logs,
    /// Where snapshots are; the same place for all processes.
    pub snapshots: Snapshots,
    /// When one is due.
    pub pace: Pace,
    /// Which process this is, for people.
    pub who: String,
    /// Where other processes reach this one, `host:port`.
    pub address: String,
    /// Most reads that may be under way.
    pub reads_max: usize,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Told of what ends the whole process: an input that cannot be decided, a damaged journal, a panic.
    pub failure: Failure,
}

/// The partitions of one stage that this process owns. Clones are the same.
pub struct Seats<C: Codec>(Arc<Shared<C>>);

impl<C: Codec> Clone for Seats<C> {
    fn clone(&self) -> Seats<C> {
        Seats(Arc::clone(&self.0))
    }
}

struct Shared<C: Codec> {
    codec: Arc<C>,
    options: Options,
    reads: Gate,
    seated: BTreeMap<u32, Seated<C>>,
    stop: Arc<AtomicBool>,
    keeper: Arc<Bell>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<C: Codec> Seats<C> {
    /// Takes every partition of the stage over and starts the threads.
    ///
    /// # Errors
    /// What kept one of them from being owned here.
    pub fn open(codec: Arc<C>, options: Options) -> Result<Seats<C>, BoxError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut seated, mut threads) = (BTreeMap::new(), Vec::new());
        let (opened, owned) = mpsc::channel();
        for seat in options.topology.seats(options.stage) {
            let (one, thread) = seat::start(&codec, seat, &options, &stop, opened.clone())?;
            seated.insert(seat.partition, one);
            threads.push(thread);
        }
        drop(opened);
        owned.iter().collect::<Result<Vec<()>, BoxError>>()?;
        let seats = Seats(Arc::new(Shared {
            codec,
            reads: Gate::new(options.reads_max),
            options,
            seated,
            stop,
            keeper: Arc::default(),
            threads: Mutex::new(threads),
        }));
        let keeping = seats.keep()?;
        seats.threads().push(keeping);
        Ok(seats)
    }

    /// Starts the thread that makes snapshots.
    fn keep(&self) -> std::io::Result<JoinHandle<()>> {
        let shared = &self.0;
        let seats = Arc::downgrade(shared);
        let events = move || {
            let seats = seats.upgrade();
            let seated = seats.iter().flat_map(|shared| &shared.seated);
            seated
                .map(|(number, seated)| (*number, seated.events()))
                .collect()
        };
        let keeping = Keeping {
            codec: Arc::clone(&shared.codec),
            stage: shared.options.stage,
            logs: Arc::clone(&shared.options.logs),
            snapshots: shared.options.snapshots.clone(),
            pace: shared.options.pace,
            events: Box::new(events),
        };
        let (stop, bell) = (Arc::clone(&shared.stop), Arc::clone(&shared.keeper));
        let name = format!("keeper of {}", shared.options.stage.journal);
        let thread = thread::Builder::new().name(name);
        thread.spawn(move || keeping.run(&stop, &bell))
    }

    /// Looks into a partition's memory; returns when everything that was seen is durable. `look` runs on
    /// the partition's thread: it must be short.
    ///
    /// # Errors
    /// When this process does not own the partition, or cannot answer for it.
    pub async fn query<T: Send + 'static>(
        &self,
        partition: u32,
        look: impl FnOnce(&Partition<C>) -> T + Send + 'static,
    ) -> Result<T, QueryError> {
        let busy = QueryError::Busy {
            retry_after: RETRY_AFTER,
        };
        let pass = self.0.reads.enter(1).ok_or(busy)?;
        let (answer, answered) = oneshot::channel();
        let look: Look<C> = Box::new(move |partition| -> Deliver {
            let seen = look(partition);
            Box::new(move || {
                drop(pass);
                // Whoever asked may have gone.
                let _ = answer.send(seen);
            })
        });
        let seated = self.0.seated.get(&partition);
        if !seated.is_some_and(|seated| seated.look(look)) {
            return Err(self.gone());
        }
        answered.await.map_err(|_| self.gone())
    }

    fn gone(&self) -> QueryError {
        match self.0.options.failure.get() {
            Some(failure) => QueryError::Unavailable(failure.to_string()),
            None => QueryError::NotOwner { epoch: 0 },
        }
    }

    /// The partitions that are owned here now.
    pub fn owned(&self) -> Vec<u32> {
        self.0.seated.keys().copied().collect()
    }

    /// Which stage it is.
    pub fn stage(&self) -> Stage {
        self.0.options.stage
    }

    /// How many partitions there are.
    pub fn topology(&self) -> Topology {
        self.0.options.topology
    }

    /// What the stage's bytes are written and read with.
    pub fn codec(&self) -> &Arc<C> {
        &self.0.codec
    }

    /// Hands all partitions over and ends the threads. Blocks.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.0.seated.values().for_each(Seated::ring);
        self.0.keeper.ring();
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            // A panic there has been told of by its alarm.
            let _ = thread.join();
        }
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        let threads = self.0.threads.lock();
        threads.unwrap_or_else(PoisonError::into_inner)
    }
}
