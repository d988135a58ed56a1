//! Sessions in the slow, obvious book.

use prepx_domain::message::{End, Refusal, ToAccount};
use prepx_domain::{InstrumentId, SessionPhase, Side};

use super::{Market, Order, Place, Reference};
use crate::LEVELS_MAX;

impl Reference {
    /// What the clock says, whatever the last timer saw.
    fn phase_now(&self, market: &Market) -> SessionPhase {
        match self.now < market.phase_until {
            true => market.phase,
            false => self.hours.at(market.is.calendar, self.now).0,
        }
    }

    /// Where an order that arrives now waits, if it does.
    pub(super) fn waits(&self, order: &Order, market: &Market) -> Option<Place> {
        let phase = self.phase_now(market);
        let extended = order.is.extended_hours;
        let others = self.next_of(market).is_some();
        if phase.admits(extended) && self.now < market.phase_until && !others {
            None
        } else if extended && phase != SessionPhase::Regular {
            Some(Place::Early)
        } else {
            Some(Place::Late)
        }
    }

    pub(super) fn park(&mut self, order: Order, place: Place, was_notified: bool) {
        let market = *self.market(order.is.instrument);
        let closed = !self.phase_now(&market).admits(order.is.extended_hours);
        if closed && !order.is.time_in_force.rests() {
            self.send_end(&order, End::Rejected(Refusal::SessionClosed));
            return;
        }
        self.stand(order, place);
        if closed && !was_notified {
            let (account, order) = (order.is.account, order.is.order);
            self.send(account, ToAccount::Parked { account, order });
        }
    }

    /// The parked order of a market that may reach its book next.
    fn next_of(&self, market: &Market) -> Option<&Order> {
        let admitted: &[Place] = match market.phase {
            _ if market.halted => &[],
            SessionPhase::Closed => &[],
            SessionPhase::Extended => &[Place::Early],
            SessionPhase::Regular => &[Place::Early, Place::Kept, Place::Late],
        };
        let orders = self
            .orders
            .iter()
            .filter(|order| order.is.instrument == market.is.id && admitted.contains(&order.place));
        orders.min_by_key(|order| (order.place, order.arrival))
    }

    /// The parked order of any market that may reach its book next.
    pub(super) fn next_to_enter(&self) -> Option<&Order> {
        self.markets.iter().find_map(|market| self.next_of(market))
    }

    /// Takes the next parked order out, if this step still lets one in.
    pub(super) fn release(&mut self) -> Option<Order> {
        if self.releases_left == 0 {
            return None;
        }
        let order = *self.next_to_enter()?;
        self.releases_left -= 1;
        let at = self.position(order.is.order);
        self.orders.remove(at);
        self.send_entered(&order);
        Some(order)
    }

    /// Begins the phases that are due.
    pub(super) fn begin_sessions(&mut self) {
        let mut levels_left = LEVELS_MAX;
        for at in 0..self.markets.len() {
            let market = self.markets[at];
            if self.now < market.phase_until {
                continue;
            }
            let (phase, until) = self.hours.at(market.is.calendar, self.now);
            if phase == SessionPhase::Extended && !self.clear(market.is.id, &mut levels_left) {
                continue;
            }
            self.markets[at].phase = phase;
            self.markets[at].phase_until = until;
            self.send_session(market.is.id, phase);
        }
    }

    /// Parks what does not trade in extended hours, level by level; says whether all is done.
    fn clear(&mut self, instrument: InstrumentId, levels_left: &mut usize) -> bool {
        for side in [Side::Buy, Side::Sell] {
            loop {
                let mut on_book = self.side(instrument, side).into_iter();
                let Some(first) = on_book.find(|order| !order.is.extended_hours) else {
                    break;
                };
                if *levels_left == 0 {
                    return false;
                }
                *levels_left -= 1;
                let price = first.worst().expect("it rests");
                for order in self.side(instrument, side) {
                    if order.worst() == Some(price) && !order.is.extended_hours {
                        let at = self.position(order.is.order);
                        self.orders.remove(at);
                        self.stand(order, Place::Kept);
                    }
                }
                self.publish_level(instrument, side, price);
            }
        }
        true
    }

    /// The parked orders of an instrument, in the order in which they reach the book.
    pub fn parked(&self, instrument: InstrumentId) -> Vec<prepx_domain::OrderId> {
        let waits = |place| matches!(place, Place::Early | Place::Kept | Place::Late);
        let mut parked: Vec<_> = self
            .orders
            .iter()
            .filter(|order| order.is.instrument == instrument && waits(order.place))
            .collect();
        parked.sort_by_key(|order| (order.place, order.arrival));
        parked.iter().map(|order| order.is.order).collect()
    }
}
