//! Folding events into the state. Nothing is decided here, and nothing can fail: what would be
//! impossible was refused before it became an event.

use std::sync::Arc;

use prepx_domain::message::{BookOrder, End, Fill, Refusal};
use prepx_domain::update::{Book, Posting};
use prepx_domain::{AccountId, Instrument, Micros, OrderId, SessionCalendar, SessionPhase};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::commands::decision_of;
use crate::event::Event;
use crate::order::{Order, Phase};
use crate::state::{Account, Market, Name, Stage, moved};

/// How much one ordinary event forgets: more than it adds, so memory shrinks while work goes on.
const FORGOTTEN_PER_EVENT: usize = 4;
/// How much the passing of time forgets at once: enough for an idle stage, too little to be felt.
const FORGOTTEN_PER_TIMER: usize = 4_096;

impl Stage {
    /// Folds one event.
    pub(crate) fn fold(&mut self, event: &Event) {
        if let Some(at) = event.at() {
            self.forget(at, FORGOTTEN_PER_EVENT);
        }
        self.book(event);
        match event {
            Event::Opened { .. } => self.open_account(event),
            Event::Withdrawn {
                account,
                asset,
                cost_minor,
                ..
            } => {
                let balance = self.account_mut(*account).balance_mut(*asset);
                balance.cost_minor = balance.cost_minor.saturating_sub(*cost_minor);
            }
            Event::BlockSet {
                account, blocked, ..
            } => self.account_mut(*account).blocked = *blocked,
            Event::SuspensionSet {
                account, suspended, ..
            } => self.account_mut(*account).suspended = *suspended,
            Event::LimitsSet {
                account, limits, ..
            } => self.account_mut(*account).limits = *limits,
            Event::Defined(instrument) => self.define(instrument),
            Event::Halted { instrument, halted } => self.market_mut(*instrument).halted = *halted,
            Event::SessionChanged { instrument, phase } => {
                self.market_mut(*instrument).phase = *phase;
            }
            Event::ReferenceMoved {
                instrument,
                price_ticks,
            } => self.market_mut(*instrument).reference_ticks = Some(*price_ticks),
            Event::TimePassed { at } => self.forget(*at, FORGOTTEN_PER_TIMER),
            _ => self.fold_order(event),
        }
        if let Some(cause) = event.cause() {
            let decision = decision_of(event, |account, asset| {
                self.accounts[&account].balance(asset).available_minor
            });
            self.commands.remember(&self.config, cause, decision);
        }
    }

    fn fold_order(&mut self, event: &Event) {
        match event {
            Event::Placed {
                order: book,
                client_order_id,
                hold_minor,
                buying_minor,
                created_at,
                ..
            } => {
                let name = Arc::clone(client_order_id);
                let order = Order::accepted(*book, name, *hold_minor, *buying_minor, *created_at);
                self.add_order(order);
            }
            Event::ReplaceSent {
                replace,
                client_order_id,
                hold_minor,
                buying_minor,
                created_at,
                ..
            } => {
                let name = Arc::clone(client_order_id);
                let new =
                    Order::accepted(replace.new, name, *hold_minor, *buying_minor, *created_at);
                self.add_replacement(replace.old, new);
            }
            Event::CancelSent { cause, orders, .. } => {
                for order in orders {
                    self.request_cancel(*order, cause.at);
                }
            }
            Event::Parked { at, order, parked } => {
                let order = self.order_mut(*order);
                (order.parked, order.updated_at) = (*parked, *at);
            }
            Event::Triggered { at, order } => {
                let order = self.order_mut(*order);
                (order.triggered, order.updated_at) = (true, *at);
            }
            Event::Filled {
                at,
                fill,
                qty_minor,
                held_minor,
                cost_minor,
                ..
            } => self.fill(*at, fill, (*qty_minor, *held_minor, *cost_minor)),
            Event::Replaced {
                at,
                old,
                new,
                held_minor,
                buying_minor,
                ..
            } => self.replace(*at, *old, *new, (*held_minor, *buying_minor)),
            Event::ReplaceRejected {
                at,
                old,
                new,
                refusal,
                ..
            } => self.reject_replacement(*at, *old, *new, *refusal),
            Event::Ended { at, order, end, .. } => {
                let phase = Phase::Ended { at: *at, end: *end };
                self.end(*order, *at, phase);
            }
            _ => {}
        }
    }

    fn account_mut(&mut self, id: AccountId) -> &mut Account {
        let account = self.accounts.get_mut(&id);
        account.expect("an event names an account that was opened")
    }

