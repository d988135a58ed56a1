//! One instrument's live market: what each change means to those who listen. Pure.
//!
//! Streams begin at the end of the log, so a book that began before has to be asked for. Until it is
//! there, its changes wait here, and the book goes on from where it was asked for by their numbers.
//! The minute in which the process began is not told as a bar, because it would be wrong.

use prepx_domain::market::{Bar, Book, Level, MINUTE_US, interval};
use prepx_domain::update::{MarketChange, MarketUpdate};
use prepx_domain::{Instrument, Micros, Side, TradeId};

/// How many changes of a book wait for it; beyond, a newer one is needed.
const PENDING_MAX: usize = 10_000;

/// A side's best and the other's.
pub type Best = [Option<Level>; 2];

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
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
    /// The best bid and ask are these now.
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
    /// The whole book can be shown.
    Book,
    /// A minute is over.
    Bar(Bar),
    /// A late trade has changed a minute that was told.
    UpdatedBar(Bar),
    /// Trading stopped or goes on.
    Halted(bool),
}

/// What is known of a book.
#[derive(Debug)]
enum Known {
    /// Nothing, and nobody wants to know.
    Nothing,
    /// It has been asked for. One as of change `floor` or later will do.
    Awaited {
        floor: u64,
        pending: Vec<MarketUpdate>,
    },
    /// All of it.
    All(Book),
}

/// One instrument's market.
#[derive(Debug)]
pub struct Market {
    /// What is traded.
    pub instrument: Instrument,
    /// The last change that went by.
    seen: u64,
    /// When that was.
    at: Micros,
    book: Known,
    /// No minute that begins earlier is complete.
    bars_from: Micros,
    open: Option<Bar>,
    told: Option<Bar>,
}

impl Market {
    /// A market that began before this process did; its minutes are complete from `bars_from` on.
    pub const fn new(instrument: Instrument, bars_from: Micros) -> Market {
        Market {
            instrument,
            seen: 0,
            at: Micros(0),
            book: Known::Nothing,
            bars_from,
            open: None,
            told: None,
        }
    }

    /// When its last change was.
    pub const fn at(&self) -> Micros {
        self.at
    }

    /// The book, if all of it is known.
    pub const fn book(&self) -> Option<&Book> {
        match &self.book {
            Known::All(book) => Some(book),
            Known::Nothing | Known::Awaited { .. } => None,
        }
    }

    /// Whether a minute is running.
    pub const fn has_open_minute(&self) -> bool {
        self.open.is_some()
    }

    /// Says that the book is wanted. Whether it has to be asked for.
    pub fn want_book(&mut self) -> bool {
        if matches!(self.book, Known::Nothing) {
            let (floor, pending) = (self.seen, Vec::new());
            self.book = Known::Awaited { floor, pending };
        }
        matches!(self.book, Known::Awaited { .. })
    }

    /// Takes note of a change and says what it means. `watched` tells whether anyone wants the book.
    pub fn apply(&mut self, update: &MarketUpdate, watched: bool) -> Vec<Happening> {
        let mut told = Vec::new();
        if update.number <= self.seen {
            return told;
        }
        let is_gap = self.seen != 0 && update.number != self.seen + 1;
        if is_gap {
            self.book = Known::Nothing;
        }
        if watched && matches!(self.book, Known::Nothing) {
            let floor = update.number - 1;
            let pending = Vec::new();
            self.book = Known::Awaited { floor, pending };
        }
        let is_first = self.seen == 0 && update.number == 1;
        (self.seen, self.at) = (update.number, update.at);
        match update.change {
            MarketChange::Defined(_) if is_first => {
                // Seen from its beginning: nothing has to be asked for.
                self.book = Known::All(Book::at(0));
                self.bars_from = interval(update.at, MINUTE_US);
            }
            MarketChange::Defined(_) | MarketChange::Level { .. } => {}
            MarketChange::Halted(halted) => told.push(Happening::Halted(halted)),
            MarketChange::Trade {
                trade,
                price_ticks,
                qty_lots,
                taker,
            } => {
                told.push(Happening::Trade {
                    trade,
                    price_ticks,
                    qty_lots,
                    taker,
                });
                told.extend(self.trade(update.at, price_ticks, qty_lots));
            }
        }
        self.change_book(update, watched, &mut told);
        told
    }

