//! Markets in memory, pure: how each change affects book, quote, last trade and bars, and the rows to store for it.

use std::collections::BTreeMap;

use prepx_domain::market::{Bar, Book, Gap, MINUTE_US, interval};
use prepx_domain::update::{MarketChange, MarketUpdate};
use prepx_domain::{AssetClass, Instrument, InstrumentId, Micros, Side, Symbol, TradeId, day};

/// The widths of the bars that are stored, in microseconds: minute, hour and day. Days of equities, which are
/// not UTC days, are made of their hours and not stored.
pub const WIDTHS_US: [i64; 3] = [MINUTE_US, 60 * MINUTE_US, 24 * 60 * MINUTE_US];
/// The indexes of the widths.
pub const MINUTE: usize = 0;
/// The index of the hour.
pub const HOUR: usize = 1;
/// The index of the day.
pub const DAY: usize = 2;

/// A trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Its id.
    pub id: TradeId,
    /// When it was made.
    pub at: Micros,
    /// The price, in ticks.
    pub price_ticks: i64,
    /// The quantity, in lots.
    pub qty_lots: i64,
    /// The side of the order that arrived.
    pub taker: Side,
}

/// The best bid and ask of a book; zeros for an empty side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quote {
    /// When it became the best.
    pub at: Micros,
    /// The highest bid, in ticks.
    pub bid_ticks: i64,
    /// The quantity at that price, in lots.
    pub bid_lots: i64,
    /// The lowest ask, in ticks.
    pub ask_ticks: i64,
    /// The quantity at that price, in lots.
    pub ask_lots: i64,
}

impl Quote {
    fn of(at: Micros, book: &Book) -> Quote {
        let best = |side| {
            let level = book.best(side);
            level.map_or((0, 0), |level| (level.price_ticks, level.qty_lots))
        };
        let ((bid_ticks, bid_lots), (ask_ticks, ask_lots)) = (best(Side::Buy), best(Side::Sell));
        Quote {
            at,
            bid_ticks,
            bid_lots,
            ask_ticks,
            ask_lots,
        }
    }
}

/// One instrument's market as of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Market {
    /// The instrument.
    pub instrument: Instrument,
    /// The book, which also counts the changes.
    pub book: Book,
    /// When the book last changed.
    pub book_at: Option<Micros>,
    /// When the current quote became the best.
    pub quote_at: Option<Micros>,
    /// The last trade.
    pub last_trade: Option<Trade>,
    /// The newest bar of each of [`WIDTHS_US`].
    pub bars: [Option<Bar>; WIDTHS_US.len()],
    /// The day with trades before the newest.
    pub day_before: Option<Bar>,
}

impl Market {
    fn new(instrument: Instrument) -> Market {
        Market {
            instrument,
            book: Book::default(),
            book_at: None,
            quote_at: None,
            last_trade: None,
            bars: [None; WIDTHS_US.len()],
            day_before: None,
        }
    }

    /// The best bid and ask, if there ever was one.
    pub fn quote(&self) -> Option<Quote> {
        self.quote_at.map(|at| Quote::of(at, &self.book))
    }

    /// The newest day with trades.
    pub const fn day(&self) -> Option<Bar> {
        self.bars[DAY]
    }

    fn trade(&mut self, trade: Trade, rows: &mut Rows) {
        let Instrument { id, class, .. } = self.instrument;
        rows.trades.push((id, trade));
        self.last_trade = Some(trade);
        for (place, width_us) in WIDTHS_US.into_iter().enumerate() {
            let start = match place {
                DAY => day::start(class, trade.at),
                _ => interval(trade.at, width_us),
            };
            let one = Bar::of(start, trade.price_ticks, trade.qty_lots);
            let newest = &mut self.bars[place];
            match newest {
                // A stage's time never goes back, so nothing comes too late for its interval.
                Some(bar) if bar.start >= start => bar.add(&one),
                _ => {
                    let before = newest.replace(one);
                    if place == DAY {
                        self.day_before = before;
                    }
                }
            }
            let is_stored = place != DAY || class == AssetClass::Crypto;
            if let Some(bar) = newest.filter(|_| is_stored) {
                rows.bars.insert((id, width_us, bar.start), bar);
            }
        }
    }

    fn level(
        &mut self,
        at: Micros,
        (side, price_ticks): (Side, i64),
        qty_lots: i64,
        rows: &mut Rows,
    ) {
        let id = self.instrument.id;
        let before = Quote::of(at, &self.book);
        self.book.set(side, price_ticks, qty_lots);
        self.book_at = Some(at);
        rows.levels
            .insert((id, side_code(side), price_ticks), qty_lots);
        let after = Quote::of(at, &self.book);
        if before != after {
            self.quote_at = Some(at);
            rows.quotes.insert((id, at.millis()), after);
        }
    }
}

