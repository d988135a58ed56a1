//! The order in which a process ends: first it takes no new work, then it finishes the work it has, then the
//! tasks that this work needed.

use tokio::sync::{mpsc, watch};

/// The phase of the shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Draining,
    Stopping,
}

/// A handle that everything that runs watches. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Drain {
    phase: watch::Receiver<Phase>,
    work: mpsc::WeakSender<()>,
}

/// A piece of work that must end before tasks are stopped, such as an upgraded socket. Ends when dropped.
#[derive(Debug)]
pub struct Work {
    _held: Option<mpsc::Sender<()>>,
}

/// Controls a [`Drain`].
#[derive(Debug)]
pub struct Control {
    phase: watch::Sender<Phase>,
    work: Option<mpsc::Sender<()>>,
    done: mpsc::Receiver<()>,
}

impl Drain {
    /// A drain that has not begun, and its control.
    pub fn new() -> (Drain, Control) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        // Nothing is ever sent: the channel closes when the last piece of work has ended.
        let (work, done) = mpsc::channel(1);
        let drain = Drain {
            phase: receiver,
            work: work.downgrade(),
        };
        (
            drain,
            Control {
                phase: sender,
                work: Some(work),
                done,
            },
        )
    }

    /// Completes when no new work may begin: streams and sockets finish their work and close.
    pub async fn draining(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Completes when tasks must end. All requests have been answered by then, or given up.
    pub async fn stopping(&self) {
        self.reached(Phase::Stopping).await;
    }

    /// Whether no new work may begin.
    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() >= Phase::Draining
    }

    /// Registers a piece of work that the shutdown waits for.
    pub fn work(&self) -> Work {
        Work {
            _held: self.work.upgrade(),
        }
    }

    async fn reached(&self, phase: Phase) {
        let mut watched = self.phase.clone();
        // A control that was dropped cannot delay anything any more, so it counts as the end.
        let _ = watched.wait_for(|now| *now >= phase).await;
    }
}

impl Control {
    /// Begins the shutdown.
    pub fn drain(&self) {
        self.phase.send_if_modified(|phase| {
            let later = *phase < Phase::Draining;
            *phase = (*phase).max(Phase::Draining);
            later
        });
    }

    /// Waits until all registered work has ended.
    pub async fn finished(&mut self) {
        self.work = None;
        while self.done.recv().await.is_some() {}
    }

    /// Ends the tasks.
    pub fn stop(&self) {
        self.phase.send_replace(Phase::Stopping);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_work_and_comes_in_order() {
        let (drain, mut control) = Drain::new();
        let work = drain.work();
        assert!(!drain.is_draining());
        control.drain();
        drain.draining().await;
        let early = tokio::time::timeout(Duration::from_secs(60), control.finished()).await;
        assert!(early.is_err(), "the work has not ended");
        let stopping = tokio::time::timeout(Duration::from_secs(60), drain.stopping()).await;
        assert!(
            stopping.is_err(),
            "tasks are needed until the work has ended"
        );
        drop(work);
        control.finished().await;
        control.stop();
        drain.stopping().await;
    }
}
