//! What wakes a thread: rung by whoever has something for it, however often.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    moved: Condvar,
}

impl Bell {
    /// Wakes whoever waits, or whoever waits next. Short: the log's own threads call it.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.moved.notify_one();
    }

    /// Waits until it has rung since the last time, but not longer than `timeout`.
    pub fn wait(&self, timeout: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.moved.wait_timeout_while(rung, timeout, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}