/// 1 for bids, 2 for asks.
pub const fn side_code(side: Side) -> i64 {
    match side {
        Side::Buy => 1,
        Side::Sell => 2,
    }
}

/// The rows that follow from a batch of changes, to be written in one transaction.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Markets that have changed, in their current state: the definition and the rest of their row.
    pub markets: BTreeMap<InstrumentId, MarketRow>,
    /// The current quantity of the levels that have changed, by side code and price.
    pub levels: BTreeMap<(InstrumentId, i64, i64), i64>,
    /// Trades, in their order.
    pub trades: Vec<(InstrumentId, Trade)>,
    /// The last quote of each millisecond.
    pub quotes: BTreeMap<(InstrumentId, i64), Quote>,
    /// Bars in their current state, by width and start.
    pub bars: BTreeMap<(InstrumentId, i64, Micros), Bar>,
}

/// A market's row in the store, without its levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketRow {
    /// The instrument.
    pub instrument: Instrument,
    /// The number of the last change.
    pub number: u64,
    /// When the book last changed.
    pub book_at: Option<Micros>,
    /// When the current quote became the best.
    pub quote_at: Option<Micros>,
}

impl From<&Market> for MarketRow {
    fn from(market: &Market) -> MarketRow {
        MarketRow {
            instrument: market.instrument,
            number: market.book.number(),
            book_at: market.book_at,
            quote_at: market.quote_at,
        }
    }
}

impl From<MarketRow> for Market {
    /// A market from its row, still without levels, trades and bars.
    fn from(row: MarketRow) -> Market {
        Market {
            book: Book::at(row.number),
            book_at: row.book_at,
            quote_at: row.quote_at,
            ..Market::new(row.instrument)
        }
    }
}

/// Why a change cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An earlier change is missing.
    #[error("instrument {instrument}: {gap}")]
    Gap {
        /// The instrument.
        instrument: InstrumentId,
        /// The gap.
        gap: Gap,
    },
    /// The instrument was never defined.
    #[error("instrument {0} has changes and no definition")]
    Undefined(InstrumentId),
}

/// All markets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Markets {
    by_id: BTreeMap<InstrumentId, Market>,
    ids: BTreeMap<Symbol, InstrumentId>,
}

impl Markets {
    /// From stored markets.
    pub fn new(by_id: BTreeMap<InstrumentId, Market>) -> Markets {
        let name = |market: &Market| (market.instrument.symbol, market.instrument.id);
        let ids = by_id.values().map(name).collect();
        Markets { by_id, ids }
    }

    /// The number of markets.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The market of an instrument.
    pub fn get(&self, id: InstrumentId) -> Option<&Market> {
        self.by_id.get(&id)
    }

    /// The market of a symbol.
    pub fn by_symbol(&self, symbol: &str) -> Option<&Market> {
        self.by_id.get(self.ids.get(&symbol.parse().ok()?)?)
    }

    /// Applies changes in order; skips those that were applied before.
    ///
    /// # Errors
    /// When one is missing. Those before it have been applied.
    pub fn apply(&mut self, updates: &[MarketUpdate]) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        for update in updates {
            self.apply_one(update, &mut rows)?;
        }
        for (id, row) in &mut rows.markets {
            *row = MarketRow::from(&self.by_id[id]);
        }
        Ok(rows)
    }

    fn apply_one(&mut self, update: &MarketUpdate, rows: &mut Rows) -> Result<(), Error> {
        let id = update.instrument;
        if let MarketChange::Defined(instrument) = &update.change {
            self.ids.insert(instrument.symbol, id);
            let new = || Market::new(**instrument);
            self.by_id.entry(id).or_insert_with(new);
        }
        let market = self.by_id.get_mut(&id).ok_or(Error::Undefined(id))?;
        let moved = market.book.advance(update.number, update.number);
        if !moved.map_err(|gap| Error::Gap {
            instrument: id,
            gap,
        })? {
            return Ok(());
        }
        match update.change {
            // Whether trading is stopped is shown by the stage; a halt changes nothing here.
            MarketChange::Defined(_) | MarketChange::Halted(_) => {}
            MarketChange::Trade {
                trade,
                price_ticks,
                qty_lots,
                taker,
            } => {
                let trade = Trade {
                    id: trade,
                    at: update.at,
                    price_ticks,
                    qty_lots,
                    taker,
                };
                market.trade(trade, rows);
            }
            MarketChange::Level {
                side,
                price_ticks,
                qty_lots,
            } => market.level(update.at, (side, price_ticks), qty_lots, rows),
        }
        rows.markets
            .entry(id)
            .or_insert_with(|| MarketRow::from(&*market));
        Ok(())
    }
}
