//! Brings the market to the recorded rows of the book: what must have left goes, what must be there
//! comes. Without rows, orders go with the last message that speaks of them.

use std::cmp::Ordering;

use prepx_domain::Side;

use super::Planner;
use super::step::{Best, Book, Ref};
use crate::replay::recording::{Level, Message, Row};

impl Planner {
    /// Brings the book to a row. Returns what the engine must show; nothing when what is known and
    /// the row contradict each other.
    pub(super) fn follow(&mut self, row: &Row, last: usize) -> Option<Book> {
        let sides = [Side::Buy, Side::Sell];
        let wanted = sides.map(|side| row.side(side).first().copied());
        let before = sides.map(|side| self.market.best(side));
        for side in sides {
            self.leave_unseen(side, row.side(side), last);
        }
        for side in sides {
            for &level in row.side(side) {
                self.fill_up(side, level);
            }
        }
        if wanted != sides.map(|side| self.market.best(side)) {
            self.counts.rows_contradicting += 1;
            return None;
        }
        let [bid, ask] = [0, 1].map(|index| Best {
            level: wanted[index],
            derived: before[index] == wanted[index],
        });
        Some(Book { bid, ask })
    }

    /// Cancels what is not in view and never spoken of again, and what stands before the best level.
    fn leave_unseen(&mut self, side: Side, visible: &[Level], last: usize) {
        let better = |price: i64| match (side, visible.first()) {
            (_, None) => true,
            (Side::Buy, Some(best)) => price > best.price,
            (Side::Sell, Some(best)) => price < best.price,
        };
        let out_of_view = |price: &i64| visible.iter().all(|level| level.price != *price);
        let prices: Vec<i64> = self.market.prices(side).filter(out_of_view).collect();
        for price in prices {
            for order in self.market.queue(side, price).to_vec() {
                if better(price) || self.is_over(order, last) {
                    self.end_unseen(order);
                }
            }
        }
    }

    /// Whether no later message speaks of an order. So it is with fillers.
    fn is_over(&self, order: Ref, last: usize) -> bool {
        let recorded = self.market.orders[order].recorded;
        recorded.is_none_or(|id| self.last.get(&id).is_none_or(|&message| message <= last))
    }

    fn end_unseen(&mut self, order: Ref) {
        let recorded = self.market.orders[order].recorded;
        self.counts.left_unseen += u64::from(recorded.is_some());
        self.market.shrink(order, i64::MAX);
    }

    fn fill_up(&mut self, side: Side, level: Level) {
        let filler = self.market.filler(side, level.price);
        let has = filler.map_or(0, |filler| self.market.orders[filler].left);
        let known = self.market.size(side, level.price) - has;
        let wanted = (level.size - known).max(0);
        if let Some(filler) = filler {
            match wanted.cmp(&has) {
                Ordering::Less => return self.market.shrink(filler, has - wanted),
                Ordering::Equal => return,
                // An order that grows would lose its place: another one comes instead.
                Ordering::Greater => self.market.shrink(filler, i64::MAX),
            }
        }
        if wanted > 0 {
            let size = wanted;
            self.market.place(None, side, Level { size, ..level });
        }
    }

    /// Without a book: an order goes with the last message that speaks of it.
    pub(super) fn forget(&mut self, run: &[Message], last: usize) {
        for message in run {
            if let Some(order) = self.market.known(message.order)
                && self.is_over(order, last)
            {
                self.end_unseen(order);
            }
        }
    }
}
