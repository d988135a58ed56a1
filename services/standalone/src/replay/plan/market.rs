//! The orders that live at a point of the recording, and the commands that brought them there. What
//! they are for is the planner's affair.

use std::collections::{BTreeMap, HashMap};

use prepx_domain::Side;

use super::step::{Command, Needs, Ref, State};
use crate::replay::recording::Level;

/// An order of the plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// `None` for a filler.
    pub recorded: Option<u64>,
    pub side: Side,
    pub price: i64,
    pub left: i64,
    /// The size at the start less what was cancelled.
    total: i64,
}

/// The market as the recording tells it so far.
#[derive(Default)]
pub(super) struct Market {
    /// All that there ever were, by their references.
    pub orders: Vec<Order>,
    /// Living orders by price, in the order of their arrival.
    bids: BTreeMap<i64, Vec<Ref>>,
    asks: BTreeMap<i64, Vec<Ref>>,
    known: HashMap<u64, Ref>,
    /// What the resting account has to do since somebody took this.
    pub commands: Vec<Command>,
    /// The states of the book since somebody took this.
    pub states: Vec<State>,
    pub needs: Needs,
    held_money: i64,
    held_shares: i64,
    open: usize,
}

impl Market {
    /// The living order of a recorded id.
    pub fn known(&self, recorded: u64) -> Option<Ref> {
        self.known.get(&recorded).copied()
    }

    /// The living orders at a price, in the order of their arrival.
    pub fn queue(&self, side: Side, price: i64) -> &[Ref] {
        self.levels(side).get(&price).map_or(&[], Vec::as_slice)
    }

    /// The prices at which orders live.
    pub fn prices(&self, side: Side) -> impl Iterator<Item = i64> {
        self.levels(side).keys().copied()
    }

    /// The unknown part of a level.
    pub fn filler(&self, side: Side, price: i64) -> Option<Ref> {
        let is_filler = |order: &Ref| self.orders[*order].recorded.is_none();
        self.queue(side, price).iter().copied().find(is_filler)
    }

    /// What lives at a price, fillers included.
    pub fn size(&self, side: Side, price: i64) -> i64 {
        let queue = self.queue(side, price).iter();
        queue.map(|&order| self.orders[order].left).sum()
    }

    /// The best level.
    pub fn best(&self, side: Side) -> Option<Level> {
        let (&price, _) = match side {
            Side::Buy => self.bids.last_key_value()?,
            Side::Sell => self.asks.first_key_value()?,
        };
        let size = self.size(side, price);
        Some(Level { price, size })
    }

    pub fn place(&mut self, recorded: Option<u64>, side: Side, at: Level) {
        let order = self.orders.len();
        self.orders.push(Order {
            recorded,
            side,
            price: at.price,
            left: at.size,
            total: at.size,
        });
        let levels = self.levels_mut(side);
        levels.entry(at.price).or_default().push(order);
        if let Some(id) = recorded {
            self.known.insert(id, order);
        }
        self.open += 1;
        match side {
            Side::Buy => self.held_money += at.price * at.size,
            Side::Sell => self.held_shares += at.size,
        }
        let needs = &mut self.needs;
        needs.resting_money = needs.resting_money.max(self.held_money);
        needs.resting_shares = needs.resting_shares.max(self.held_shares);
        needs.open_orders = needs.open_orders.max(self.open);
        self.commands.push(Command::Place { order, side, at });
        self.note_state();
    }

    /// Takes `size` of an order, and with all of it the order.
    pub fn shrink(&mut self, order: Ref, size: i64) {
        let Order {
            side, price, left, ..
        } = self.orders[order];
        let gone = size.min(left);
        match side {
            Side::Buy => self.held_money -= price * gone,
            Side::Sell => self.held_shares -= gone,
        }
        self.orders[order].left -= gone;
        self.orders[order].total -= gone;
        if gone < left {
            let total = self.orders[order].total;
            self.commands.push(Command::Shrink { order, total });
        } else {
            self.commands.push(Command::Cancel { order });
            self.leave(order, side, price);
        }
        self.note_state();
    }

    /// Lets an order trade. The state is the caller's to note, when all of an aggressor has traded.
    pub fn trade(&mut self, order: Ref, size: i64) {
        let Order {
            side, price, left, ..
        } = self.orders[order];
        let left = left - size.min(left);
        self.orders[order].left = left;
        // What a buy has paid stays spent; what a sell has sold is gone.
        if left == 0 {
            self.leave(order, side, price);
        }
    }

    pub fn note_state(&mut self) {
        let state = [Side::Buy, Side::Sell].map(|side| self.best(side));
        self.states.push(state);
    }

    fn leave(&mut self, order: Ref, side: Side, price: i64) {
        if let Some(id) = self.orders[order].recorded {
            self.known.remove(&id);
        }
        self.open -= 1;
        let levels = self.levels_mut(side);
        if let Some(queue) = levels.get_mut(&price) {
            queue.retain(|&other| other != order);
            if queue.is_empty() {
                levels.remove(&price);
            }
        }
    }

    fn levels(&self, side: Side) -> &BTreeMap<i64, Vec<Ref>> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn levels_mut(&mut self, side: Side) -> &mut BTreeMap<i64, Vec<Ref>> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}
