//! The use cases of market-data: the newest of instruments from memory, the past from the store.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use prepx_domain::market::{Bar, MINUTE_US, interval};
use prepx_domain::{AssetClass, Instrument, InstrumentId, Micros};
use prepx_env::Clock;
use prepx_stage::follow::Tail;
use prepx_stage::{Following, Progress};

use crate::error::Error;
use crate::market::{Market, Quote, Trade};
use crate::page::{Page, Place, Range, Token};
use crate::projection::Shared;
use crate::store::{Store, View};
use crate::timeframe::Timeframe;

/// The most symbols in one request.
const SYMBOLS_MAX: usize = 100;
/// How long a read waits for what was durable when it came. What is later is shown as it was: it
/// carries its time.
const WAIT: Duration = Duration::from_millis(250);
/// How long it waits beyond that for an instrument that is not known: it may have been listed just now.
const WAIT_FOR_UNKNOWN: Duration = Duration::from_secs(2);
/// The most stored bars that one request reads for one symbol; the page ends there.
const STORED_BARS_MAX: usize = 100_000;

/// What market-data stands on.
pub struct Deps {
    /// What it is made from.
    pub following: Following,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What it may take on the disk; beyond it the oldest goes.
    pub bytes_max: Option<u64>,
}

/// Market data over its store and its markets in memory.
pub struct App {
    tail: Tail,
    clock: Arc<dyn Clock>,
    store: Store,
    markets: Shared,
    progress: Progress,
}

/// What is asked for of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// In the order of their lists.
    pub symbols: BTreeSet<String>,
    /// First moment.
    pub start: Micros,
    /// Last moment.
    pub end: Micros,
    /// Which end comes first.
    pub newest_first: bool,
    /// Where the page before ended.
    pub past: Option<Token>,
    /// At most this many items.
    pub limit: usize,
}

impl Query {
    /// What to ask for of one symbol, `None` when earlier pages had all of it.
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

/// A page of the past.
pub struct History<T> {
    /// Items by instrument; none is empty.
    pub lists: Vec<(Instrument, Vec<T>)>,
    /// Where the next page starts.
    pub next: Option<Token>,
}

/// What the past is made of.
pub trait Past: Send + Sized {
    /// What there is to choose beside the time.
    type Form: Copy + Send + Sync;

    /// Where it stands among those of its instrument.
    fn place(&self) -> Place;

    /// Those of an instrument, and whether there are more beyond them.
    fn fetch(
        view: &mut View,
        instrument: InstrumentId,
        form: Self::Form,
        range: Range,
    ) -> impl Future<Output = Result<(Vec<Self>, bool), Error>> + Send;
}

impl Past for Trade {
    type Form = ();

    fn place(&self) -> Place {
        Place {
            at: self.at,
            number: self.id.raw(),
        }
    }

    async fn fetch(
        view: &mut View,
        instrument: InstrumentId,
        (): (),
        range: Range,
    ) -> Result<(Vec<Trade>, bool), Error> {
        Ok((view.trades(instrument, &range).await?, false))
    }
}

impl Past for Quote {
    type Form = ();

    fn place(&self) -> Place {
        Place {
            at: self.at,
            number: 0,
        }
    }

    async fn fetch(
        view: &mut View,
        instrument: InstrumentId,
        (): (),
        range: Range,
    ) -> Result<(Vec<Quote>, bool), Error> {
        Ok((view.quotes(instrument, &range).await?, false))
    }
}

impl Past for Bar {
    type Form = Timeframe;

    fn place(&self) -> Place {
        Place {
            at: self.start,
            number: 0,
        }
    }

