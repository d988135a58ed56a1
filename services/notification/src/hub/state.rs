//! The hub's state, behind its lock: listeners, by what they subscribe to, and the markets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge};
use prepx_domain::update::{AccountUpdate, Change, MarketChange, MarketUpdate};
use prepx_domain::{AccountId, AssetClass, Code, Instrument, InstrumentId, Micros};
use prepx_proto::notification::v1 as wire;
use prepx_runtime::status;
use tokio::sync::mpsc;
use tonic::Status;
use wire::Channel;
use wire::subscribe_response::Message;

use super::{EVERY, Notification, QUEUE_MAX, SYMBOLS_MAX, SubscriptionChange};
use crate::domain::market::{Market, MarketEvent};
use crate::show;

/// The channels that show what began before this process.
const WHOLE: [Channel; 3] = [Channel::Quotes, Channel::Orderbooks, Channel::DailyBars];

/// A channel of a class.
type Topic = (AssetClass, Channel);
/// The ids of listeners.
type Ids = BTreeSet<u64>;

/// The listeners, their subscriptions, and the markets.
#[derive(Default)]
pub(super) struct State {
    pub(super) last: u64,
    pub(super) ended: bool,
    pub(super) listeners: HashMap<u64, Listener>,
    pub(super) accounts: HashMap<AccountId, Ids>,
    pub(super) topics: HashMap<Topic, HashMap<String, Ids>>,
    pub(super) markets: HashMap<InstrumentId, Market>,
    /// The markets whose book and day have to be asked for.
    pub(super) awaited: BTreeSet<InstrumentId>,
    /// The markets with a minute that is not over.
    pub(super) minutes: BTreeSet<InstrumentId>,
}

/// A listener.
pub(super) struct Listener {
    pub(super) queue: mpsc::Sender<Notification>,
    pub(super) ending: Arc<OnceLock<Status>>,
    pub(super) account: Option<AccountId>,
    pub(super) symbols: BTreeSet<(AssetClass, Channel, String)>,
    pub(super) counted: Counted,
}

/// Counts a listener in the metrics until it is dropped.
pub(super) struct Counted {
    listeners: Gauge,
    too_slow: Counter,
}

impl Counted {
    pub(super) fn begin() -> Counted {
        let listeners = metrics::gauge!("prepx_listeners");
        listeners.increment(1.0);
        let too_slow = metrics::counter!("prepx_listeners_too_slow_total");
        Counted {
            listeners,
            too_slow,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.listeners.decrement(1.0);
    }
}

impl State {
    fn send(&mut self, id: u64, notification: &Notification) {
        let Some(listener) = self.listeners.get(&id) else {
            return;
        };
        match listener.queue.try_send(Arc::clone(notification)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => self.remove(id),
            Err(mpsc::error::TrySendError::Full(_)) => {
                // Set once: nobody else ends a listener that is still in the map.
                let _first = listener.ending.set(slow());
                listener.counted.too_slow.increment(1);
                self.remove(id);
            }
        }
    }

    pub(super) fn remove(&mut self, id: u64) {
        let Some(listener) = self.listeners.remove(&id) else {
            return;
        };
        if let Some(account) = listener.account {
            self.unsubscribe_account(id, account);
        }
        for (class, channel, symbol) in &listener.symbols {
            self.unsubscribe(id, (*class, *channel), symbol);
        }
    }

    fn unsubscribe(&mut self, id: u64, topic: Topic, symbol: &str) {
        let Some(symbols) = self.topics.get_mut(&topic) else {
            return;
        };
        if let Some(listeners) = symbols.get_mut(symbol) {
            listeners.remove(&id);
            if listeners.is_empty() {
                symbols.remove(symbol);
            }
        }
    }

    fn unsubscribe_account(&mut self, id: u64, account: AccountId) {
        if let Some(listeners) = self.accounts.get_mut(&account) {
            listeners.remove(&id);
            if listeners.is_empty() {
                self.accounts.remove(&account);
            }
        }
    }

    pub(super) fn end_all(&mut self, why: &Status) {
        for (_, listener) in self.listeners.drain() {
            let _first = listener.ending.set(why.clone());
        }
        self.accounts.clear();
        self.topics.clear();
    }

    pub(super) fn listen(&mut self, id: u64, account: Option<AccountId>) {
        let Some(listener) = self.listeners.get_mut(&id) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut listener.account, account) {
            self.unsubscribe_account(id, before);
        }
        if let Some(account) = account {
            self.accounts.entry(account).or_default().insert(id);
        }
        self.acknowledge(id);
    }

    pub(super) fn change(&mut self, id: u64, change: SubscriptionChange) -> Result<(), Status> {
        let SubscriptionChange { class, more, less } = change;
        let Some(listener) = self.listeners.get_mut(&id) else {
            return Ok(());
        };
        let mut symbols = listener.symbols.clone();
        for (channel, symbol) in &less {
            symbols.remove(&(class, *channel, symbol.clone()));
        }
        let fresh: Vec<_> = more
            .into_iter()
            .filter(|(channel, symbol)| symbols.insert((class, *channel, symbol.clone())))
            .collect();
        if symbols.len() > SYMBOLS_MAX {
            return Err(too_many());
        }
        listener.symbols = symbols;
        for (channel, symbol) in &less {
            self.unsubscribe(id, (class, *channel), symbol);
        }
        for (channel, symbol) in &fresh {
            let heard = self.topics.entry((class, *channel)).or_default();
            heard.entry(symbol.clone()).or_default().insert(id);
        }
        self.acknowledge(id);
        for (channel, symbol) in &fresh {
            if WHOLE.contains(channel) {
                self.want(id, class, symbol, *channel == Channel::Orderbooks);
            }
        }
        Ok(())
    }

