//! Publish and subscribe within this process: each topic has a ring of its newest messages, each listener a position in it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// How many messages a listener may be behind.
pub(crate) const BEHIND_MAX: usize = 1_024;

#[derive(Default)]
pub(crate) struct Topics(Mutex<HashMap<&'static str, broadcast::Sender<Option<Bytes>>>>);

impl Topics {
    pub(crate) fn publish(&self, topic: &str, message: Bytes) {
        if let Some(sender) = self.senders().get(topic) {
            // An error says only that there is no listener any more.
            let _ = sender.send(Some(message));
        }
    }

    /// The connection to other processes broke: listeners may have missed anything.
    pub(crate) fn missed(&self) {
        for sender in self.senders().values() {
            let _ = sender.send(None);
        }
    }

    pub(crate) fn subscribe(&self, topic: &'static str) -> Subscription {
        let mut senders = self.senders();
        let sender = senders
            .entry(topic)
            .or_insert_with(|| broadcast::channel(BEHIND_MAX).0);
        Subscription(sender.subscribe())
    }

    fn senders(&self) -> MutexGuard<'_, HashMap<&'static str, broadcast::Sender<Option<Bytes>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a listener receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message(Bytes),
    /// At least this many messages were missed, because the listener was slow. 0 if the connection to other
    /// processes broke and the number is unknown. The next message is newer.
    Missed(u64),
}

/// One listener to one topic.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Option<Bytes>>);

impl Subscription {
    /// Waits for the next message. `None` once the cache is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Received> {
        match self.0.recv().await {
            Ok(Some(message)) => Some(Received::Message(message)),
            Ok(None) => Some(Received::Missed(0)),
            Err(RecvError::Lagged(missed)) => Some(Received::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}
