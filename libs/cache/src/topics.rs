//! News within this process: a ring of the newest messages a topic, and a place in it a listener.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Messages of a topic that a listener may be behind by.
pub(crate) const BEHIND_MAX: usize = 1_024;

#[derive(Default)]
pub(crate) struct Topics(Mutex<HashMap<&'static str, broadcast::Sender<Bytes>>>);

impl Topics {
    pub(crate) fn publish(&self, topic: &'static str, message: Bytes) {
        if let Some(sender) = self.senders().get(topic) {
            // Nobody listens any more: then nobody is told.
            let _ = sender.send(message);
        }
    }

    pub(crate) fn subscribe(&self, topic: &'static str) -> Subscription {
        let mut senders = self.senders();
        let sender = senders
            .entry(topic)
            .or_insert_with(|| broadcast::channel(BEHIND_MAX).0);
        Subscription(sender.subscribe())
    }

    fn senders(&self) -> MutexGuard<'_, HashMap<&'static str, broadcast::Sender<Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message.
    Message(Bytes),
    /// At least so many messages were missed, because the listener was slow or the way to it broke.
    /// What comes next is newer.
    Missed(u64),
}

/// One listener to one topic.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Bytes>);

impl Subscription {
    /// What is heard next; waits for it. `None` once the cache is gone. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(message) => Some(Heard::Message(message)),
            Err(RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}
