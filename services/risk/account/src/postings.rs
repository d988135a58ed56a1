//! The movements between books at an event. The state and the published postings both come from here, so
//! they cannot differ, and each asset adds up to zero (I3).

use prepx_domain::message::{BookReplace, Fill};
use prepx_domain::update::{Book, Posting};
use prepx_domain::{Asset, Side};

use crate::event::Event;
use crate::state::{Stage, moved};

/// Passes on the legs of an event.
struct Legs<F>(F);

impl<F: FnMut(Posting)> Legs<F> {
    fn gain(&mut self, book: Book, asset: Asset, amount_minor: i64) {
        if amount_minor != 0 {
            self.0(Posting {
                book,
                asset,
                amount_minor,
            });
        }
    }

    fn lose(&mut self, book: Book, asset: Asset, amount_minor: i64) {
        self.gain(book, asset, moved_out(0, amount_minor));
    }

    fn transfer(&mut self, asset: Asset, amount_minor: i64, from: Book, to: Book) {
        self.lose(from, asset, amount_minor);
        self.gain(to, asset, amount_minor);
    }
}

/// `minor` less `by_minor`.
fn moved_out(minor: i64, by_minor: i64) -> i64 {
    moved(minor, by_minor.checked_neg().expect("within 64 bits (I3)"))
}

impl Stage {
    /// Calls `post` with the legs of an event. It reads only what the event does not change, so the legs
    /// are the same before and after.
    pub(crate) fn post(&self, event: &Event, post: impl FnMut(Posting)) {
        let mut legs = Legs(post);
        match event {
            Event::Deposited {
                account,
                asset,
                amount_minor,
                ..
            } => legs.transfer(
                *asset,
                *amount_minor,
                Book::Outside,
                Book::Available(*account),
            ),
            Event::Withdrawn {
                account,
                asset,
                amount_minor,
                ..
            } => legs.transfer(
                *asset,
                *amount_minor,
                Book::Available(*account),
                Book::Outside,
            ),
            Event::Placed {
                order: book,
                hold_minor,
                ..
            }
            | Event::ReplaceSent {
                replace: BookReplace { new: book, .. },
                hold_minor,
                ..
            } => {
                let (from, to) = (Book::Available(book.account), Book::Held(book.account));
                legs.transfer(self.held_asset(book), *hold_minor, from, to);
            }
            Event::Filled {
                fill,
                qty_minor,
                held_minor,
                available_minor,
                ..
            } => self.post_fill(&mut legs, fill, *qty_minor, *held_minor, *available_minor),
            Event::Replaced {
                new: order,
                released_minor,
                ..
            }
            | Event::ReplaceRejected {
                new: order,
                released_minor,
                ..
            }
            | Event::Ended {
                order,
                released_minor,
                ..
            } => {
                let book = &self.order_of(*order).book;
                let (from, to) = (Book::Held(book.account), Book::Available(book.account));
                legs.transfer(self.held_asset(book), *released_minor, from, to);
            }
            _ => {}
        }
    }

    /// A buy pays money and fee out of its hold (and dust out of what is available) and receives
    /// base; a sell pays base out of its hold and receives the money less the fee.
    fn post_fill<F: FnMut(Posting)>(
        &self,
        legs: &mut Legs<F>,
        fill: &Fill,
        qty_minor: i64,
        held_minor: i64,
        available_minor: i64,
    ) {
        let instrument = &self.market(fill.instrument).instrument;
        let (base, quote) = (instrument.base, instrument.quote);
        let (available, held) = (Book::Available(fill.account), Book::Held(fill.account));
        match fill.side {
            Side::Buy => {
                legs.lose(held, quote, held_minor);
                legs.lose(available, quote, available_minor);
                legs.gain(Book::Clearing, quote, fill.notional_minor);
                legs.transfer(base, qty_minor, Book::Clearing, available);
            }
            Side::Sell => {
                legs.transfer(base, qty_minor, held, Book::Clearing);
                legs.lose(Book::Clearing, quote, fill.notional_minor);
                let received_minor = moved_out(fill.notional_minor, fill.fee_minor);
                legs.gain(available, quote, received_minor);
            }
        }
        legs.gain(Book::Fees, quote, fill.fee_minor);
    }
}
