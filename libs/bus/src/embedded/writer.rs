//! The thread that writes and syncs.
//!
//! It flushes as soon as there is something to write; what arrives during a sync shares the next one, so
//! batches grow with the load by themselves. Refuses: to wait for more, unless a group was announced
//! ([`crate::Log::begin_group`]).

use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

use super::{EmbeddedLog, lock};
use crate::Poisoned;

/// The running writer; dropping it stops it after a last flush.
pub struct WriterHandle {
    log: Arc<EmbeddedLog>,
    thread: Option<JoinHandle<Result<(), Poisoned>>>,
}

/// Starts the thread that flushes `log` whenever something has been accepted. A failure is told
/// through the watermark; the process should end then. One writer a log.
pub fn spawn_writer(log: Arc<EmbeddedLog>) -> std::io::Result<WriterHandle> {
    lock(&log.front).closing = false;
    let running = Arc::clone(&log);
    let thread = thread::Builder::new()
        .name("log-writer".into())
        .spawn(move || {
            let alarm = Alarm(running);
            while alarm.0.wait_for_work() {
                alarm.0.flush()?;
            }
            Ok(())
        })?;
    Ok(WriterHandle {
        log,
        thread: Some(thread),
    })
}

impl WriterHandle {
    /// Flushes what has been accepted and ends the thread.
    pub fn stop(mut self) -> Result<(), Poisoned> {
        self.join()
    }

    fn join(&mut self) -> Result<(), Poisoned> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        lock(&self.log.front).closing = true;
        self.log.arrived.notify_one();
        thread
            .join()
            .unwrap_or_else(|_| Err(self.log.poison(PANICKED)))
    }
}

const PANICKED: &str = "the log's writer panicked";

/// Fails the log when the writer panics (in a subscriber's hook, say), so that nobody waits for
/// a watermark that will not move again.
struct Alarm(Arc<EmbeddedLog>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.poison(PANICKED);
        }
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        // Whoever wants to know the outcome stops it; the watermark has it as well.
        let _ = self.join();
    }
}

impl EmbeddedLog {
    /// Waits until there is something to flush; false when there is nothing and will be nothing.
    fn wait_for_work(&self) -> bool {
        let idle = |front: &mut super::Front| {
            let idle = !front.is_due() && !front.closing;
            front.writer_waits = idle;
            idle
        };
        let front = self
            .arrived
            .wait_while(lock(&self.front), idle)
            .unwrap_or_else(PoisonError::into_inner);
        !front.buffer.is_empty()
    }
}
