//! What to send so that the engine lives through a recording, and what must come of it. Pure: a
//! recording in, steps out.
//!
//! The recording hides a part of the market, so the plan knows three kinds of orders:
//! - **recorded** ones, from the message that adds them to the one that ends them;
//! - **fillers**, at most one a level: what rests there by the book's row and was never added by a
//!   message (it rested before, or came while its level was outside of the recorded ones). Their
//!   place in the queue is not recorded, so a filler goes behind whatever the recording says trades
//!   first; what happens to unknown orders is taken from the filler;
//! - orders that **left unseen**: when a level leaves the view of the book, orders on it that the
//!   recording never speaks of again are cancelled; without a book, at their last message.
//!
//! The rule of the comparison is: row i−1 and message i give row i. A side of the book is derived
//! when the row followed without a filler or an order that left unseen.

use std::collections::{BTreeMap, HashMap};

use prepx_domain::Side;

use super::recording::{Kind, Level, Message, Recording, Row};

/// Index of an order of the plan.
pub type Ref = usize;

/// What the resting account does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Place a limit order that rests.
    Place {
        /// The new order.
        order: Ref,
        /// Which way.
        side: Side,
        /// Where and how much.
        at: Level,
    },
    /// Replace an order by a smaller one in its place.
    Shrink {
        /// Which.
        order: Ref,
        /// The new total, what has traded included.
        total: i64,
    },
    /// Cancel an order.
    Cancel {
        /// Which.
        order: Ref,
    },
}

/// A recorded execution of an order that the plan knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The resting order.
    pub order: Ref,
    /// Its recorded id.
    pub recorded: u64,
    /// Where and how much.
    pub at: Level,
}

/// What the aggressing account does: one immediate-or-cancel order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// Its side.
    pub side: Side,
    /// Its limit, dollars × 10,000, and its size.
    pub at: Level,
    /// What it must trade with, in this order.
    pub hits: Vec<Hit>,
}

/// What one side of the book must be after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Best {
    /// The best level; `None` when the side is empty.
    pub level: Option<Level>,
    /// Whether it follows from the row before and the message.
    pub derived: bool,
}

/// The book after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Book {
    /// Who wants to buy.
    pub bid: Best,
    /// Who wants to sell.
    pub ask: Best,
}

/// The best bid and the best ask.
pub type State = [Option<Level>; 2];

/// One message, or a run of executions that one aggressor made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The last of its messages; the first is 0.
    pub message: usize,
    /// Microseconds after midnight.
    pub at_us: i64,
    /// What the resting account does first.
    pub before: Vec<Command>,
    /// Then the aggressor.
    pub take: Option<Take>,
    /// Then the resting account again, to follow the row.
    pub after: Vec<Command>,
    /// Whether the instrument stops or goes on.
    pub halted: Option<bool>,
    /// The states that the book goes through, one for each command and aggressor.
    pub states: Vec<State>,
    /// What the recording says of the book now, unless it contradicts itself.
    pub book: Option<Book>,
}

/// How the messages were understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Limit orders added.
    pub added: u64,
    /// Partial cancels.
    pub shrunk: u64,
    /// Deletions.
    pub deleted: u64,
    /// Executions of visible orders.
    pub executed: u64,
    /// Executions of hidden orders; the book does not show them.
    pub hidden: u64,
    /// Auctions.
    pub crossed: u64,
    /// Halts and resumptions.
    pub halts: u64,
    /// Executions of orders that the recording never added: not derivable.
    pub executions_unknown: u64,
    /// Executions past an older recorded order at the same price, which hidden sizes explain: no
    /// market with price-time priority makes them.
    pub executions_against_priority: u64,
    /// Cancels and deletions of orders that the recording never added.
    pub cancels_unknown: u64,
    /// Orders whose end the recording does not show.
    pub left_unseen: u64,
    /// Rows that no market could show after what was recorded before.
    pub rows_contradicting: u64,
}

/// What the accounts need, from the plan's own sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Money of the resting account, dollars × 10,000.
    pub resting_money: i64,
    /// Its shares.
    pub resting_shares: i64,
    /// Money of the aggressing account, dollars × 10,000.
    pub taking_money: i64,
    /// Its shares.
    pub taking_shares: i64,
    /// Most orders that are open at a time.
    pub open_orders: usize,
}

