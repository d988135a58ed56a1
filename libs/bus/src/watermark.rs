//! The durable watermark: how far the log is safe on disk, and its subscribers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::{Poisoned, Position};

/// What a watermark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything up to here is durable.
    Durable(Position),
    /// The log is dead: what is above the last durable position may or may not survive.
    Failed(Poisoned),
}

type Hook = Box<dyn Fn(&Progress) + Send + Sync>;

/// The last durable [`Position`] of a log handle.
///
/// It only rises, and once failed it stays so. Three ways to follow it: ask ([`Self::position`]),
/// block ([`Self::wait`]), be called ([`Self::subscribe`]).
#[derive(Default)]
pub struct Watermark {
    durable: AtomicU64,
    failed: OnceLock<Poisoned>,
    waiters: AtomicUsize,
    moved: Condvar,
    gate: Mutex<()>,
    hooks: Mutex<Vec<Hook>>,
}

impl Watermark {
    /// A watermark that stands at `position`. For engines.
    pub fn at(position: Position) -> Watermark {
        Watermark {
            durable: AtomicU64::new(position.0),
            ..Watermark::default()
        }
    }

    /// The last durable position.
    pub fn position(&self) -> Position {
        Position(self.durable.load(Ordering::SeqCst))
    }

    /// Why the log is dead, if it is.
    pub fn failure(&self) -> Option<&Poisoned> {
        self.failed.get()
    }

    /// The position, or the failure.
    pub fn progress(&self) -> Progress {
        match self.failed.get() {
            Some(poisoned) => Progress::Failed(poisoned.clone()),
            None => Progress::Durable(self.position()),
        }
    }

    /// Blocks until `wanted` is durable, the log has failed or `timeout` is over, and says where
    /// the watermark stands then. What is durable stays durable: a position already reached is
    /// answered as such even when the log has failed since.
    pub fn wait(&self, wanted: Position, timeout: Duration) -> Progress {
        let pending = || self.position() < wanted && self.failed.get().is_none();
        if pending() {
            // Counted before the position is looked at again, so that an advance in between
            // sees the waiter and takes the gate to wake it.
            self.waiters.fetch_add(1, Ordering::SeqCst);
            let (gate, _) = self
                .moved
                .wait_timeout_while(lock(&self.gate), timeout, |()| pending())
                .unwrap_or_else(PoisonError::into_inner);
            drop(gate);
            self.waiters.fetch_sub(1, Ordering::SeqCst);
        }
        match self.position() {
            durable if durable >= wanted => Progress::Durable(durable),
            _ => self.progress(),
        }
    }

    /// Calls `hook` after every move and at the failure, on the thread that syncs: it must be short, must
    /// not block, must not panic and must not subscribe. It is also called immediately, with the present
    /// state, so that nothing is missed. Subscriptions live as long as the log: a process makes a fixed
    /// few.
    pub fn subscribe(&self, hook: impl Fn(&Progress) + Send + Sync + 'static) {
        let mut hooks = lock(&self.hooks);
        hook(&self.progress());
        hooks.push(Box::new(hook));
    }

    /// Moves the watermark up to `position`; a lower one changes nothing. For engines: everything
    /// up to it must be durable and readable already.
    pub fn advance(&self, position: Position) {
        if self.durable.fetch_max(position.0, Ordering::SeqCst) < position.0 {
            self.tell(&Progress::Durable(position));
        }
    }

    /// Marks the log dead; the first reason stays. For engines.
    pub fn fail(&self, poisoned: Poisoned) {
        if self.failed.set(poisoned.clone()).is_ok() {
            self.tell(&Progress::Failed(poisoned));
        }
    }

    fn tell(&self, progress: &Progress) {
        if self.waiters.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.gate));
            self.moved.notify_all();
        }
        for hook in lock(&self.hooks).iter() {
            hook(progress);
        }
    }
}

/// A panic under these locks cannot leave anything half done, so a poisoned lock is fine.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_waiter_is_woken_by_the_move_that_reaches_it() {
        let watermark = Arc::new(Watermark::at(Position(3)));
        let waiter = thread::spawn({
            let watermark = Arc::clone(&watermark);
            move || watermark.wait(Position(5), LONG)
        });
        watermark.advance(Position(4));
        watermark.advance(Position(5));
        assert_eq!(waiter.join().unwrap(), Progress::Durable(Position(5)));
        assert_eq!(
            watermark.wait(Position(6), Duration::ZERO),
            Progress::Durable(Position(5))
        );
    }

    #[test]
    fn it_never_falls_and_a_failure_ends_every_wait_but_those_already_reached() {
        let watermark = Arc::new(Watermark::at(Position(7)));
        watermark.advance(Position(2));
        assert_eq!(watermark.position(), Position(7));
        let waiter = thread::spawn({
            let watermark = Arc::clone(&watermark);
            move || watermark.wait(Position(8), LONG)
        });
        let poisoned = Poisoned("the disk is gone".into());
        watermark.fail(poisoned.clone());
        watermark.fail(Poisoned("a later reason".into()));
        assert_eq!(waiter.join().unwrap(), Progress::Failed(poisoned));
        assert_eq!(
            watermark.wait(Position(7), LONG),
            Progress::Durable(Position(7))
        );
    }

    #[test]
    fn subscribers_hear_the_present_every_move_and_the_failure() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let watermark = Watermark::default();
        watermark.subscribe({
            let heard = Arc::clone(&heard);
            move |progress| heard.lock().unwrap().push(progress.clone())
        });
        watermark.advance(Position(1));
        watermark.advance(Position(1));
        watermark.advance(Position(9));
        let poisoned = Poisoned("no".into());
        watermark.fail(poisoned.clone());
        assert_eq!(
            *heard.lock().unwrap(),
            [
                Progress::Durable(Position(0)),
                Progress::Durable(Position(1)),
                Progress::Durable(Position(9)),
                Progress::Failed(poisoned),
            ]
        );
    }
}
