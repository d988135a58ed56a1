//! One instrument's live market, pure: what each change means to listeners.
//!
//! Streams begin at the end of the log, so books and days that began earlier have to be asked for. Until the answers
//! arrive, changes wait here; both are then joined by their numbers. The minute in which the process began is not sent as
//! a bar, because it would be incomplete.

use prepx_domain::market::{Bar, Book, Gap, Level, MINUTE_US, interval};
use prepx_domain::update::{MarketChange, MarketUpdate};
use prepx_domain::{AssetClass, Instrument, Micros, Side, TradeId, day};

/// How many changes may wait for a book; beyond that, a newer book is needed.
const PENDING_MAX: usize = 10_000;

/// The best bid and the best ask.
pub type Best = [Option<Level>; 2];

/// An event of a market, for its listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarketEvent {
    /// A trade.
    Trade {
        /// Its number.
        trade: TradeId,
        /// In ticks.
        price_ticks: i64,
        /// In lots.
        qty_lots: i64,
        /// The side that arrived.
        taker: Side,
    },
    /// The new best bid and ask.
    Quote(Best),
    /// A level of the book has a new size.
    Level {
        /// Bids or asks.
        side: Side,
        /// The level; zero lots when it is gone.
        level: Level,
        /// The number of the change.
        number: u64,
    },
    /// The whole book is now known.
    Book,
    /// A minute is over.
    Bar(Bar),
    /// A late trade has changed a minute that was sent already.
    UpdatedBar(Bar),
    /// The day so far, at the end of a minute with trades.
    Day(Bar),
    /// Trading was halted or resumed.
    Halted(bool),
}

/// Book and day of a market that began before this process, as of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The book, and the number of the change.
    pub book: Book,
    /// The newest day with trades.
    pub day: Option<Bar>,
}

impl Whole {
    /// A market without anything in its book, and no trade.
    pub fn at(number: u64) -> Whole {
        let (book, day) = (Book::at(number), None);
        Whole { book, day }
    }

    /// Makes a change, `false` when it was there before.
    fn apply(&mut self, class: AssetClass, update: &MarketUpdate) -> Result<bool, Gap> {
        if !self.book.advance(update.number, update.number)? {
            return Ok(false);
        }
        match update.change {
            MarketChange::Level {
                side,
                price_ticks,
                qty_lots,
            } => self.book.set(side, price_ticks, qty_lots),
            MarketChange::Trade {
                price_ticks,
                qty_lots,
                ..
            } => {
                let start = day::start(class, update.at);
                let one = Bar::of(start, price_ticks, qty_lots);
                match &mut self.day {
                    // Time never goes back, so nothing comes too late for its day.
                    Some(day) if day.start >= start => day.add(&one),
                    day => *day = Some(one),
                }
            }
            MarketChange::Defined(_) | MarketChange::Halted(_) => {}
        }
        Ok(true)
    }
}

/// What is known of book and day.
#[derive(Debug)]
enum Known {
    /// Nothing, and nobody subscribes to them.
    Nothing,
    /// They have been asked for; they must be as of change `floor` or later.
    Awaited {
        floor: u64,
        pending: Vec<MarketUpdate>,
    },
    /// Everything.
    All(Whole),
}

/// One instrument's market.
#[derive(Debug)]
pub struct Market {
    /// What is traded.
    pub instrument: Instrument,
    /// The number of the last change.
    seen: u64,
    /// When that was.
    at: Micros,
    known: Known,
    /// Minutes that begin earlier are incomplete.
    bars_from: Micros,
    /// The current minute, if it has trades.
    open: Option<Bar>,
    /// The last minute that was sent.
    last_bar: Option<Bar>,
}

impl Market {
    /// A market that began before this process; its minutes are complete from `bars_from` on.
    pub const fn new(instrument: Instrument, bars_from: Micros) -> Market {
        Market {
            instrument,
            seen: 0,
            at: Micros(0),
            known: Known::Nothing,
            bars_from,
            open: None,
            last_bar: None,
        }
    }

    /// The time of its last change.
    pub const fn at(&self) -> Micros {
        self.at
    }

    /// The book, if all of it is known.
    pub const fn book(&self) -> Option<&Book> {
        match &self.known {
            Known::All(whole) => Some(&whole.book),
            Known::Nothing | Known::Awaited { .. } => None,
        }
    }

    /// Whether the current minute has trades.
    pub const fn has_open_minute(&self) -> bool {
        self.open.is_some()
    }

    /// Requests book and day. Returns whether they have to be asked for.
    pub fn want(&mut self) -> bool {
        if matches!(self.known, Known::Nothing) {
            let (floor, pending) = (self.seen, Vec::new());
            self.known = Known::Awaited { floor, pending };
        }
        matches!(self.known, Known::Awaited { .. })
    }

