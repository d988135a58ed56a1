//! Commands to the stages through the log, and the thread that hears their replies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use prepx_bus::{AppendError, Log, TopicPartition};
use prepx_env::Clock;
use prepx_stage::Desk;
use prepx_stage::desk::{Question, Refused};
use prepx_stage::port::SubmitError;
use tokio::sync::{oneshot, watch};

use super::bell::Bell;
use crate::core::{Alarm, BUSY, fail};

/// How often to look what has waited too long.
const LOOK: Duration = Duration::from_millis(100);

type Waiter = oneshot::Sender<Option<Bytes>>;

/// A reply that is awaited; an error when nobody will ever hear it here.
pub(super) type Awaited = oneshot::Receiver<Option<Bytes>>;

pub(super) struct Asking {
    desk: Arc<Mutex<Desk<Waiter>>>,
    clock: Arc<dyn Clock>,
    bell: Arc<Bell>,
}

impl Asking {
    /// Starts the thread that hears.
    pub fn start(
        desk: Desk<Waiter>,
        log: &Arc<dyn Log>,
        clock: &Arc<dyn Clock>,
        failure: watch::Sender<Option<Arc<str>>>,
        stop: Arc<AtomicBool>,
    ) -> std::io::Result<(Asking, JoinHandle<()>)> {
        let asking = Asking {
            desk: Arc::new(Mutex::new(desk)),
            clock: Arc::clone(clock),
            bell: Arc::default(),
        };
        let rung = Arc::clone(&asking.bell);
        log.on_news(Box::new(move || rung.ring()));
        let (desk, clock) = (Arc::clone(&asking.desk), Arc::clone(clock));
        let bell = Arc::clone(&asking.bell);
        let thread = std::thread::Builder::new()
            .name("replies".into())
            .spawn(move || {
                let alarm = Alarm(failure);
                while !stop.load(Ordering::Acquire) {
                    bell.wait(LOOK);
                    if let Err(error) = hear(&desk, &*clock) {
                        fail(&alarm.0, &error.to_string());
                        break;
                    }
                }
            })?;
        Ok((asking, thread))
    }

    /// Puts a command on the log; its reply is awaited by the caller.
    pub fn ask(
        &self,
        to: TopicPartition,
        repeats: bool,
        input: Vec<u8>,
    ) -> Result<Awaited, SubmitError> {
        let (who, awaited) = oneshot::channel();
        let question = Question {
            who,
            to,
            input,
            repeats,
        };
        let asked = lock(&self.desk).ask(question, self.clock.monotonic());
        match asked {
            Ok(()) => Ok(awaited),
            Err((_, Refused::Waiting(_) | Refused::Log(AppendError::Full { .. }))) => Err(BUSY),
            Err((_, refused)) => Err(SubmitError::Closed(refused.to_string())),
        }
    }

    /// How many commands wait.
    pub fn waiting(&self) -> usize {
        lock(&self.desk).waiting()
    }

    pub fn ring(&self) {
        self.bell.ring();
    }
}

/// Hands over the replies that have come. Who is dropped unanswered learns that the outcome is unknown.
fn hear(desk: &Mutex<Desk<Waiter>>, clock: &dyn Clock) -> Result<(), prepx_stage::desk::Error> {
    let heard = lock(desk).hear()?;
    for (who, reply) in heard {
        // Whoever asked may have gone; the write is none the less done.
        let _ = who.send(reply);
    }
    let given_up = lock(desk).expire(clock.monotonic());
    drop(given_up);
    Ok(())
}

/// Nothing under this lock is left half done by a panic that matters: its thread ends the process.
fn lock(desk: &Mutex<Desk<Waiter>>) -> MutexGuard<'_, Desk<Waiter>> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}
