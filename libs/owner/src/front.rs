//! Commands to the stages through the log, and the thread that reads their replies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use prepx_bus::{AppendError, Log, TopicPartition};
use prepx_env::{Clock, Random};
use prepx_stage::Desk;
use prepx_stage::desk::{Bounds, Question, Refused};
use prepx_stage::port::SubmitError;
use tokio::sync::oneshot;

use crate::bell::Bell;
use crate::{Failure, RETRY_AFTER};

/// How often to look what has waited too long.
const LOOK: Duration = Duration::from_millis(100);
/// How long the commands that were accepted may take to be answered when the process ends.
const DRAIN: Duration = Duration::from_secs(5);
const DRAIN_LOOK: Duration = Duration::from_millis(10);
/// How often a front at rest looks where the replies end, so that it need not read all of what it has missed.
const REST_LOOK: Duration = Duration::from_secs(2);

type Waiter = oneshot::Sender<Option<Bytes>>;

/// A reply that is awaited, in the bytes of the stage's codec; none where the stage gave none. An error when
/// nobody will ever hear it here: the outcome is unknown then.
pub type Awaited = oneshot::Receiver<Option<Bytes>>;

/// The commands of this process. Clones are the same.
#[derive(Clone)]
pub struct Front(Arc<Shared>);

struct Shared {
    desk: Mutex<Desk<Waiter>>,
    log: Arc<dyn Log>,
    replies: TopicPartition,
    rest_after: Duration,
    clock: Arc<dyn Clock>,
    bell: Arc<Bell>,
    failure: Failure,
    closed: AtomicBool,
    stopped: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Front {
    /// Starts the thread that hears. `log` is a handle that nobody else reads `replies` at.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(
        log: &Arc<dyn Log>,
        replies: TopicPartition,
        bounds: Bounds,
        (clock, random): (&Arc<dyn Clock>, &Random),
        failure: &Failure,
    ) -> std::io::Result<Front> {
        let desk = Desk::open(Arc::clone(log), replies, random.next_u64(), bounds);
        let front = Front(Arc::new(Shared {
            desk: Mutex::new(desk),
            log: Arc::clone(log),
            replies,
            rest_after: bounds.rest_after,
            clock: Arc::clone(clock),
            bell: Arc::default(),
            failure: failure.clone(),
            closed: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            thread: Mutex::default(),
        }));
        let rung = Arc::clone(&front.0.bell);
        log.on_news(Box::new(move || rung.ring()));
        let hearing = Arc::clone(&front.0);
        let thread = thread::Builder::new().name("replies".into());
        let thread = thread.spawn(move || hearing.run())?;
        *lock(&front.0.thread) = Some(thread);
        Ok(front)
    }

    /// Puts a command, in the bytes of the stage's codec, on the log; its reply is awaited by the caller.
    /// `repeats` says whether the stage knows a repeat of it and gives the first decision again.
    ///
    /// # Errors
    /// When nothing was accepted.
    pub fn ask(
        &self,
        to: TopicPartition,
        repeats: bool,
        input: Vec<u8>,
    ) -> Result<Awaited, SubmitError> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(SubmitError::Closed("this process is draining".into()));
        }
        let (who, awaited) = oneshot::channel();
        let question = Question {
            who,
            to,
            input,
            repeats,
        };
        let (asked, waiting) = {
            let mut desk = lock(&self.0.desk);
            (desk.ask(question, self.0.clock.monotonic()), desk.waiting())
        };
        match asked {
            Ok(()) => {
                // The first has to wake it from its rest.
                if waiting == 1 {
                    self.0.bell.ring();
                }
                Ok(awaited)
            }
            Err((_, Refused::Waiting(_) | Refused::Log(AppendError::Full { .. }))) => {
                let retry_after = RETRY_AFTER;
                Err(SubmitError::Busy { retry_after })
            }
            Err((_, refused)) => Err(SubmitError::Closed(refused.to_string())),
        }
    }

    /// Waits for a reply.
    ///
    /// # Errors
    /// When none will be heard here: it may have been decided or not.
    pub async fn reply(&self, awaited: Awaited) -> Result<Option<Bytes>, SubmitError> {
        awaited.await.map_err(|_| {
            let failure = self.0.failure.get();
            let why = failure.map_or("no reply has come in time".into(), |why| why.to_string());
            SubmitError::Unknown(why)
        })
    }

    /// Takes nothing more and waits, for a bounded time, for the answers to what was accepted. Blocks.
    pub fn drain(&self) {
        let shared = &self.0;
        shared.closed.store(true, Ordering::Release);
        let mut looks = DRAIN.as_millis() / DRAIN_LOOK.as_millis();
        while lock(&shared.desk).waiting() > 0 && shared.failure.get().is_none() && looks > 0 {
            thread::sleep(DRAIN_LOOK);
            looks -= 1;
        }
    }

    /// Ends the thread, after [`Self::drain`]. Who still waits learns that the outcome is unknown.
    pub fn stop(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.stopped.store(true, Ordering::Release);
        self.0.bell.ring();
        let thread = lock(&self.0.thread).take();
        // A panic there has been told of by its alarm.
        let _ = thread.map(JoinHandle::join);
    }
}

impl Shared {
    fn run(&self) {
        let _alarm = self.failure.alarm();
        while !self.stopped.load(Ordering::Acquire) {
            if let Err(error) = self.hear_until_nobody_waits() {
                self.failure.fail(&error.to_string());
                break;
            }
            self.rest();
        }
    }

    /// Until nobody has waited for a while, or the end.
    fn hear_until_nobody_waits(&self) -> Result<(), prepx_stage::desk::Error> {
        let mut awaited = self.clock.monotonic();
        while !self.stopped.load(Ordering::Acquire) {
            self.bell.wait(LOOK);
            self.hear()?;
            let now = self.clock.monotonic();
            if lock(&self.desk).waiting() > 0 {
                awaited = now;
            } else if now.saturating_sub(awaited) >= self.rest_after {
                break;
            }
        }
        Ok(())
    }

    /// Until somebody waits, or the end. A process that asks little would otherwise have brokers answer a fetch for each
    /// transaction, with replies to others.
    fn rest(&self) {
        self.log.leave(self.replies);
        let ended =
            || self.stopped.load(Ordering::Acquire) || self.log.watermark().failure().is_some();
        while lock(&self.desk).waiting() == 0 && !ended() {
            let end = self.log.end(self.replies);
            lock(&self.desk).skip_to(end);
            self.bell.wait(REST_LOOK);
        }
    }

    /// Hands over the replies that have come. Who is dropped unanswered learns that the outcome is unknown.
    fn hear(&self) -> Result<(), prepx_stage::desk::Error> {
        let heard = lock(&self.desk).hear()?;
        for (who, reply) in heard {
            // Whoever asked may have gone; the write is none the less done.
            let _ = who.send(reply);
        }
        let given_up = lock(&self.desk).expire(self.clock.monotonic());
        drop(given_up);
        Ok(())
    }
}

/// Nothing under these locks is left half done by a panic that matters: its thread ends the process.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