    fn change_book(&mut self, update: &MarketUpdate, watched: bool, told: &mut Vec<Happening>) {
        match &mut self.book {
            Known::Nothing => {}
            Known::Awaited { floor, pending } => {
                if pending.len() == PENDING_MAX {
                    pending.clear();
                    *floor = update.number;
                } else {
                    pending.push(update.clone());
                }
            }
            Known::All(book) => {
                match book.advance(update.number, update.number) {
                    Ok(true) => {}
                    // A book that was asked for may be ahead of the log as it is followed here.
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
                let before = best(book);
                book.set(side, price_ticks, qty_lots);
                let level = Level {
                    price_ticks,
                    qty_lots,
                };
                let number = update.number;
                told.push(Happening::Level {
                    side,
                    level,
                    number,
                });
                let after = best(book);
                if before != after {
                    told.push(Happening::Quote(after));
                }
            }
        }
    }

    /// The book turned out to be older than what had gone by before it was asked for.
    fn ask_again(&mut self, update: &MarketUpdate, watched: bool) {
        self.book = match watched {
            true => Known::Awaited {
                floor: update.number - 1,
                pending: vec![update.clone()],
            },
            false => Known::Nothing,
        };
    }

    /// Takes the book that was asked for; `None` when it is older than what has gone by, or was not
    /// asked for.
    pub fn take_book(&mut self, mut book: Book) -> Option<Vec<Happening>> {
        let Known::Awaited { floor, pending } = &mut self.book else {
            return None;
        };
        if book.number() < *floor {
            return None;
        }
        for update in pending.iter() {
            if book.advance(update.number, update.number).ok()?
                && let MarketChange::Level {
                    side,
                    price_ticks,
                    qty_lots,
                } = update.change
            {
                book.set(side, price_ticks, qty_lots);
            }
        }
        let mut told = vec![Happening::Book];
        if !pending.is_empty() {
            told.push(Happening::Quote(best(&book)));
        }
        self.book = Known::All(book);
        Some(told)
    }

    /// Takes note that nobody knows a book yet. Whether to ask again.
    pub fn take_no_book(&mut self) -> bool {
        let is_level = |update: &MarketUpdate| matches!(update.change, MarketChange::Level { .. });
        match &self.book {
            Known::Awaited { pending, .. } if pending.iter().any(is_level) => true,
            Known::Awaited { .. } => {
                self.book = Known::Nothing;
                false
            }
            Known::Nothing | Known::All(_) => false,
        }
    }

    fn trade(&mut self, at: Micros, price_ticks: i64, qty_lots: i64) -> Option<Happening> {
        let start = interval(at, MINUTE_US);
        if start < self.bars_from {
            return None;
        }
        let one = Bar::of(start, price_ticks, qty_lots);
        if let Some(told) = self.told.as_mut().filter(|told| told.start == start) {
            told.add(&one);
            return Some(Happening::UpdatedBar(*told));
        }
        match &mut self.open {
            Some(bar) if bar.start == start => {
                bar.add(&one);
                None
            }
            open => {
                let over = open.replace(one);
                self.tell(over)
            }
        }
    }

    /// The minute that is over at `now`, if one is.
    pub fn close_minute(&mut self, now: Micros) -> Option<Happening> {
        let over = self.open.take_if(|bar| bar.start.plus_us(MINUTE_US) <= now);
        self.tell(over)
    }

    fn tell(&mut self, over: Option<Bar>) -> Option<Happening> {
        self.told = over.or(self.told);
        over.map(Happening::Bar)
    }
}

/// The best bid and ask of a book.
pub fn best(book: &Book) -> Best {
    [book.best(Side::Buy), book.best(Side::Sell)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{instrument, level, trade};
    use proptest::prelude::*;

    /// The book after the first `count` changes.
    fn fold(updates: &[MarketUpdate], count: usize) -> Book {
        let mut book = Book::at(0);
        for update in &updates[..count] {
            assert_eq!(book.advance(update.number, update.number), Ok(true));
            if let MarketChange::Level {
                side,
                price_ticks,
                qty_lots,
            } = update.change
            {
                book.set(side, price_ticks, qty_lots);
            }
        }
        book
    }

    proptest! {
        /// Whenever streams begin, whenever a book is asked for, however old what comes and however
        /// late: a book that is taken becomes the whole book, and one that is too old is not taken
        /// for more than the next change.
        #[test]
        fn a_book_that_began_before_is_whole_or_unknown(
            levels in prop::collection::vec((any::<bool>(), 1i64..6, 0i64..4), 1..30),
            began in 0usize..30, asked in 0usize..30, came in 0usize..30, age in 0usize..30,
        ) {
            let updates: Vec<MarketUpdate> = (1u64..).zip(&levels)
                .map(|(number, &(bid, price, qty))| level(number, bid, price, qty))
                .collect();
            let count = updates.len();
            let began = began.min(count - 1);
            let asked = asked.clamp(began, count);
            let came = came.clamp(asked, count);
            let shown = came - age.min(came);
            let mut market = Market::new(instrument(), Micros(0));
            for step in began..=count {
                if step > began {
                    market.apply(&updates[step - 1], step > asked);
                }
                if step == asked {
                    prop_assert!(market.want_book());
                }
                if step == came {
                    let taken = market.take_book(fold(&updates, shown));
                    // Too old for what has gone by since it was asked for.
                    prop_assert_eq!(taken.is_some(), shown >= asked || (asked == began && (came == asked || shown >= began)));
                }
            }
            if let Some(book) = market.book() {
                let expected = if came == count { book.number() as usize } else { count };
                prop_assert_eq!(book, &fold(&updates, expected));
                prop_assert!(came == count || book.number() == count as u64);
            }
        }
    }

    #[test]
    fn quotes_come_when_the_best_changes_and_levels_always() {
        let mut market = Market::new(instrument(), Micros(0));
        market.want_book();
        market.take_book(Book::at(0));
        let told = |market: &mut Market, update| {
            let happenings = market.apply(&update, true);
            let is_quote = |happening: &Happening| matches!(happening, Happening::Quote(_));
            (happenings.len(), happenings.iter().any(is_quote))
        };
        assert_eq!(told(&mut market, level(1, true, 99, 5)), (2, true));
        assert_eq!(told(&mut market, level(2, true, 98, 5)), (1, false));
        assert_eq!(
            told(&mut market, level(2, true, 98, 5)),
            (0, false),
            "a repeat"
        );
        assert_eq!(told(&mut market, level(3, true, 99, 0)), (2, true));
        let gap = told(&mut market, level(5, true, 97, 1));
        assert_eq!((gap, market.book()), ((0, false), None), "a gap");
    }

    #[test]
    fn a_minute_is_told_once_and_again_when_a_late_trade_changes_it() {
        let mut market = Market::new(instrument(), Micros(MINUTE_US));
        let minutes = |happenings: Vec<Happening>| -> Vec<(&'static str, i64, i64)> {
            let minute = |happening| match happening {
                Happening::Bar(bar) => Some(("b", bar.start.0 / MINUTE_US, bar.volume_lots)),
                Happening::UpdatedBar(bar) => Some(("u", bar.start.0 / MINUTE_US, bar.volume_lots)),
                _ => None,
            };
            happenings.into_iter().filter_map(minute).collect()
        };
        let mut numbers = 1..;
        let mut at = |market: &mut Market, seconds: i64, qty| {
            let number = numbers.next().expect("endless");
            minutes(market.apply(&trade(number, seconds * 1_000_000, 100, qty), false))
        };
        assert_eq!(
            at(&mut market, 59, 1),
            [],
            "the process began within this minute"
        );
        assert_eq!(at(&mut market, 60, 2), []);
        assert_eq!(at(&mut market, 119, 3), []);
        assert_eq!(market.close_minute(Micros(119_000_000)), None);
        let closed = market.close_minute(Micros(120_000_000));
        assert_eq!(minutes(Vec::from_iter(closed)), [("b", 1, 5)]);
        assert_eq!(market.close_minute(Micros(180_000_000)), None, "told once");
        assert_eq!(at(&mut market, 119, 4), [("u", 1, 9)]);
        assert_eq!(at(&mut market, 121, 7), []);
        assert_eq!(
            at(&mut market, 200, 8),
            [("b", 2, 7)],
            "the next trade ends it too"
        );
    }
}
