//! Why the order path of this process has ended for good; everybody who waits for that hears it once.

use std::sync::Arc;
use std::thread;

use tokio::sync::watch;

/// The first reason, when there is one: the process must end then (I8). Clones are the same.
#[derive(Clone)]
pub struct Failure(watch::Sender<Option<Arc<str>>>);

impl Default for Failure {
    fn default() -> Failure {
        Failure(watch::Sender::new(None))
    }
}

impl Failure {
    /// Ends the order path. The first reason is the one that is told.
    pub fn fail(&self, reason: &str) {
        self.0.send_if_modified(|told| {
            let first = told.is_none();
            if first {
                tracing::error!(reason, "the order path has failed");
                *told = Some(reason.into());
            }
            first
        });
    }

    /// The reason, if it has failed.
    pub fn get(&self) -> Option<Arc<str>> {
        self.0.borrow().clone()
    }

    /// Waits until it has failed, and says why; for ever when it ends in peace.
    pub async fn first(&self) -> Arc<str> {
        let mut told = self.0.subscribe();
        let said = told.wait_for(Option::is_some).await.ok();
        match said.and_then(|said| said.clone()) {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }

    /// Why nobody answers any more.
    pub fn words(&self) -> String {
        match self.get() {
            Some(failure) => failure.to_string(),
            None => "the order path has stopped".into(),
        }
    }

    /// To be kept by a thread of the order path.
    pub fn alarm(&self) -> Alarm {
        Alarm(self.clone())
    }
}

/// Tells when the thread that keeps it panics.
pub struct Alarm(Failure);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail("a thread of the order path panicked");
        }
    }
}