    fn market_mut(&mut self, id: prepx_domain::InstrumentId) -> &mut Market {
        let market = self.markets.get_mut(&id);
        market.expect("an event names an instrument that was defined")
    }

    fn order_mut(&mut self, id: OrderId) -> &mut Order {
        let order = self.orders.get_mut(&id);
        order.expect("an event names an order that is kept")
    }

    /// Moves the money of an event between the books (I3).
    fn book(&mut self, event: &Event) {
        let mut legs = [None::<Posting>; 8];
        let mut count = 0usize;
        self.post(event, |posting| {
            legs[count] = Some(posting);
            count = count.saturating_add(1);
        });
        for posting in legs.into_iter().flatten() {
            let (asset, amount_minor) = (posting.asset, posting.amount_minor);
            let minor = match posting.book {
                Book::Available(id) => &mut self.account_mut(id).balance_mut(asset).available_minor,
                Book::Held(id) => &mut self.account_mut(id).balance_mut(asset).held_minor,
                Book::Clearing => &mut self.books.entry(asset).or_default().clearing_minor,
                Book::Fees => &mut self.books.entry(asset).or_default().fees_minor,
                Book::Outside => &mut self.books.entry(asset).or_default().outside_minor,
            };
            *minor = moved(*minor, amount_minor);
        }
    }

    fn open_account(&mut self, event: &Event) {
        let Event::Opened {
            cause,
            account,
            user,
            simulated,
            limits,
        } = event
        else {
            return;
        };
        let opened = Account {
            user: *user,
            simulated: *simulated,
            created_at: cause.at,
            blocked: false,
            suspended: false,
            limits: *limits,
            balances: Vec::new(),
            open: FxHashSet::default(),
            pending: 0,
            recent: Default::default(),
            names: FxHashMap::default(),
        };
        self.accounts.insert(*account, opened);
        self.users.insert(*user, *account);
        self.last_ids.entry(account.slot()).or_default().account = Some(*account);
    }

    fn define(&mut self, instrument: &Instrument) {
        self.symbols.insert(instrument.symbol, instrument.id);
        let market = Market {
            instrument: *instrument,
            halted: false,
            // What is not always open is closed until the market says otherwise.
            phase: match instrument.calendar {
                SessionCalendar::Always => SessionPhase::Regular,
                SessionCalendar::Nyse => SessionPhase::Closed,
            },
            reference_ticks: instrument.seed_reference_ticks,
        };
        self.markets.insert(instrument.id, market);
    }

    fn add_order(&mut self, order: Order) {
        let BookOrder {
            order: id, account, ..
        } = order.book;
        self.last_ids.entry(id.slot()).or_default().order = Some(id);
        self.add_buying(&order.book, order.buying_minor);
        let name = Name::of(&order.client_order_id);
        let owner = self.account_mut(account);
        owner.open.insert(id);
        owner.names.insert(name, id);
        self.orders.insert(id, Box::new(order));
    }

    fn add_replacement(&mut self, old: OrderId, mut new: Order) {
        let pending = &mut self.account_mut(new.book.account).pending;
        *pending = pending.saturating_add(1);
        let old_order = self.order_mut(old);
        (old_order.replaced_by, old_order.updated_at) = (Some(new.book.order), new.created_at);
        (new.phase, new.replaces) = (Phase::Pending, Some(old));
        self.add_order(new);
    }

    /// A replacement was answered.
    fn settle_pending(&mut self, new: OrderId) {
        let account = self.order_of(new).book.account;
        let pending = &mut self.account_mut(account).pending;
        *pending = pending.saturating_sub(1);
    }

    fn request_cancel(&mut self, id: OrderId, at: Micros) {
        let order = self.order_mut(id);
        (order.cancel_requested, order.updated_at) = (true, at);
        if let Some(new) = order.pending_replacement() {
            let new = self.order_mut(new);
            (new.cancel_requested, new.updated_at) = (true, at);
        }
    }

    fn fill(
        &mut self,
        at: Micros,
        fill: &Fill,
        (qty_minor, held_minor, cost_minor): (i64, i64, i64),
    ) {
        let order = self.order_mut(fill.order);
        order.cum_lots = fill.cum_lots;
        // Totals for show: the money itself is in the books.
        order.filled_notional_minor = order
            .filled_notional_minor
            .saturating_add(fill.notional_minor);
        order.fee_minor = order.fee_minor.saturating_add(fill.fee_minor);
        order.held_minor = order.held_minor.saturating_sub(held_minor);
        order.updated_at = at;
        let bought_minor = order.buying_minor.min(qty_minor);
        order.buying_minor = order.buying_minor.saturating_sub(bought_minor);
        let base = self.market(fill.instrument).instrument.base;
        let balance = self.account_mut(fill.account).balance_mut(base);
        balance.buying_minor = balance.buying_minor.saturating_sub(bought_minor);
        balance.cost_minor = balance.cost_minor.saturating_add(cost_minor);
    }

