//! The slow, obvious book (I5): one list of orders, scanned from end to end for every question.
//!
//! Written from the rules and not from the engine, so that the two check each other. It changes its
//! state as it goes and knows no events; its outputs must equal those of the engine.

mod outputs;
mod replacing;
mod sessions;
mod trading;

use std::collections::VecDeque;

use prepx_domain::message::{BookOrder, CancelReason, End, Refusal, ToAccount, ToMatching};
use prepx_domain::update::MarketChange;
use prepx_domain::{
    ExecutionId, Hours, Instrument, InstrumentId, Micros, OrderId, SessionPhase, Side, Slot,
    TimeInForce, TradeId,
};

use crate::event::{Input, Output};
use crate::{EXPIRIES_MAX, RELEASES_MAX};

/// Where an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Book,
    Stops,
    Nowhere,
    /// Waits for extended hours.
    Early,
    /// Left the book when extended hours began.
    Kept,
    /// Waits for the regular session.
    Late,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    is: BookOrder,
    cum_lots: i64,
    triggered: bool,
    pair: Option<OrderId>,
    place: Place,
    arrival: u64,
    /// Orders that expire at the same time do so in this order.
    awaited: u64,
}

#[derive(Clone, Copy, Debug)]
struct Market {
    is: Instrument,
    halted: bool,
    phase: SessionPhase,
    phase_until: Micros,
    last: Option<i64>,
    reference: Option<i64>,
    reference_at: Micros,
    updates: u64,
}

/// The whole state, and what the current input has caused.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    markets: Vec<Market>,
    orders: Vec<Order>,
    trades: Vec<(Slot, TradeId)>,
    executions: Vec<(Slot, ExecutionId)>,
    triggered: VecDeque<Order>,
    arrivals: u64,
    hours: Hours,
    /// How many parked orders may still reach the book in this step.
    releases_left: u32,
    now: Micros,
    outputs: Vec<Output>,
}

impl Order {
    fn left(&self) -> i64 {
        self.is.qty_lots - self.cum_lots
    }

    fn worst(&self) -> Option<i64> {
        let mut prices = vec![];
        prices.extend(self.is.kind.limit());
        prices.extend(self.is.protect_ticks);
        match self.is.side {
            Side::Buy => prices.into_iter().min(),
            Side::Sell => prices.into_iter().max(),
        }
    }

    fn is_named(&self, id: OrderId) -> bool {
        self.is.order == id || self.pair == Some(id)
    }

    /// Sorts the orders of one side: the best first.
    fn priority(&self) -> (i64, u64) {
        let price = self.worst().expect("it rests");
        match self.is.side {
            Side::Buy => (-price, self.arrival),
            Side::Sell => (price, self.arrival),
        }
    }
}

impl Reference {
    /// An empty book whose instruments of the calendar `nyse` trade in these hours.
    pub fn new(hours: Hours) -> Reference {
        Reference {
            hours,
            ..Reference::default()
        }
    }

    /// Everything that an input at `now` causes, in order.
    pub fn step(&mut self, input: &Input, now: Micros) -> Vec<Output> {
        self.now = now;
        match input {
            Input::Command(ToMatching::Define(instrument)) => self.define(instrument),
            Input::Command(ToMatching::Halt(id)) => self.set_halted(*id, true),
            Input::Command(ToMatching::Resume(id)) => self.set_halted(*id, false),
            Input::Command(ToMatching::Place(order)) => self.place(order),
            Input::Command(ToMatching::Replace(replace)) => self.replace(replace),
            Input::Command(ToMatching::Cancel {
                account,
                instrument,
                order,
                answered,
            }) => self.cancel(*account, *instrument, *order, *answered),
            Input::Timer => self.timer(),
            Input::Triggered(_) | Input::Taking(_) | Input::Entering(_) => {}
        }
        while let Some(order) = self.triggered.pop_front().or_else(|| self.release()) {
            self.enter(order);
        }
        self.releases_left = 0;
        std::mem::take(&mut self.outputs)
    }