/// The steps of a recording.
#[derive(Debug, Default)]
pub struct Plan {
    /// In their order.
    pub steps: Vec<Step>,
    /// What the messages were.
    pub counts: Counts,
    /// What the accounts need.
    pub needs: Needs,
    /// How many orders the resting account places.
    pub orders: usize,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    /// `None` for a filler.
    recorded: Option<u64>,
    side: Side,
    price: i64,
    left: i64,
    /// The size at the start less what was cancelled.
    total: i64,
}

/// The market as the recording tells it so far.
#[derive(Default)]
struct Planner {
    orders: Vec<Order>,
    /// Living orders by price, in the order of their arrival.
    bids: BTreeMap<i64, Vec<Ref>>,
    asks: BTreeMap<i64, Vec<Ref>>,
    known: HashMap<u64, Ref>,
    /// The last message that speaks of an order.
    last: HashMap<u64, usize>,
    /// The states of the book since the step began.
    states: Vec<State>,
    counts: Counts,
    needs: Needs,
    held_money: i64,
    held_shares: i64,
    open: usize,
}

impl Plan {
    /// Plans a recording.
    pub fn of(recording: &Recording) -> Plan {
        let mut planner = Planner::default();
        for (index, message) in recording.messages.iter().enumerate() {
            planner.last.insert(message.order, index);
        }
        let (mut steps, mut first) = (Vec::new(), 0);
        while first < recording.messages.len() {
            let run = run_from(&recording.messages, first);
            let last = first + run.len() - 1;
            let mut step = planner.step(run, last);
            match recording.rows.get(last) {
                Some(row) => step.book = planner.follow(row, last, &mut step.after),
                None => planner.forget(run, last, &mut step.after),
            }
            step.states = std::mem::take(&mut planner.states);
            steps.push(step);
            first = last + 1;
        }
        Plan {
            steps,
            counts: planner.counts,
            needs: planner.needs,
            orders: planner.orders.len(),
        }
    }
}

/// The messages of one aggressor: executions of one time and side; otherwise one message.
fn run_from(messages: &[Message], first: usize) -> &[Message] {
    let rest = &messages[first..];
    let same = |message: &&Message| {
        let head = &rest[0];
        (message.kind, message.at_us, message.side) == (Kind::Execute, head.at_us, head.side)
    };
    &rest[..rest.iter().take_while(same).count().max(1)]
}

impl Planner {
    fn step(&mut self, run: &[Message], last: usize) -> Step {
        let message = &run[0];
        let mut step = Step {
            message: last,
            at_us: message.at_us,
            before: Vec::new(),
            take: None,
            after: Vec::new(),
            halted: None,
            states: Vec::new(),
            book: None,
        };
        match message.kind {
            Kind::Add => {
                self.counts.added += 1;
                let at = Level {
                    price: message.price,
                    size: message.size,
                };
                self.place(Some(message.order), message.side, at, &mut step.before);
            }
            Kind::Shrink => {
                self.counts.shrunk += 1;
                self.cancel(message, message.size, &mut step.before);
            }
            Kind::Delete => {
                self.counts.deleted += 1;
                self.cancel(message, i64::MAX, &mut step.before);
            }
            Kind::Execute => step.take = self.execute(run, &mut step.before),
            Kind::Hidden => self.counts.hidden += 1,
            Kind::Cross => self.counts.crossed += 1,
            Kind::Halt | Kind::Quoting | Kind::Resume => {
                self.counts.halts += 1;
                step.halted = Some(message.kind != Kind::Resume);
            }
        }
        step
    }

    fn cancel(&mut self, message: &Message, size: i64, commands: &mut Vec<Command>) {
        match self.known.get(&message.order) {
            Some(&order) => self.shrink(order, size, commands),
            None => {
                self.counts.cancels_unknown += 1;
                self.take_from_filler(message, commands);
            }
        }
    }