    /// Applies a change and returns its events. `watched` says whether anybody subscribes to book or day.
    pub fn apply(&mut self, update: &MarketUpdate, watched: bool) -> Vec<MarketEvent> {
        let mut events = Vec::new();
        if update.number <= self.seen {
            return events;
        }
        let is_gap = self.seen != 0 && update.number != self.seen + 1;
        if is_gap {
            self.known = Known::Nothing;
        }
        if watched && matches!(self.known, Known::Nothing) {
            let floor = update.number - 1;
            let pending = Vec::new();
            self.known = Known::Awaited { floor, pending };
        }
        let is_first = self.seen == 0 && update.number == 1;
        (self.seen, self.at) = (update.number, update.at);
        match update.change {
            MarketChange::Defined(_) if is_first => {
                // Seen from its beginning: nothing has to be asked for.
                self.known = Known::All(Whole::at(0));
                self.bars_from = interval(update.at, MINUTE_US);
            }
            MarketChange::Defined(_) | MarketChange::Level { .. } => {}
            MarketChange::Halted(halted) => events.push(MarketEvent::Halted(halted)),
            MarketChange::Trade {
                trade,
                price_ticks,
                qty_lots,
                taker,
            } => {
                events.push(MarketEvent::Trade {
                    trade,
                    price_ticks,
                    qty_lots,
                    taker,
                });
                self.trade(update.at, price_ticks, qty_lots, &mut events);
            }
        }
        self.change(update, watched, &mut events);
        events
    }

    fn change(&mut self, update: &MarketUpdate, watched: bool, events: &mut Vec<MarketEvent>) {
        match &mut self.known {
            Known::Nothing => {}
            Known::Awaited { floor, pending } => {
                if pending.len() == PENDING_MAX {
                    pending.clear();
                    *floor = update.number;
                } else {
                    pending.push(update.clone());
                }
            }
            Known::All(whole) => {
                let before = best(&whole.book);
                match whole.apply(self.instrument.class, update) {
                    Ok(true) => {}
                    // What was asked for may be ahead of the log as it is followed here.
                    Ok(false) => return,
                    Err(_gap) => return self.ask_again(update, watched),
                }
                let MarketChange::Level {
                    side,
                    price_ticks,
                    qty_lots,
                } = update.change
                else {
                    return;
                };
                let level = Level {
                    price_ticks,
                    qty_lots,
                };
                let number = update.number;
                events.push(MarketEvent::Level {
                    side,
                    level,
                    number,
                });
                let after = best(&whole.book);
                if before != after {
                    events.push(MarketEvent::Quote(after));
                }
            }
        }
    }

    /// Called when the answer is older than changes that were already seen when it was asked for.
    fn ask_again(&mut self, update: &MarketUpdate, watched: bool) {
        self.known = match watched {
            true => Known::Awaited {
                floor: update.number - 1,
                pending: vec![update.clone()],
            },
            false => Known::Nothing,
        };
    }

    /// Takes book and day; `None` if they are too old or were not asked for.
    pub fn take(&mut self, mut whole: Whole) -> Option<Vec<MarketEvent>> {
        let Known::Awaited { floor, pending } = &mut self.known else {
            return None;
        };
        if whole.book.number() < *floor {
            return None;
        }
        for update in pending.iter() {
            whole.apply(self.instrument.class, update).ok()?;
        }
        let mut events = vec![MarketEvent::Book];
        if !pending.is_empty() {
            events.push(MarketEvent::Quote(best(&whole.book)));
        }
        self.known = Known::All(whole);
        Some(events)
    }

    /// Records that nobody knows a book yet. Returns whether to ask again.
    pub fn take_nothing(&mut self) -> bool {
        let is_level = |update: &MarketUpdate| matches!(update.change, MarketChange::Level { .. });
        match &self.known {
            Known::Awaited { pending, .. } if pending.iter().any(is_level) => true,
            Known::Awaited { .. } => {
                self.known = Known::Nothing;
                false
            }
            Known::Nothing | Known::All(_) => false,
        }
    }

    fn trade(
        &mut self,
        at: Micros,
        price_ticks: i64,
        qty_lots: i64,
        events: &mut Vec<MarketEvent>,
    ) {
        let start = interval(at, MINUTE_US);
        if start < self.bars_from {
            return;
        }
        let one = Bar::of(start, price_ticks, qty_lots);
        if let Some(late) = self.last_bar.as_mut().filter(|late| late.start == start) {
            late.add(&one);
            events.push(MarketEvent::UpdatedBar(*late));
            return;
        }
        match &mut self.open {
            Some(bar) if bar.start == start => bar.add(&one),
            open => {
                let over = open.replace(one);
                self.end_minute(over, events);
            }
        }
    }

    /// The events of the minute that is over at `now`, if there is one.
    pub fn close_minute(&mut self, now: Micros) -> Vec<MarketEvent> {
        let over = self.open.take_if(|bar| bar.start.plus_us(MINUTE_US) <= now);
        let mut events = Vec::new();
        self.end_minute(over, &mut events);
        events
    }

    /// Adds the events of a minute that is over: its bar and the day so far, before anything of the next is in it.
    fn end_minute(&mut self, over: Option<Bar>, events: &mut Vec<MarketEvent>) {
        let Some(bar) = over else { return };
        self.last_bar = over;
        events.push(MarketEvent::Bar(bar));
        if let Known::All(Whole { day: Some(day), .. }) = &self.known {
            events.push(MarketEvent::Day(*day));
        }
    }
}

/// The best bid and ask of a book.
pub fn best(book: &Book) -> Best {
    [book.best(Side::Buy), book.best(Side::Sell)]
}

#[cfg(test)]
mod tests;
