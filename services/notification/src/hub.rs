//! Who listens to what, and how it is told: one bounded queue a listener, found by what it listens to.
//!
//! Everything is behind one lock that is held for the time of a look-up and a copy, so an answer to a
//! change of a listener's wishes comes before anything that the change brings. Nobody waits for a
//! listener: one whose queue is full hears what is in it, then why it ends (I10).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prepx_domain::market::Book;
use prepx_domain::update::{AccountUpdate, MarketChange, MarketUpdate};
use prepx_domain::view::InstrumentView;
use prepx_domain::{AccountId, AssetClass, Code, Instrument, InstrumentId, Micros};
use prepx_proto::notification::v1 as wire;
use prepx_runtime::status;
use tokio::sync::{Notify, mpsc};
use tonic::Status;
use wire::Channel;
use wire::subscribe_response::Message;

use crate::market::{Happening, Market};
use crate::show;

/// What may wait for one listener.
const QUEUE_MAX: usize = 4_096;
/// Symbols that one listener may name, over all channels.
pub const SYMBOLS_MAX: usize = 1_000;
/// Stands for every symbol of a class.
pub const EVERY: &str = "*";

/// What a listener hears.
pub type Told = Arc<wire::SubscribeResponse>;

/// A channel of a class.
type Topic = (AssetClass, Channel);
/// Those who listen to something.
type Ears = BTreeSet<u64>;

/// Everyone who listens.
#[derive(Default)]
pub struct Hub {
    state: Mutex<State>,
    /// A book has to be asked for.
    awaited: Notify,
}

#[derive(Default)]
struct State {
    last: u64,
    ended: bool,
    listeners: HashMap<u64, Listener>,
    accounts: HashMap<AccountId, Ears>,
    topics: HashMap<Topic, HashMap<String, Ears>>,
    markets: HashMap<InstrumentId, Market>,
    /// Those whose book has to be asked for.
    awaited: BTreeSet<InstrumentId>,
    /// Those with a minute that is not over.
    minutes: BTreeSet<InstrumentId>,
}

struct Listener {
    queue: mpsc::Sender<Told>,
    ending: Arc<OnceLock<Status>>,
    account: Option<AccountId>,
    symbols: BTreeSet<(AssetClass, Channel, String)>,
}

/// A listener's end of its queue. Dropping it ends listening.
pub struct Ear {
    hub: Arc<Hub>,
    id: u64,
    queue: mpsc::Receiver<Told>,
    ending: Arc<OnceLock<Status>>,
}

/// A change of what a listener hears in the markets of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// The class.
    pub class: AssetClass,
    /// What to hear as well.
    pub more: Vec<(Channel, String)>,
    /// What to hear no more.
    pub less: Vec<(Channel, String)>,
}

impl Ear {
    /// What comes next; in the end, why nothing more does.
    pub async fn next(&mut self) -> Result<Told, Status> {
        match self.queue.recv().await {
            Some(told) => Ok(told),
            None => Err(self.ending.get().cloned().unwrap_or_else(draining)),
        }
    }

    /// Begins or ends to hear of an account's orders. The caller has seen to it that it is the
    /// listener's own (I9).
    pub fn listen(&self, account: Option<AccountId>) {
        self.hub.state().listen(self.id, account);
    }

    /// Changes what is heard of markets.
    ///
    /// # Errors
    /// When it would be too many symbols; then nothing has changed.
    pub fn change(&self, wishes: Wishes) -> Result<(), Status> {
        let any_awaited = {
            let mut state = self.hub.state();
            state.change(self.id, wishes)?;
            !state.awaited.is_empty()
        };
        if any_awaited {
            self.hub.awaited.notify_one();
        }
        Ok(())
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.hub.state().remove(self.id);
    }
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A listener that hears nothing yet.
    ///
    /// # Errors
    /// When the process ends.
    pub fn listener(self: &Arc<Self>) -> Result<Ear, Status> {
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
        };
        state.listeners.insert(id, listener);
        let hub = Arc::clone(self);
        Ok(Ear {
            hub,
            id,
            queue,
            ending,
        })
    }

    /// Takes note of instruments. The minutes of those that are new are complete from `bars_from` on.
    pub fn define(&self, views: &[InstrumentView], bars_from: Micros) {
        let mut state = self.state();
        for view in views {
            let instrument = view.instrument;
            let new = || Market::new(instrument, bars_from);
            state.markets.entry(instrument.id).or_insert_with(new);
        }
    }

    /// Whether an instrument is known.
    pub fn knows(&self, instrument: InstrumentId) -> bool {
        self.state().markets.contains_key(&instrument)
    }

    /// Whether anybody listens to an account.
    pub fn hears_accounts(&self) -> bool {
        !self.state().accounts.is_empty()
    }

    /// Tells what happened to accounts.
    pub fn tell_accounts(&self, updates: &[AccountUpdate]) {
        let mut state = self.state();
        for update in updates {
            state.tell_account(update);
        }
    }

    /// Tells what happened in markets.
    pub fn tell_markets(&self, updates: &[MarketUpdate]) {
        let any_awaited = {
            let mut state = self.state();
            for update in updates {
                state.tell_market(update);
            }
            !state.awaited.is_empty()
        };
        if any_awaited {
            self.awaited.notify_one();
        }
    }

    /// Tells the minutes that are over.
    pub fn close_minutes(&self, now: Micros) {
        let mut state = self.state();
        for id in state.minutes.clone() {
            let closed = state.markets.get_mut(&id).and_then(|m| m.close_minute(now));
            state.tell(id, &Vec::from_iter(closed));
        }
    }

    /// Waits until a book has to be asked for.
    pub async fn books_awaited(&self) {
        self.awaited.notified().await;
    }

    /// The instruments whose book has to be asked for.
    pub fn awaited(&self) -> Vec<Instrument> {
        let state = self.state();
        let markets = state.awaited.iter().filter_map(|id| state.markets.get(id));
        markets.map(|market| market.instrument).collect()
    }

    /// Takes a book that was asked for; `None` when nobody knows one. Whether it is settled.
    pub fn take_book(&self, id: InstrumentId, book: Option<Book>) -> bool {
        let mut state = self.state();
        let Some(market) = state.markets.get_mut(&id) else {
            return true;
        };
        let told = match book {
            Some(book) => market.take_book(book),
            None if market.take_no_book() => None,
            None => Some(Vec::new()),
        };
        let Some(told) = told else {
            return false;
        };
        state.awaited.remove(&id);
        state.tell(id, &told);
        true
    }

    /// Ends every listener, after what it has in its queue, and forgets the markets: something of the
    /// log was missed, and clients are to begin anew.
    pub fn interrupt(&self) {
        let mut state = self.state();
        state.end_all(&interrupted());
        state.markets.clear();
        state.awaited.clear();
        state.minutes.clear();
    }

    /// Ends every listener and lets nobody in.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.end_all(&draining());
    }
}

