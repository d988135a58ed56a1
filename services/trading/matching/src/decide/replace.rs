//! Replacements: which order may be replaced, and what becomes of it and of the new one.

use prepx_domain::message::{BookOrder, BookReplace, Refusal};
use prepx_domain::{Micros, OrderId, OrderKind};

use super::{is_over, standing};
use crate::Engine;
use crate::arrive::{Arrival, crosses};
use crate::book::Book;
use crate::event::{Event, LiveOrder};
use crate::orders::Order;

impl Engine {
    #[inline(never)]
    pub(super) fn decide_replace(
        &self,
        replace: &BookReplace,
        now: Micros,
        events: &mut Vec<Event>,
    ) {
        if let Err(refusal) = self.try_replace(replace, now, events) {
            events.push(Event::ReplaceRejected {
                account: replace.new.account,
                old: replace.old,
                new: replace.new.order,
                refusal,
            });
        }
    }

    fn try_replace(
        &self,
        replace: &BookReplace,
        now: Micros,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        let BookReplace { old, ref new } = *replace;
        let Some((at, order, book)) = self.replaceable(old, new) else {
            let unknown = self.open_book(new.instrument).err();
            return Err(unknown.unwrap_or(Refusal::NotLiving));
        };
        if book.halted {
            return Err(Refusal::Halted);
        }
        let cum_lots = order.cum_lots;
        if new.qty_lots <= cum_lots {
            return Err(Refusal::QuantityTraded { cum_lots });
        }
        let level_ticks = self.level_ticks(order);
        if self.only_reduces((at, order), level_ticks, new) {
            events.push(Event::Reduced {
                instrument: new.instrument,
                account: new.account,
                old,
                new: new.order,
                cum_lots,
                left_lots: new.qty_lots - cum_lots,
                stood: standing(order, level_ticks),
            });
            return Ok(());
        }
        // Most only move to where they trade with nothing; all others arrive anew.
        match level_ticks {
            Some(from_ticks) if self.rests_again(order, book, new, now) => {
                events.push(Event::Moved {
                    live: LiveOrder {
                        order: *new,
                        cum_lots,
                        triggered: order.triggered && new.kind.stop().is_some(),
                        pair: Some(old),
                    },
                    from_ticks,
                });
                Ok(())
            }
            _ => self.arrive_instead((at, order), book, new, now, events),
        }
    }

    /// The living order that `new` may replace, and its book.
    fn replaceable(&self, old: OrderId, new: &BookOrder) -> Option<(u32, &Order, &Book)> {
        let (at, order) = self.orders.find_own(old)?;
        let book = &self.books[order.book as usize];
        let same = order.account == new.account
            && order.side == new.side
            && book.instrument.id == new.instrument;
        same.then_some((at, order, book))
    }

    /// Whether `new` changes nothing but the quantity, and does not raise it.
    fn only_reduces(
        &self,
        (at, order): (u32, &Order),
        level_ticks: Option<i64>,
        new: &BookOrder,
    ) -> bool {
        // First what mostly differs.
        self.orders.has_same_terms(at, level_ticks, new)
            && new.qty_lots <= order.cum_lots + order.left_lots
            && new.time_in_force == order.time_in_force
            && new.post_only == order.post_only
            && new.extended_hours == order.extended_hours
    }

    /// Whether `new`, in the place of an order of the book, comes to rest there and trades with nothing.
    fn rests_again(&self, order: &Order, book: &Book, new: &BookOrder, now: Micros) -> bool {
        let has_limit = match new.kind {
            OrderKind::Limit { .. } => true,
            OrderKind::StopLimit { .. } => order.triggered,
            OrderKind::Market | OrderKind::Stop { .. } => false,
        };
        has_limit
            && new.time_in_force.rests()
            && !is_over(new, now)
            && !crosses(book, new)
            && (now < book.continuous_until || self.wait(book, new, now).is_none())
    }

    /// Decides everything that follows when `new` arrives in the place of the order there.
    #[inline(never)]
    fn arrive_instead(
        &self,
        (at, order): (u32, &Order),
        book: &Book,
        new: &BookOrder,
        now: Micros,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        let stood = self.standing(order);
        let mut arrival = Arrival::new(self, book, new, now, events);
        arrival.replacing(at);
        if now >= book.continuous_until
            && let Some(wait) = self.wait(book, new, now)
        {
            arrival.replace_parked(stood, is_over(new, now), wait);
            return Ok(());
        }
        if let Some(refusal) = arrival.refusal() {
            return Err(refusal);
        }
        arrival.replace(stood, is_over(new, now));
        Ok(())
    }
}
