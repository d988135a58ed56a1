//! The use cases of market-data: current data from memory, past data from the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use prepx_cache::{Cache, Loaded};
use prepx_domain::{AssetClass, Instrument, InstrumentId, Micros};
use prepx_env::Clock;
use prepx_stage::consume::Positions;
use prepx_stage::follow::Tail;
use prepx_stage::{Following, Progress};
use prepx_store::Error as StoreError;

use crate::domain::market::Market;
use crate::error::Error;
use crate::page::{Page, Range, Token};
use crate::past::Past;
use crate::projection::Shared;
use crate::read_cache::{self, Read, ReadCache};
use crate::store::{Store, View};

/// The most symbols in one request.
pub const SYMBOLS_MAX: usize = 1_000;
/// The most symbols in one request for whole books.
pub const BOOKS_MAX: usize = 100;
/// How long a read waits for everything that was durable when it arrived. After that it shows what is known, which
/// carries its time.
const WAIT: Duration = Duration::from_millis(250);
/// How long it waits beyond that for an unknown instrument, which may just have been listed.
const WAIT_FOR_UNKNOWN: Duration = Duration::from_secs(2);
/// How long a read of past data waits for the process that stores it.
const WAIT_FOR_STORED: Duration = Duration::from_secs(2);

/// The dependencies of market-data.
pub struct Deps {
    /// The log that it is projected from.
    pub following: Following,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The cache of past data.
    pub cache: Cache,
    /// How much disk space it may use; beyond that the oldest rows are deleted.
    pub bytes_max: Option<u64>,
}

/// Market data over its store and its markets in memory.
pub struct App {
    tail: Tail,
    clock: Arc<dyn Clock>,
    store: Store,
    cache: ReadCache,
    markets: Shared,
    progress: Progress,
}

/// A request for past data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The symbols, in the order of the request.
    pub symbols: BTreeSet<String>,
    /// The first moment.
    pub start: Micros,
    /// The last moment.
    pub end: Micros,
    /// The order of the items.
    pub newest_first: bool,
    /// Where the previous page ended.
    pub past: Option<Token>,
    /// At most this many items.
    pub limit: usize,
}

impl Query {
    /// What to ask the store for one symbol; `None` if earlier pages had all of it.
    fn of(&self, symbol: &str, limit: usize) -> Option<Range> {
        let past = match &self.past {
            Some(token) if symbol < token.symbol.as_str() => return None,
            Some(token) => (token.symbol == symbol).then_some(token.place),
            None => None,
        };
        Some(Range {
            start: self.start,
            end: self.end,
            newest_first: self.newest_first,
            past,
            limit,
        })
    }
}

/// A page of past data.
pub struct History<T> {
    /// Items by instrument; none is empty.
    pub lists: Vec<(Instrument, Vec<T>)>,
    /// Where the next page starts.
    pub next: Option<Token>,
}

impl App {
    /// Market data over its dependencies.
    pub fn new(deps: Deps, store: Store, markets: Shared, progress: Progress) -> App {
        App {
            tail: deps.following.tail,
            clock: deps.clock,
            store,
            cache: ReadCache::new(&deps.cache),
            markets,
            progress,
        }
    }

    /// The time now.
    pub fn now(&self) -> Micros {
        self.clock.now()
    }

    /// Applies `show` to each market of a class, by symbol. Unknown symbols are left out: bots ask for long lists, and one
    /// unlisted symbol must not fail the rest.
    ///
    /// # Errors
    /// When a symbol is of the other class.
    pub async fn newest<T>(
        &self,
        class: AssetClass,
        symbols: &BTreeSet<String>,
        show: impl Fn(&Market) -> Option<T>,
    ) -> Result<BTreeMap<String, T>, Error> {
        Ok(self.newest_known(class, symbols, show).await?.0)
    }

    /// Refuses a symbol of another class, for requests of a single symbol.
    ///
    /// # Errors
    /// When the symbol is not of that class.
    pub async fn check_listed(
        &self,
        class: AssetClass,
        symbols: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let listed = self.newest(class, symbols, |_| Some(())).await?;
        let is_missing = |symbol: &&String| !listed.contains_key(*symbol);
        match symbols.iter().find(is_missing) {
            Some(symbol) => Err(unknown(symbol, class)),
            None => Ok(()),
        }
    }

    /// The same; also whether everything is known that was durable when the call began, and which positions are
    /// stored then.
    async fn newest_known<T>(
        &self,
        class: AssetClass,
        symbols: &BTreeSet<String>,
        show: impl Fn(&Market) -> Option<T>,
    ) -> Result<(BTreeMap<String, T>, Option<Positions>), Error> {
        let mut whole = self.caught_up(symbols, WAIT).await;
        if !self.knows(symbols) {
            whole = self.caught_up(symbols, WAIT_FOR_UNKNOWN).await;
        }
        let mut shown = BTreeMap::new();
        for symbol in symbols {
            let of_class =
                |market: &Market| (market.instrument.class == class).then(|| show(market));
            let Some(market) = self.markets.look(symbol, of_class) else {
                continue;
            };
            if let Some(newest) = market.ok_or_else(|| unknown(symbol, class))? {
                shown.insert(symbol.clone(), newest);
            }
        }
        Ok((shown, whole))
    }