    fn execute(&mut self, run: &[Message], commands: &mut Vec<Command>) -> Option<Take> {
        let mut hits = Vec::new();
        for message in run {
            self.counts.executed += 1;
            match self.known.get(&message.order) {
                Some(&order) => hits.push(Hit {
                    order,
                    recorded: message.order,
                    at: Level {
                        price: message.price,
                        size: message.size,
                    },
                }),
                None => {
                    self.counts.executions_unknown += 1;
                    self.take_from_filler(message, commands);
                }
            }
        }
        let (hits, impossible): (Vec<Hit>, Vec<Hit>) = hits
            .iter()
            .partition(|hit| self.is_in_priority(run[0].side, hit.at.price, &hits));
        for hit in impossible {
            self.counts.executions_against_priority += 1;
            self.shrink(hit.order, hit.at.size, commands);
        }
        for hit in &hits {
            self.put_filler_behind(hit.order, commands);
        }
        let side = run[0].side;
        let prices = hits.iter().map(|hit| hit.at.price);
        let price = match side {
            Side::Buy => prices.min()?,
            Side::Sell => prices.max()?,
        };
        let size = hits.iter().map(|hit| hit.at.size).sum();
        for hit in &hits {
            self.trade(hit);
        }
        self.note_state();
        match side {
            Side::Sell => self.needs.taking_money += price * size,
            Side::Buy => self.needs.taking_shares += size,
        }
        let at = Level { price, size };
        Some(Take {
            side: side.opposite(),
            at,
            hits,
        })
    }

