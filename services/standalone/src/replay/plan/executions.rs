//! What the aggressing account sends for a run of executions, and who stands where when it comes.

use prepx_domain::Side;

use super::Planner;
use super::market::Order;
use super::step::{Hit, Ref, Take};
use crate::replay::recording::{Level, Message};

impl Planner {
    pub(super) fn execute(&mut self, run: &[Message]) -> Option<Take> {
        let side = run[0].side;
        let hits = self.hits(run);
        let (hits, impossible): (Vec<Hit>, Vec<Hit>) = hits
            .iter()
            .partition(|hit| self.is_in_priority(side, hit.at.price, &hits));
        for hit in impossible {
            self.counts.executions_against_priority += 1;
            self.market.shrink(hit.order, hit.at.size);
        }
        for hit in &hits {
            self.put_filler_behind(hit.order);
        }
        let at = worst(side, &hits)?;
        for hit in &hits {
            self.market.trade(hit.order, hit.at.size);
        }
        self.market.note_state();
        match side {
            Side::Sell => self.market.needs.taking_money += at.price * at.size,
            Side::Buy => self.market.needs.taking_shares += at.size,
        }
        Some(Take {
            side: side.opposite(),
            at,
            hits,
        })
    }

    /// The executions of known orders; what is unknown is taken from the fillers.
    fn hits(&mut self, run: &[Message]) -> Vec<Hit> {
        let mut hits = Vec::new();
        for message in run {
            self.counts.executed += 1;
            let Message { price, size, .. } = *message;
            match self.market.known(message.order) {
                Some(order) => hits.push(Hit {
                    order,
                    recorded: message.order,
                    at: Level { price, size },
                }),
                None => {
                    self.counts.executions_unknown += 1;
                    self.take_from_filler(message);
                }
            }
        }
        hits
    }

    /// Whether the hits at a price are those that its recorded orders get in their order.
    fn is_in_priority(&self, side: Side, price: i64, hits: &[Hit]) -> bool {
        let here = || hits.iter().filter(|hit| hit.at.price == price);
        let of = |order: Ref| -> i64 {
            let own = here().filter(|hit| hit.order == order);
            own.map(|hit| hit.at.size).sum()
        };
        let mut left: i64 = here().map(|hit| hit.at.size).sum();
        for &order in self.market.queue(side, price) {
            if self.market.orders[order].recorded.is_some() {
                let gets = left.min(self.market.orders[order].left);
                if gets != of(order) {
                    return false;
                }
                left -= gets;
            }
        }
        left == 0
    }

    /// The unknown part of a level stands behind an order that trades now.
    fn put_filler_behind(&mut self, order: Ref) {
        let Order { side, price, .. } = self.market.orders[order];
        let filler = self.market.filler(side, price);
        // References rise in the order of arrival, so the older of two is the smaller.
        if let Some(filler) = filler.filter(|&filler| filler < order) {
            let size = self.market.orders[filler].left;
            self.market.shrink(filler, i64::MAX);
            self.market.place(None, side, Level { price, size });
        }
    }
}

/// How far an aggressor must go to hit all these, and their sum; `None` without any.
fn worst(side: Side, hits: &[Hit]) -> Option<Level> {
    let prices = hits.iter().map(|hit| hit.at.price);
    let price = match side {
        Side::Buy => prices.min()?,
        Side::Sell => prices.max()?,
    };
    let size = hits.iter().map(|hit| hit.at.size).sum();
    Some(Level { price, size })
}