    /// A page of past data of instruments of a class; unknown symbols are left out.
    ///
    /// # Errors
    /// When a symbol is of the other class, or the store fails.
    pub async fn past<T: Past>(
        &self,
        class: AssetClass,
        query: &Query,
        form: T::Form,
    ) -> Result<History<T>, Error> {
        let of = |market: &Market| Some(market.instrument);
        let (instruments, whole) = self.newest_known(class, &query.symbols, of).await?;
        let ttl = read_cache::time_to_live(T::settled(form, query.end), self.now());
        let ttl = ttl.filter(|_| whole.is_some());
        // If this process has not caught up, what it has stored so far must do.
        let stored = whole.unwrap_or_else(|| self.progress.taken());
        let (mut page, mut view) = (Page::new(query.limit), Viewed::of(self, stored));
        for (symbol, instrument) in &instruments {
            let Some(range) = query.of(symbol, page.wanted()) else {
                continue;
            };
            let (items, more) = match ttl {
                Some(ttl) => {
                    let read = self.read_once(&mut view, instrument.id, form, range, ttl);
                    Box::pin(read).await?
                }
                None => read(&mut view, instrument.id, form, range).await?,
            };
            if !page.take(symbol, items, more, T::place) {
                break;
            }
        }
        let with_instrument = |(symbol, items)| (instruments[&symbol], items);
        Ok(History {
            lists: page.lists.into_iter().map(with_instrument).collect(),
            next: page.next,
        })
    }

    /// Reads past data of an instrument through the cache.
    async fn read_once<T: Past>(
        &self,
        view: &mut Viewed<'_>,
        instrument: InstrumentId,
        form: T::Form,
        range: Range,
        ttl: Duration,
    ) -> Result<(Vec<T>, bool), Error> {
        let key = format!("{instrument:?} {form:?} {range:?}");
        let load = async {
            let read = read(view, instrument, form, range);
            let value = Arc::new(Box::pin(read).await?);
            Ok(Loaded { value, ttl })
        };
        let read: Result<Read<T>, Arc<Error>> = T::space(&self.cache)
            .get_or_load(key.as_bytes(), load)
            .await;
        match read {
            Ok(read) => Ok(Arc::unwrap_or_clone(read)),
            Err(error) => Err(Arc::unwrap_or_clone(error)),
        }
    }

    fn knows(&self, symbols: &BTreeSet<String>) -> bool {
        let mut all = symbols.iter();
        all.all(|symbol| self.markets.look(symbol, |_| ()).is_some())
    }

    /// Waits, bounded, until everything that is now durable of these symbols' partitions is known here; returns which
    /// positions are stored then.
    async fn caught_up(&self, symbols: &BTreeSet<String>, wait: Duration) -> Option<Positions> {
        let partitions = symbols
            .iter()
            .map(|symbol| self.markets.partition_of(symbol));
        let partitions: BTreeSet<_> = partitions.collect();
        let caught_up = self.progress.caught_up(&self.tail, partitions);
        let waited = tokio::time::timeout(wait, caught_up).await;
        if waited.is_err() {
            tracing::debug!("market data is behind the log; it is shown as it is");
        }
        waited.ok().flatten()
    }
}

/// The past as one request sees it, as of its first read.
struct Viewed<'a> {
    app: &'a App,
    /// The positions that the store must have.
    stored: Positions,
    view: Option<View>,
}

impl Viewed<'_> {
    fn of(app: &App, stored: Positions) -> Viewed<'_> {
        Viewed {
            app,
            stored,
            view: None,
        }
    }

    async fn get(&mut self) -> Result<&mut View, Error> {
        let (
            App {
                store, progress, ..
            },
            stored,
        ) = (self.app, &self.stored);
        Ok(match &mut self.view {
            Some(view) => view,
            none => {
                let partitions: Vec<_> = stored.iter().map(|(of, _)| *of).collect();
                let is_behind = |error: &StoreError| matches!(error, StoreError::Behind);
                let read = || store.view_past(stored);
                let viewed = progress.stored(&partitions, WAIT_FOR_STORED, read, is_behind);
                none.insert(viewed.await.unwrap_or(Err(StoreError::Behind))?)
            }
        })
    }
}

/// Reads past data of an instrument from the store.
async fn read<T: Past>(
    view: &mut Viewed<'_>,
    instrument: InstrumentId,
    form: T::Form,
    range: Range,
) -> Result<(Vec<T>, bool), Error> {
    T::fetch(view.get().await?, instrument, form, range).await
}

/// Reads a comma-separated list of at most `most` symbols.
pub fn symbols(text: &str, most: usize) -> Result<BTreeSet<String>, Error> {
    let named = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let symbols: BTreeSet<String> = named.map(str::to_owned).collect();
    if (1..=most).contains(&symbols.len()) {
        return Ok(symbols);
    }
    let message = format!(
        "symbols has {} of them: give 1 to {most}, separated by commas",
        symbols.len()
    );
    Err(Error::field("symbols", message))
}

fn unknown(symbol: &str, class: AssetClass) -> Error {
    let class = match class {
        AssetClass::UsEquity => "us_equity",
        AssetClass::Crypto => "crypto",
    };
    let symbol: String = symbol.chars().take(40).collect();
    let message =
        format!("symbols has {symbol:?}, which is no {class} here: GET /v2/assets lists them");
    Error::field("symbols", message)
}