    /// Bars that start at the minute that holds the range's start, or later.
    async fn fetch(
        view: &mut View,
        instrument: InstrumentId,
        timeframe: Timeframe,
        range: Range,
    ) -> Result<(Vec<Bar>, bool), Error> {
        let minute = interval(range.start, MINUTE_US);
        let (holding, next) = timeframe.interval(minute);
        let mut from = if holding < minute { next } else { holding };
        let (_, mut until) = timeframe.interval(range.end);
        if let Some(past) = range.past {
            let (start, end) = timeframe.interval(past.at);
            if range.newest_first {
                until = until.min(start);
            } else {
                from = from.max(end);
            }
        }
        // One bar more than is wanted, because the last may have been cut.
        let stored_max = (range.limit + 1) * timeframe.stored_max() as usize;
        let stored_range = Range {
            start: from,
            end: until.plus_us(-1),
            past: None,
            limit: stored_max.min(STORED_BARS_MAX),
            ..range
        };
        let stored = view
            .bars(instrument, timeframe.stored_us(), &stored_range)
            .await?;
        let cut = stored.len() == stored_range.limit;
        let mut bars = merged(timeframe, stored, range.newest_first);
        if cut {
            bars.pop();
        }
        Ok((bars, cut))
    }
}

/// Stored bars put together to wider ones, in the same order.
fn merged(timeframe: Timeframe, mut stored: Vec<Bar>, newest_first: bool) -> Vec<Bar> {
    if newest_first {
        stored.reverse();
    }
    let mut bars: Vec<Bar> = Vec::new();
    for bar in stored {
        let (start, _) = timeframe.interval(bar.start);
        match bars.last_mut() {
            Some(last) if last.start == start => last.add(&bar),
            _ => bars.push(Bar { start, ..bar }),
        }
    }
    if newest_first {
        bars.reverse();
    }
    bars
}

impl App {
    /// Over what it stands on.
    pub fn new(deps: Deps, store: Store, markets: Shared, progress: Progress) -> App {
        App {
            tail: deps.following.tail,
            clock: deps.clock,
            store,
            markets,
            progress,
        }
    }

    /// The time.
    pub fn now(&self) -> Micros {
        self.clock.now()
    }

    /// What `show` makes of each market of a class, by symbol.
    ///
    /// # Errors
    /// When a symbol is none of that class.
    pub async fn newest<T>(
        &self,
        class: AssetClass,
        symbols: &BTreeSet<String>,
        show: impl Fn(&Market) -> Option<T>,
    ) -> Result<BTreeMap<String, T>, Error> {
        self.caught_up(WAIT).await;
        if !self.knows(symbols) {
            self.caught_up(WAIT_FOR_UNKNOWN).await;
        }
        let markets = self.markets.read();
        let mut shown = BTreeMap::new();
        for symbol in symbols {
            let market = markets.by_symbol(symbol);
            let market = market.filter(|market| market.instrument.class == class);
            let market = market.ok_or_else(|| unknown(symbol, class))?;
            if let Some(newest) = show(market) {
                shown.insert(symbol.clone(), newest);
            }
        }
        Ok(shown)
    }

    /// A page of the past of instruments of a class.
    ///
    /// # Errors
    /// When a symbol is none of that class, or the store fails.
    pub async fn past<T: Past>(
        &self,
        class: AssetClass,
        query: &Query,
        form: T::Form,
    ) -> Result<History<T>, Error> {
        let of = |market: &Market| Some(market.instrument);
        let instruments = self.newest(class, &query.symbols, of).await?;
        let (mut page, mut view) = (Page::new(query.limit), self.view().await?);
        for (symbol, instrument) in &instruments {
            let Some(range) = query.of(symbol, page.wanted()) else {
                continue;
            };
            let (items, more) = T::fetch(&mut view, instrument.id, form, range).await?;
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

    /// The past, not older than what was taken from the log.
    async fn view(&self) -> Result<View, Error> {
        let view = self.store.view_past(&self.progress.stored()).await;
        if matches!(view, Err(prepx_store::Error::Behind)) {
            self.progress.doubt();
        }
        Ok(view?)
    }

    fn knows(&self, symbols: &BTreeSet<String>) -> bool {
        let markets = self.markets.read();
        symbols
            .iter()
            .all(|symbol| markets.by_symbol(symbol).is_some())
    }

    /// Waits, bounded, until everything that is durable now has been taken.
    async fn caught_up(&self, wait: Duration) {
        let waited = tokio::time::timeout(wait, self.progress.caught_up(&self.tail)).await;
        if waited.is_err() {
            tracing::debug!("market data is behind the log; it is shown as it is");
        }
    }
}

/// Reads a comma-separated list of symbols.
pub fn symbols(text: &str) -> Result<BTreeSet<String>, Error> {
    let named = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let symbols: BTreeSet<String> = named.map(str::to_owned).collect();
    if (1..=SYMBOLS_MAX).contains(&symbols.len()) {
        return Ok(symbols);
    }
    let message = format!(
        "symbols has {} of them: give 1 to {SYMBOLS_MAX}, separated by commas",
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
