//! What is behind the hub's lock: listeners, found by what they listen to, and the markets.

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

use super::{EVERY, Notification, QUEUE_MAX, SYMBOLS_MAX, Wishes};
use crate::domain::market::{Happening, Market};
use crate::show;

/// The channels on which what began before this process is told.
const WHOLE: [Channel; 3] = [Channel::Quotes, Channel::Orderbooks, Channel::DailyBars];

/// A channel of a class.
type Topic = (AssetClass, Channel);
/// Those who listen to something.
type Ears = BTreeSet<u64>;

/// Who listens, to what, and the markets that they hear of.
#[derive(Default)]
pub(super) struct State {
    pub(super) last: u64,
    pub(super) ended: bool,
    pub(super) listeners: HashMap<u64, Listener>,
    pub(super) accounts: HashMap<AccountId, Ears>,
    pub(super) topics: HashMap<Topic, HashMap<String, Ears>>,
    pub(super) markets: HashMap<InstrumentId, Market>,
    /// Those whose book and day have to be asked for.
    pub(super) awaited: BTreeSet<InstrumentId>,
    /// Those with a minute that is not over.
    pub(super) minutes: BTreeSet<InstrumentId>,
}

/// One who listens.
pub(super) struct Listener {
    pub(super) queue: mpsc::Sender<Notification>,
    pub(super) ending: Arc<OnceLock<Status>>,
    pub(super) account: Option<AccountId>,
    pub(super) symbols: BTreeSet<(AssetClass, Channel, String)>,
    pub(super) counted: Counted,
}

/// A listener as operators count it, until it is dropped.
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
            self.deafen_account(id, account);
        }
        for (class, channel, symbol) in &listener.symbols {
            self.deafen(id, (*class, *channel), symbol);
        }
    }

    fn deafen(&mut self, id: u64, topic: Topic, symbol: &str) {
        let Some(symbols) = self.topics.get_mut(&topic) else {
            return;
        };
        if let Some(ears) = symbols.get_mut(symbol) {
            ears.remove(&id);
            if ears.is_empty() {
                symbols.remove(symbol);
            }
        }
    }

    fn deafen_account(&mut self, id: u64, account: AccountId) {
        if let Some(ears) = self.accounts.get_mut(&account) {
            ears.remove(&id);
            if ears.is_empty() {
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
            self.deafen_account(id, before);
        }
        if let Some(account) = account {
            self.accounts.entry(account).or_default().insert(id);
        }
        self.acknowledge(id);
    }

    pub(super) fn change(&mut self, id: u64, wishes: Wishes) -> Result<(), Status> {
        let Wishes { class, more, less } = wishes;
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
            self.deafen(id, (class, *channel), symbol);
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

    /// Sees to it that book and day of a symbol are known, and shows the books that are.
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
                shown.push(event(market, &Happening::Book));
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

    pub(super) fn tell_account(&mut self, update: &AccountUpdate) {
        let Some(ears) = self.accounts.get(&update.account) else {
            return;
        };
        let Change::Order { order, .. } = &update.change else {
            return;
        };
        let Some(market) = self.markets.get(&order.instrument) else {
            return;
        };
        let shown = show::trade_update(update.at, &update.change, &market.instrument);
        let ears: Vec<u64> = ears.iter().copied().collect();
        if let Some(shown) = shown {
            let update = notification(Message::TradeUpdate(shown));
            for id in ears {
                self.send(id, &update);
            }
        }
    }

    pub(super) fn tell_market(&mut self, update: &MarketUpdate) {
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
        let happenings = market.apply(update, watched);
        if watched && market.book().is_none() {
            self.awaited.insert(id);
        }
        self.tell(id, &happenings);
    }

    /// Takes note of an instrument that is new. Some may listen already: they came before it was known.
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

    /// Whether anybody wants book or day of an instrument.
    fn is_watched(&self, instrument: &Instrument) -> bool {
        let mut channels = WHOLE.into_iter();
        channels.any(|channel| !self.ears(instrument, channel).is_empty())
    }

    /// Those who listen to a channel of an instrument, by its name or by all names; each once.
    fn ears(&self, instrument: &Instrument, channel: Channel) -> Vec<u64> {
        let Some(symbols) = self.topics.get(&(instrument.class, channel)) else {
            return Vec::new();
        };
        let of = |symbol: &str| symbols.get(symbol).into_iter().flatten();
        let named = of(instrument.symbol.as_str());
        let every = of(EVERY);
        let ears: Ears = named.chain(every).copied().collect();
        ears.into_iter().collect()
    }

    pub(super) fn tell(&mut self, id: InstrumentId, happenings: &[Happening]) {
        for happening in happenings {
            let Some(market) = self.markets.get(&id) else {
                return;
            };
            let ears = self.ears(&market.instrument, show::channel(happening));
            if ears.is_empty() {
                continue;
            }
            let update = event(market, happening);
            for ear in ears {
                self.send(ear, &update);
            }
        }
        match self.markets.get(&id) {
            Some(market) if market.has_open_minute() => self.minutes.insert(id),
            _ => self.minutes.remove(&id),
        };
    }
}

fn event(market: &Market, happening: &Happening) -> Notification {
    notification(Message::Market(wire::MarketEvent {
        channel: show::channel(happening).into(),
        symbol: market.instrument.symbol.to_string(),
        event: Some(show::happening(market, happening)),
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
