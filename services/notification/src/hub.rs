//! The hub: listeners, their subscriptions, and a bounded queue for each listener.
//!
//! Everything is behind one lock, held only for a look-up and a copy, so the answer to a change of a subscription comes
//! before anything that the change brings. Nobody waits for a listener: one whose queue is full receives what is in it,
//! then why it is ended (I10).

mod state;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prepx_domain::update::{AccountUpdate, MarketUpdate};
use prepx_domain::view::InstrumentView;
use prepx_domain::{AccountId, AssetClass, Code, Instrument, InstrumentId, Micros};
use prepx_proto::notification::v1 as wire;
use prepx_runtime::status;
use tokio::sync::{Notify, mpsc};
use tonic::Status;
use wire::Channel;

use self::state::{Counted, Listener, State};
use crate::domain::market::Whole;

/// How many notifications may wait for one listener.
const QUEUE_MAX: usize = 4_096;
/// Symbols that one listener may name, over all channels.
pub const SYMBOLS_MAX: usize = 1_000;
/// Every symbol of a class.
pub const EVERY: &str = "*";

/// A message to listeners.
pub type Notification = Arc<wire::SubscribeResponse>;

/// All listeners.
#[derive(Default)]
pub struct Hub {
    state: Mutex<State>,
    /// Notified when book and day of a market have to be asked for.
    awaited: Notify,
}

/// A listener's end of its queue. Dropping it unsubscribes.
pub struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    queue: mpsc::Receiver<Notification>,
    ending: Arc<OnceLock<Status>>,
}

/// A change of a subscription to the markets of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionChange {
    /// The class.
    pub class: AssetClass,
    /// Channels and symbols to subscribe to.
    pub more: Vec<(Channel, String)>,
    /// Channels and symbols to unsubscribe from.
    pub less: Vec<(Channel, String)>,
}

impl Subscription {
    /// The next notification, or why there are no more.
    pub async fn next(&mut self) -> Result<Notification, Status> {
        match self.queue.recv().await {
            Some(notification) => Ok(notification),
            None => Err(self.ending.get().cloned().unwrap_or_else(draining)),
        }
    }

    /// Subscribes to an account's orders, or to none. The caller must have checked that the account is the listener's own
    /// (I9).
    pub fn listen(&self, account: Option<AccountId>) {
        self.hub.state().listen(self.id, account);
    }

    /// Changes the subscription to markets.
    ///
    /// # Errors
    /// When there would be too many symbols; nothing has changed then.
    pub fn change(&self, change: SubscriptionChange) -> Result<(), Status> {
        let any_awaited = {
            let mut state = self.hub.state();
            state.change(self.id, change)?;
            !state.awaited.is_empty()
        };
        if any_awaited {
            self.hub.awaited.notify_one();
        }
        Ok(())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.state().remove(self.id);
    }
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new listener without subscriptions.
    ///
    /// # Errors
    /// When the process is draining.
    pub fn listener(self: &Arc<Self>) -> Result<Subscription, Status> {
        let mut state = self.state();
        if state.ended {
            return Err(draining());
        }
        state.last += 1;
        let id = state.last;
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let ending = Arc::new(OnceLock::new());
        let listener = Listener {
            queue: sender,
            ending: Arc::clone(&ending),
            account: None,
            symbols: BTreeSet::new(),
            counted: Counted::begin(),
        };
        state.listeners.insert(id, listener);
        let hub = Arc::clone(self);
        Ok(Subscription {
            hub,
            id,
            queue,
            ending,
        })
    }

    /// Adds instruments. The minutes of new ones are complete from `bars_from` on.
    pub fn define(&self, views: &[InstrumentView], bars_from: Micros) {
        let any_awaited = {
            let mut state = self.state();
            for view in views {
                state.define(view.instrument, bars_from);
            }
            !state.awaited.is_empty()
        };
        if any_awaited {
            self.awaited.notify_one();
        }
    }

    /// Whether an instrument is known.
    pub fn knows(&self, instrument: InstrumentId) -> bool {
        self.state().markets.contains_key(&instrument)
    }

    /// Whether anybody listens at all.
    pub fn has_listeners(&self) -> bool {
        !self.state().listeners.is_empty()
    }

    /// Whether anybody listens to an account.
    pub fn hears_accounts(&self) -> bool {
        !self.state().accounts.is_empty()
    }

    /// Publishes changes of accounts.
    pub fn publish_accounts(&self, updates: &[AccountUpdate]) {
        let mut state = self.state();
        for update in updates {
            state.publish_account(update);
        }
    }

    /// Publishes changes of markets.
    pub fn publish_markets(&self, updates: &[MarketUpdate]) {
        let any_awaited = {
            let mut state = self.state();
            for update in updates {
                state.publish_market(update);
            }
            !state.awaited.is_empty()
        };
        if any_awaited {
            self.awaited.notify_one();
        }
    }

    /// Publishes the minutes that are over.
    pub fn close_minutes(&self, now: Micros) {
        let mut state = self.state();
        for id in state.minutes.clone() {
            let closed = state.markets.get_mut(&id).map(|m| m.close_minute(now));
            state.publish(id, &closed.unwrap_or_default());
        }
    }

    /// Waits until book and day of a market have to be asked for.
    pub async fn markets_awaited(&self) {
        self.awaited.notified().await;
    }

    /// The instruments whose book and day have to be asked for.
    pub fn awaited(&self) -> Vec<Instrument> {
        let state = self.state();
        let markets = state.awaited.iter().filter_map(|id| state.markets.get(id));
        markets.map(|market| market.instrument).collect()
    }

    /// Takes book and day that were asked for; `None` if nobody knows a book. Returns false if they have to be asked for
    /// again.
    pub fn take(&self, id: InstrumentId, whole: Option<Whole>) -> bool {
        let mut state = self.state();
        let Some(market) = state.markets.get_mut(&id) else {
            return true;
        };
        let events = match whole {
            Some(whole) => market.take(whole),
            None if market.take_nothing() => None,
            None => Some(Vec::new()),
        };
        let Some(events) = events else {
            return false;
        };
        state.awaited.remove(&id);
        state.publish(id, &events);
        true
    }

    /// Ends every listener, after what is in its queue, and drops the markets: something of the log was missed, and clients
    /// have to start again.
    pub fn interrupt(&self) {
        let mut state = self.state();
        state.end_all(&interrupted());
        state.markets.clear();
        state.awaited.clear();
        state.minutes.clear();
    }

    /// Ends every listener and refuses new ones.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.end_all(&draining());
    }
}

fn draining() -> Status {
    let message = "this process ends: connect again";
    let error = status::Error::new(Code::Unavailable, "DRAINING", message);
    status::of(&error.retry_after(Some(Duration::from_secs(1))))
}

fn interrupted() -> Status {
    let message = "something may have been missed: connect again and ask for what there is";
    let error = status::Error::new(Code::Unavailable, "INTERRUPTED", message);
    status::of(&error.retry_after(Some(Duration::from_secs(1))))
}

#[cfg(test)]
mod tests;