    fn replace(&mut self, at: Micros, old: OrderId, new: OrderId, holds: (i64, i64)) {
        self.settle_pending(new);
        let old_order = self.order_mut(old);
        let traded = (
            old_order.cum_lots,
            old_order.filled_notional_minor,
            old_order.fee_minor,
        );
        let (triggered, parked) = (old_order.triggered, old_order.parked);
        self.end(old, at, Phase::Replaced { at });
        let order = self.order_mut(new);
        let (book, was_buying_minor) = (order.book, order.buying_minor);
        (order.held_minor, order.buying_minor) = holds;
        (order.phase, order.triggered, order.parked) = (Phase::Open, triggered, parked);
        order.updated_at = at;
        (order.cum_lots, order.filled_notional_minor, order.fee_minor) = traded;
        self.add_buying(&book, holds.1.saturating_sub(was_buying_minor));
    }

    fn reject_replacement(&mut self, at: Micros, old: OrderId, new: OrderId, refusal: Refusal) {
        if let Some(old) = self.orders.get_mut(&old) {
            (old.replaced_by, old.updated_at) = (None, at);
        }
        self.settle_pending(new);
        let end = End::Rejected(refusal);
        self.end(new, at, Phase::Ended { at, end });
    }

    fn add_buying(&mut self, book: &BookOrder, by_minor: i64) {
        if by_minor != 0 {
            let base = self.market(book.instrument).instrument.base;
            let balance = self.account_mut(book.account).balance_mut(base);
            balance.buying_minor = balance.buying_minor.saturating_add(by_minor);
        }
    }

    /// Ends an order: it holds and buys nothing any more, and is kept for a while.
    fn end(&mut self, id: OrderId, at: Micros, phase: Phase) {
        let order = self.order_mut(id);
        let (book, was_buying_minor) = (order.book, order.buying_minor);
        (order.held_minor, order.buying_minor) = (0, 0);
        (order.phase, order.updated_at) = (phase, at);
        let name = Name::of(&order.client_order_id);
        self.add_buying(&book, was_buying_minor.saturating_neg());
        self.ended.push_back((at, book.account, id));
        self.freed_names.push_back((at, book.account, name));
        let recent_max = self.config.recent_orders_max.max(1) as usize;
        let account = self.account_mut(book.account);
        account.open.remove(&id);
        account.recent.push_back(id);
        let oldest = (account.recent.len() > recent_max).then(|| account.recent.pop_front());
        if let Some(oldest) = oldest.flatten() {
            self.orders.remove(&oldest);
        }
    }

    /// Whether something has outlived its time.
    pub(crate) fn is_due(&self, now: Micros) -> bool {
        let ended = self.ended.front();
        let freed = self.freed_names.front();
        ended.is_some_and(|(at, ..)| at.plus_us(self.config.recent_orders_us) < now)
            || freed.is_some_and(|(at, ..)| at.plus_us(self.config.client_order_ids_us) < now)
            || self.commands.is_due(&self.config, now)
    }

    /// Forgets what has outlived its time, at most `most` of each kind.
    fn forget(&mut self, now: Micros, most: usize) {
        for _ in 0..most {
            if !self.is_due(now) {
                return;
            }
            self.forget_order(now);
            self.forget_name(now);
            self.commands.forget_due(&self.config, now);
        }
    }

    fn forget_order(&mut self, now: Micros) {
        let due_us = self.config.recent_orders_us;
        let due = |(at, ..): &mut (Micros, AccountId, OrderId)| at.plus_us(due_us) < now;
        let Some((_, account, id)) = self.ended.pop_front_if(due) else {
            return;
        };
        let recent = &mut self.account_mut(account).recent;
        // It is not the oldest when the account had too many and has dropped it already.
        if recent.front() == Some(&id) {
            recent.pop_front();
            self.orders.remove(&id);
        }
    }

    fn forget_name(&mut self, now: Micros) {
        let due_us = self.config.client_order_ids_us;
        let due = |(at, ..): &mut (Micros, AccountId, Name)| at.plus_us(due_us) < now;
        if let Some((_, account, name)) = self.freed_names.pop_front_if(due) {
            self.account_mut(account).names.remove(&name);
        }
    }
}