    /// Requests book and day of a symbol's markets, and sends the books that are known if `show`.
    fn want(&mut self, id: u64, class: AssetClass, symbol: &str, show: bool) {
        let mut shown = Vec::new();
        for (instrument, market) in &mut self.markets {
            let of = &market.instrument;
            if of.class != class || (symbol != EVERY && of.symbol.as_str() != symbol) {
                continue;
            }
            if market.want() {
                self.awaited.insert(*instrument);
            } else if show {
                shown.push(market_notification(market, &MarketEvent::Book));
            }
        }
        for update in shown {
            self.send(id, &update);
        }
    }

    fn acknowledge(&mut self, id: u64) {
        let Some(listener) = self.listeners.get(&id) else {
            return;
        };
        let mut channels: BTreeMap<Channel, Vec<String>> = BTreeMap::new();
        for (_, channel, symbol) in &listener.symbols {
            channels.entry(*channel).or_default().push(symbol.clone());
        }
        let channels = channels.into_iter().map(|(channel, symbols)| {
            let channel = channel.into();
            wire::ChannelSymbols { channel, symbols }
        });
        let subscription = wire::Subscription {
            account_ids: listener.account.iter().map(AccountId::to_string).collect(),
            channels: channels.collect(),
        };
        self.send(id, &notification(Message::Subscription(subscription)));
    }

    pub(super) fn publish_account(&mut self, update: &AccountUpdate) {
        let Some(listeners) = self.accounts.get(&update.account) else {
            return;
        };
        let Change::Order { order, .. } = &update.change else {
            return;
        };
        let Some(market) = self.markets.get(&order.instrument) else {
            return;
        };
        let shown = show::trade_update(update.at, &update.change, &market.instrument);
        let listeners: Vec<u64> = listeners.iter().copied().collect();
        if let Some(shown) = shown {
            let update = notification(Message::TradeUpdate(shown));
            for id in listeners {
                self.send(id, &update);
            }
        }
    }

    pub(super) fn publish_market(&mut self, update: &MarketUpdate) {
        let id = update.instrument;
        if let MarketChange::Defined(instrument) = &update.change {
            let new = || Market::new(**instrument, update.at);
            self.markets.entry(id).or_insert_with(new);
        }
        let Some(market) = self.markets.get(&id) else {
            return;
        };
        let watched = self.is_watched(&market.instrument);
        let Some(market) = self.markets.get_mut(&id) else {
            return;
        };
        let events = market.apply(update, watched);
        if watched && market.book().is_none() {
            self.awaited.insert(id);
        }
        self.publish(id, &events);
    }

    /// Adds an instrument if it is new. It may have listeners already.
    pub(super) fn define(&mut self, instrument: Instrument, bars_from: Micros) {
        if self.markets.contains_key(&instrument.id) {
            return;
        }
        let mut market = Market::new(instrument, bars_from);
        if self.is_watched(&instrument) && market.want() {
            self.awaited.insert(instrument.id);
        }
        self.markets.insert(instrument.id, market);
    }

    /// Whether anybody subscribes to book or day of an instrument.
    fn is_watched(&self, instrument: &Instrument) -> bool {
        let mut channels = WHOLE.into_iter();
        channels.any(|channel| !self.listeners_of(instrument, channel).is_empty())
    }

    /// The listeners to a channel of an instrument, by its symbol or by all symbols; each once.
    fn listeners_of(&self, instrument: &Instrument, channel: Channel) -> Vec<u64> {
        let Some(symbols) = self.topics.get(&(instrument.class, channel)) else {
            return Vec::new();
        };
        let of = |symbol: &str| symbols.get(symbol).into_iter().flatten();
        let named = of(instrument.symbol.as_str());
        let every = of(EVERY);
        let listeners: Ids = named.chain(every).copied().collect();
        listeners.into_iter().collect()
    }

    pub(super) fn publish(&mut self, id: InstrumentId, events: &[MarketEvent]) {
        for event in events {
            let Some(market) = self.markets.get(&id) else {
                return;
            };
            let listeners = self.listeners_of(&market.instrument, show::channel(event));
            if listeners.is_empty() {
                continue;
            }
            let update = market_notification(market, event);
            for id in listeners {
                self.send(id, &update);
            }
        }
        match self.markets.get(&id) {
            Some(market) if market.has_open_minute() => self.minutes.insert(id),
            _ => self.minutes.remove(&id),
        };
    }
}

fn market_notification(market: &Market, event: &MarketEvent) -> Notification {
    notification(Message::Market(wire::MarketEvent {
        channel: show::channel(event).into(),
        symbol: market.instrument.symbol.to_string(),
        event: Some(show::market_event(market, event)),
    }))
}

fn notification(message: Message) -> Notification {
    let message = Some(message);
    Arc::new(wire::SubscribeResponse { message })
}

fn slow() -> Status {
    let message = format!("more than {QUEUE_MAX} messages wait to be read: read faster or less");
    let error = status::Error::new(Code::TooManyRequests, "SLOW_CONSUMER", message);
    status::of(&error.retry_after(Some(Duration::from_secs(1))))
}

fn too_many() -> Status {
    let message = format!("at most {SYMBOLS_MAX} symbols over all channels; `*` counts as one");
    let error = status::Error::new(Code::Invalid, "TOO_MANY_SYMBOLS", message);
    status::of(&error)
}