    /// Every order on an instrument's book, the best of each side first: id, side, price, what is
    /// left in lots.
    pub fn resting(&self, instrument: InstrumentId) -> Vec<(OrderId, Side, i64, i64)> {
        let mut all = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            for order in self.side(instrument, side) {
                let price = order.worst().expect("it rests");
                all.push((order.is.order, side, price, order.left()));
            }
        }
        all
    }

    fn side(&self, instrument: InstrumentId, side: Side) -> Vec<Order> {
        let mut all: Vec<Order> = self.orders.clone();
        all.retain(|order| {
            order.place == Place::Book && order.is.instrument == instrument && order.is.side == side
        });
        all.sort_by_key(Order::priority);
        all
    }

    fn market(&mut self, instrument: InstrumentId) -> &mut Market {
        let mut markets = self.markets.iter_mut();
        markets
            .find(|market| market.is.id == instrument)
            .expect("it is defined")
    }

    fn open_market(&self, instrument: InstrumentId) -> Result<Market, Refusal> {
        let mut markets = self.markets.iter();
        match markets.find(|market| market.is.id == instrument) {
            None => Err(Refusal::UnknownInstrument),
            Some(market) if market.halted => Err(Refusal::Halted),
            Some(market) => Ok(*market),
        }
    }

    fn define(&mut self, instrument: &Instrument) {
        for market in &self.markets {
            if market.is.id == instrument.id || market.is.symbol == instrument.symbol {
                return;
            }
        }
        let (phase, phase_until) = self.hours.at(instrument.calendar, self.now);
        self.markets.push(Market {
            is: *instrument,
            halted: false,
            phase,
            phase_until,
            last: None,
            reference: instrument.seed_reference_ticks,
            reference_at: Micros(0),
            updates: 0,
        });
        self.outputs
            .push(Output::Everyone(ToAccount::Defined(*instrument)));
        self.publish(instrument.id, MarketChange::Defined(Box::new(*instrument)));
        self.send_session(instrument.id, phase);
    }

    fn set_halted(&mut self, instrument: InstrumentId, halted: bool) {
        let mut markets = self.markets.iter_mut();
        let Some(market) = markets.find(|market| market.is.id == instrument) else {
            return;
        };
        if market.halted != halted {
            market.halted = halted;
            let message = ToAccount::Halted { instrument, halted };
            self.outputs.push(Output::Everyone(message));
            self.publish(instrument, MarketChange::Halted(halted));
        }
    }

    fn place(&mut self, order: &BookOrder) {
        let was_notified = order.awaits_session;
        let order = Order {
            is: BookOrder {
                awaits_session: false,
                ..*order
            },
            cum_lots: 0,
            triggered: false,
            pair: None,
            place: Place::Nowhere,
            arrival: 0,
            awaited: 0,
        };
        match self.open_market(order.is.instrument) {
            Err(refusal) => self.send_end(&order, End::Rejected(refusal)),
            Ok(_) if order.is.expires_at.is_some_and(|at| at <= self.now) => {
                self.send_end(&order, End::Expired);
            }
            Ok(market) => match self.waits(&order, &market) {
                Some(place) => self.park(order, place, was_notified),
                None => {
                    if was_notified {
                        self.send_entered(&order);
                    }
                    self.enter(order);
                }
            },
        }
    }

    /// An order arrives at its book, or waits for its stop price.
    fn enter(&mut self, mut order: Order) {
        let market = *self.market(order.is.instrument);
        if self.must_wait(&order, &market) {
            self.stand(order, Place::Stops);
            return;
        }
        if order.is.kind.stop().is_some() && !order.triggered {
            order.triggered = true;
            self.send_triggered(&order);
        }
        if let Some(refusal) = self.refusal(&order, &market) {
            self.send_end(&order, End::Rejected(refusal));
            return;
        }
        if order.is.time_in_force == TimeInForce::FillOrKill {
            let (fillable, own) = self.fillable(&order, &market);
            if fillable < order.left() {
                let reason = if own {
                    CancelReason::SelfTrade
                } else {
                    CancelReason::NotWhole
                };
                self.send_end(&order, End::Canceled(reason));
                return;
            }
        }
        self.trade(order, &market);
    }

    fn must_wait(&self, order: &Order, market: &Market) -> bool {
        let Some(stop) = order.is.kind.stop() else {
            return false;
        };
        let reached = match (order.is.side, market.last) {
            (_, None) => false,
            (Side::Buy, Some(last)) => last >= stop,
            (Side::Sell, Some(last)) => last <= stop,
        };
        !order.triggered && !reached
    }

    fn reaches(order: &Order, price: i64) -> bool {
        match (order.is.side, order.worst()) {
            (_, None) => true,
            (Side::Buy, Some(worst)) => price <= worst,
            (Side::Sell, Some(worst)) => price >= worst,
        }
    }

    fn refusal(&self, order: &Order, market: &Market) -> Option<Refusal> {
        if self.must_wait(order, market) {
            return None;
        }
        let others = self.side(order.is.instrument, order.is.side.opposite());
        let best = others.first()?.worst()?;
        if !Self::reaches(order, best) {
            return None;
        }
        if order.is.post_only {
            return Some(Refusal::PostOnlyWouldTrade);
        }
        order.is.kind.limit()?;
        let reference = market.last.or(market.is.seed_reference_ticks)?;
        let (low_ticks, high_ticks) = market.is.band_ticks(reference);
        let worst = order.worst()?;
        let outside = match order.is.side {
            Side::Buy => worst > high_ticks,
            Side::Sell => worst < low_ticks,
        };
        outside.then_some(Refusal::OutsideCollar {
            low_ticks,
            high_ticks,
        })
    }

    /// Buy stops from the lowest up, then sell stops from the highest down.
    fn trigger(&mut self, instrument: InstrumentId, low: i64, high: i64) {
        let mut reached: Vec<Order> = self.orders.clone();
        reached.retain(|order| {
            let stop = order.is.kind.stop();
            order.place == Place::Stops
                && order.is.instrument == instrument
                && stop.is_some_and(|stop| match order.is.side {
                    Side::Buy => stop <= high,
                    Side::Sell => stop >= low,
                })
        });
        reached.sort_by_key(|order| {
            let stop = order.is.kind.stop().expect("a stop");
            match order.is.side {
                Side::Buy => (0, stop, order.arrival),
                Side::Sell => (1, -stop, order.arrival),
            }
        });
        for mut order in reached {
            let at = self.position(order.is.order);
            self.orders.remove(at);
            self.send_triggered(&order);
            order.triggered = true;
            self.triggered.push_back(order);
        }
    }

    fn stand(&mut self, mut order: Order, place: Place) {
        self.arrivals += 1;
        order.place = place;
        order.arrival = self.arrivals;
        if place != Place::Kept {
            order.awaited = self.arrivals;
        }
        self.orders.push(order);
        if place == Place::Book {
            let price = order.worst().expect("it rests");
            self.publish_level(order.is.instrument, order.is.side, price);
        }
    }

    fn position(&self, id: OrderId) -> usize {
        let mut orders = self.orders.iter();
        orders
            .position(|order| order.is.order == id)
            .expect("it lives")
    }

    /// The living order whose time has been over for longest.
    fn next_to_expire(&self) -> Option<OrderId> {
        let over = |order: &&Order| order.is.expires_at.is_some_and(|at| at <= self.now);
        let due = self.orders.iter().filter(over);
        let first = due.min_by_key(|order| (order.is.expires_at, order.awaited))?;
        Some(first.is.order)
    }

    fn timer(&mut self) {
        let opens = self.next_to_enter().is_some();
        for _ in 0..EXPIRIES_MAX {
            let Some(order) = self.next_to_expire() else {
                break;
            };
            let at = self.position(order);
            self.end_standing(at, End::Expired);
        }
        if self.next_to_expire().is_some() {
            return;
        }
        for at in 0..self.markets.len() {
            let instrument = self.markets[at].is.id;
            self.send_reference(instrument, true);
        }
        self.begin_sessions();
        if opens {
            self.releases_left = RELEASES_MAX;
        }
    }
}