    /// Whether the hits at a price are those that its recorded orders get in their order.
    fn is_in_priority(&self, side: Side, price: i64, hits: &[Hit]) -> bool {
        let here = || hits.iter().filter(|hit| hit.at.price == price);
        let of = |order: Ref| -> i64 {
            let own = here().filter(|hit| hit.order == order);
            own.map(|hit| hit.at.size).sum()
        };
        let levels = match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        };
        let mut left: i64 = here().map(|hit| hit.at.size).sum();
        for &order in levels.get(&price).into_iter().flatten() {
            if self.orders[order].recorded.is_some() {
                let gets = left.min(self.orders[order].left);
                if gets != of(order) {
                    return false;
                }
                left -= gets;
            }
        }
        left == 0
    }

    fn trade(&mut self, hit: &Hit) {
        let order = &mut self.orders[hit.order];
        let size = hit.at.size.min(order.left);
        order.left -= size;
        let (side, price, left) = (order.side, order.price, order.left);
        // What a buy has paid stays spent; what a sell has sold is gone.
        if left == 0 {
            self.leave(hit.order, side, price);
        }
    }

    fn place(&mut self, recorded: Option<u64>, side: Side, at: Level, commands: &mut Vec<Command>) {
        let order = self.orders.len();
        self.orders.push(Order {
            recorded,
            side,
            price: at.price,
            left: at.size,
            total: at.size,
        });
        self.side(side).entry(at.price).or_default().push(order);
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
        commands.push(Command::Place { order, side, at });
        self.note_state();
    }

    /// Takes `size` of an order, and with all of it the order.
    fn shrink(&mut self, order: Ref, size: i64, commands: &mut Vec<Command>) {
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
            commands.push(Command::Shrink { order, total });
        } else {
            commands.push(Command::Cancel { order });
            self.leave(order, side, price);
        }
        self.note_state();
    }

    fn note_state(&mut self) {
        let state = [Side::Buy, Side::Sell].map(|side| self.best(side));
        self.states.push(state);
    }

    fn leave(&mut self, order: Ref, side: Side, price: i64) {
        if let Some(id) = self.orders[order].recorded {
            self.known.remove(&id);
        }
        self.open -= 1;
        let levels = self.side(side);
        if let Some(queue) = levels.get_mut(&price) {
            queue.retain(|&other| other != order);
            if queue.is_empty() {
                levels.remove(&price);
            }
        }
    }

    /// What happened to an unknown order happens to the unknown part of its level.
    fn take_from_filler(&mut self, message: &Message, commands: &mut Vec<Command>) {
        if let Some(filler) = self.filler(message.side, message.price) {
            self.shrink(filler, message.size, commands);
        }
    }

    /// The unknown part of a level stands behind an order that trades now.
    fn put_filler_behind(&mut self, order: Ref, commands: &mut Vec<Command>) {
        let Order { side, price, .. } = self.orders[order];
        // References rise in the order of arrival, so the older of two is the smaller.
        if let Some(filler) = self.filler(side, price).filter(|&filler| filler < order) {
            let size = self.orders[filler].left;
            self.shrink(filler, i64::MAX, commands);
            self.place(None, side, Level { price, size }, commands);
        }
    }

    fn filler(&mut self, side: Side, price: i64) -> Option<Ref> {
        let queue = self.side(side).get(&price).cloned().unwrap_or_default();
        let is_filler = |&order: &Ref| self.orders[order].recorded.is_none();
        queue.into_iter().find(is_filler)
    }

    fn side(&mut self, side: Side) -> &mut BTreeMap<i64, Vec<Ref>> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn best(&self, side: Side) -> Option<Level> {
        let (&price, queue) = match side {
            Side::Buy => self.bids.last_key_value()?,
            Side::Sell => self.asks.first_key_value()?,
        };
        let size = queue.iter().map(|&order| self.orders[order].left).sum();
        Some(Level { price, size })
    }

    /// Brings the book to a row: what must have left goes, what must be there comes. Returns what
    /// the engine must show; nothing when what is known and the row contradict each other.
    fn follow(&mut self, row: &Row, last: usize, commands: &mut Vec<Command>) -> Option<Book> {
        let sides = [Side::Buy, Side::Sell];
        let derived = sides.map(|side| self.best(side) == row.side(side).first().copied());
        for side in sides {
            self.leave_unseen(side, row.side(side), last, commands);
        }
        for side in sides {
            for &level in row.side(side) {
                self.fill_up(side, level, commands);
            }
        }
        let levels = sides.map(|side| self.best(side));
        if sides.map(|side| row.side(side).first().copied()) != levels {
            self.counts.rows_contradicting += 1;
            return None;
        }
        let [bid, ask] = [0, 1].map(|index| Best {
            level: levels[index],
            derived: derived[index],
        });
        Some(Book { bid, ask })
    }

    /// Cancels what is not in view and never spoken of again, and what stands before the best level.
    fn leave_unseen(
        &mut self,
        side: Side,
        visible: &[Level],
        last: usize,
        commands: &mut Vec<Command>,
    ) {
        let better = |price: i64| match (side, visible.first()) {
            (_, None) => true,
            (Side::Buy, Some(best)) => price > best.price,
            (Side::Sell, Some(best)) => price < best.price,
        };
        let out_of_view = |price: &i64| visible.iter().all(|level| level.price != *price);
        let levels: Vec<i64> = self
            .side(side)
            .keys()
            .copied()
            .filter(out_of_view)
            .collect();
        for price in levels {
            for order in self.side(side).get(&price).cloned().unwrap_or_default() {
                if better(price) || self.is_over(order, last) {
                    self.end_unseen(order, commands);
                }
            }
        }
    }

    /// Whether no later message speaks of an order. So it is with fillers.
    fn is_over(&self, order: Ref, last: usize) -> bool {
        let recorded = self.orders[order].recorded;
        recorded.is_none_or(|id| self.last.get(&id).is_none_or(|&message| message <= last))
    }

    fn end_unseen(&mut self, order: Ref, commands: &mut Vec<Command>) {
        self.counts.left_unseen += u64::from(self.orders[order].recorded.is_some());
        self.shrink(order, i64::MAX, commands);
    }

    fn fill_up(&mut self, side: Side, level: Level, commands: &mut Vec<Command>) {
        let filler = self.filler(side, level.price);
        let has = filler.map_or(0, |filler| self.orders[filler].left);
        let queue = self
            .side(side)
            .get(&level.price)
            .cloned()
            .unwrap_or_default();
        let all: i64 = queue.iter().map(|&order| self.orders[order].left).sum();
        let wanted = (level.size - (all - has)).max(0);
        match filler {
            Some(filler) if wanted < has => self.shrink(filler, has - wanted, commands),
            Some(filler) if wanted > has => {
                self.shrink(filler, i64::MAX, commands);
                let at = Level {
                    size: wanted,
                    ..level
                };
                self.place(None, side, at, commands);
            }
            None if wanted > 0 => {
                let at = Level {
                    size: wanted,
                    ..level
                };
                self.place(None, side, at, commands);
            }
            _ => {}
        }
    }

    /// Without a book: an order goes with the last message that speaks of it.
    fn forget(&mut self, run: &[Message], last: usize, commands: &mut Vec<Command>) {
        for message in run {
            if let Some(&order) = self.known.get(&message.order)
                && self.is_over(order, last)
            {
                self.end_unseen(order, commands);
            }
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