impl State {
    fn send(&mut self, id: u64, told: &Told) {
        let Some(listener) = self.listeners.get(&id) else {
            return;
        };
        match listener.queue.try_send(Arc::clone(told)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => self.remove(id),
            Err(mpsc::error::TrySendError::Full(_)) => {
                // Set once: nobody else ends a listener that is still in the map.
                let _first = listener.ending.set(slow());
                self.remove(id);
            }
        }
    }

    fn remove(&mut self, id: u64) {
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

    fn end_all(&mut self, why: &Status) {
        for (_, listener) in self.listeners.drain() {
            let _first = listener.ending.set(why.clone());
        }
        self.accounts.clear();
        self.topics.clear();
    }

    fn listen(&mut self, id: u64, account: Option<AccountId>) {
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

    fn change(&mut self, id: u64, wishes: Wishes) -> Result<(), Status> {
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
            if matches!(channel, Channel::Quotes | Channel::Orderbooks) {
                self.want_books(id, class, symbol, *channel == Channel::Orderbooks);
            }
        }
        Ok(())
    }

    /// Sees to it that the books of a symbol are known, and shows those that are.
    fn want_books(&mut self, id: u64, class: AssetClass, symbol: &str, show: bool) {
        let mut shown = Vec::new();
        for (instrument, market) in &mut self.markets {
            let of = &market.instrument;
            if of.class != class || (symbol != EVERY && of.symbol.as_str() != symbol) {
                continue;
            }
            if market.want_book() {
                self.awaited.insert(*instrument);
            } else if show {
                shown.push(event(market, &Happening::Book));
            }
        }
        for told in shown {
            self.send(id, &told);
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
        self.send(id, &told(Message::Subscription(subscription)));
    }

    fn tell_account(&mut self, update: &AccountUpdate) {
        let Some(ears) = self.accounts.get(&update.account) else {
            return;
        };
        let prepx_domain::update::Change::Order { order, .. } = &update.change else {
            return;
        };
        let Some(market) = self.markets.get(&order.instrument) else {
            return;
        };
        let shown = show::trade_update(update.at, &update.change, &market.instrument);
        let ears: Vec<u64> = ears.iter().copied().collect();
        if let Some(shown) = shown {
            let told = told(Message::TradeUpdate(shown));
            for id in ears {
                self.send(id, &told);
            }
        }
    }

    fn tell_market(&mut self, update: &MarketUpdate) {
        let id = update.instrument;
        if let MarketChange::Defined(instrument) = &update.change {
            let new = || Market::new(**instrument, update.at);
            self.markets.entry(id).or_insert_with(new);
        }
        let Some(market) = self.markets.get(&id) else {
            return;
        };
        let watched = [Channel::Quotes, Channel::Orderbooks]
            .into_iter()
            .any(|channel| !self.ears(&market.instrument, channel).is_empty());
        let Some(market) = self.markets.get_mut(&id) else {
            return;
        };
        let happenings = market.apply(update, watched);
        if watched && market.book().is_none() {
            self.awaited.insert(id);
        }
        self.tell(id, &happenings);
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

    fn tell(&mut self, id: InstrumentId, happenings: &[Happening]) {
        for happening in happenings {
            let Some(market) = self.markets.get(&id) else {
                return;
            };
            let ears = self.ears(&market.instrument, show::channel(happening));
            if ears.is_empty() {
                continue;
            }
            let told = event(market, happening);
            for ear in ears {
                self.send(ear, &told);
            }
        }
        match self.markets.get(&id) {
            Some(market) if market.has_open_minute() => self.minutes.insert(id),
            _ => self.minutes.remove(&id),
        };
    }
}

fn event(market: &Market, happening: &Happening) -> Told {
    told(Message::Market(wire::MarketEvent {
        channel: show::channel(happening).into(),
        symbol: market.instrument.symbol.to_string(),
        event: Some(show::happening(market, happening)),
    }))
}

fn told(message: Message) -> Told {
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
