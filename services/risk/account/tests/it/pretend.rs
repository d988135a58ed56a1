//! A market that does anything it may: it trades any part of any order at any price the order
//! allows, refuses and expires at will, and keeps no book. It finds the races that a real book is
//! too reasonable for.

use std::collections::BTreeMap;

use prepx_domain::message::{BookOrder, CancelReason, End, Fill, Refusal, ToAccount, ToMatching};
use prepx_domain::{
    Asset, ExecutionId, Instrument, InstrumentId, OrderId, SessionPhase, Side, TradeId,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

#[derive(Default)]
pub struct Pretend {
    instruments: BTreeMap<InstrumentId, Instrument>,
    living: BTreeMap<OrderId, Living>,
    trades: i64,
    /// What the clearing books must say when everything has arrived: nobody stood on the other side.
    pub clearing: BTreeMap<Asset, i64>,
}

#[derive(Clone, Copy)]
struct Living {
    order: BookOrder,
    cum_lots: i64,
}

impl Living {
    fn ended(&self, end: End) -> ToAccount {
        ToAccount::Ended {
            account: self.order.account,
            order: self.order.order,
            cum_lots: self.cum_lots,
            end,
        }
    }
}

impl Pretend {
    /// What the market says to a message.
    pub fn take(&mut self, message: &ToMatching, rng: &mut ChaCha8Rng) -> Vec<ToAccount> {
        match message {
            ToMatching::Define(instrument) => {
                self.instruments.insert(instrument.id, *instrument);
                vec![
                    ToAccount::Defined(*instrument),
                    ToAccount::Session {
                        instrument: instrument.id,
                        phase: SessionPhase::Regular,
                    },
                ]
            }
            ToMatching::Halt(instrument) | ToMatching::Resume(instrument) => {
                vec![ToAccount::Halted {
                    instrument: *instrument,
                    halted: matches!(message, ToMatching::Halt(_)),
                }]
            }
            ToMatching::Place(order) => self.place(*order, rng),
            ToMatching::Replace(replace) => self.replace(replace.old, replace.new, rng),
            ToMatching::Cancel {
                account,
                order,
                answered,
                ..
            } => match self.living.remove(order) {
                Some(living) => vec![living.ended(End::Canceled(CancelReason::Requested))],
                None if *answered => vec![ToAccount::Absent {
                    account: *account,
                    order: *order,
                }],
                None => Vec::new(),
            },
        }
    }

    fn place(&mut self, order: BookOrder, rng: &mut ChaCha8Rng) -> Vec<ToAccount> {
        let living = Living { order, cum_lots: 0 };
        if rng.random_bool(0.05) {
            return vec![living.ended(End::Rejected(Refusal::Halted))];
        }
        self.living.insert(order.order, living);
        Vec::new()
    }

    fn replace(&mut self, old: OrderId, new: BookOrder, rng: &mut ChaCha8Rng) -> Vec<ToAccount> {
        let account = new.account;
        let refusal = match self.living.get(&old) {
            None => Some(Refusal::NotLiving),
            Some(living) if new.qty_lots <= living.cum_lots => Some(Refusal::QuantityTraded {
                cum_lots: living.cum_lots,
            }),
            Some(_) => rng.random_bool(0.2).then_some(Refusal::PostOnlyWouldTrade),
        };
        if let Some(refusal) = refusal {
            return vec![ToAccount::ReplaceRejected {
                account,
                old,
                new: new.order,
                refusal,
            }];
        }
        let cum_lots = self.living.remove(&old).map_or(0, |living| living.cum_lots);
        self.living.insert(
            new.order,
            Living {
                order: new,
                cum_lots,
            },
        );
        vec![ToAccount::Replaced {
            account,
            old,
            new: new.order,
            cum_lots,
        }]
    }

    /// Something happens in the market.
    pub fn stir(&mut self, rng: &mut ChaCha8Rng) -> Vec<ToAccount> {
        if self.living.is_empty() {
            return Vec::new();
        }
        let at = rng.random_range(0..self.living.len());
        let id = *self.living.keys().nth(at).unwrap();
        let living = self.living[&id];
        let account = living.order.account;
        match rng.random_range(0..20) {
            0 => {
                self.living.remove(&id);
                vec![living.ended(End::Expired)]
            }
            1 => vec![ToAccount::Triggered { account, order: id }],
            3 => vec![ToAccount::Parked { account, order: id }],
            4 => vec![ToAccount::Entered { account, order: id }],
            5 => vec![ToAccount::Session {
                instrument: living.order.instrument,
                phase: [
                    SessionPhase::Closed,
                    SessionPhase::Extended,
                    SessionPhase::Regular,
                ][rng.random_range(0..3)],
            }],
            2 => vec![ToAccount::Reference {
                instrument: living.order.instrument,
                price_ticks: rng.random_range(950..1_050),
            }],
            _ => self.trade(living, rng),
        }
    }

    fn trade(&mut self, mut living: Living, rng: &mut ChaCha8Rng) -> Vec<ToAccount> {
        let order = living.order;
        let instrument = self.instruments[&order.instrument];
        let rest_lots = order.qty_lots - living.cum_lots;
        let qty_lots = rng.random_range(1..=rest_lots);
        let worst = order.kind.limit().or(order.protect_ticks).unwrap();
        // Mostly the worst price, else a better one.
        let better = match rng.random_bool(0.7) {
            true => 0,
            false => rng.random_range(0..worst / 2),
        };
        let price_ticks = match order.side {
            Side::Buy => worst - better,
            Side::Sell => worst + better,
        };
        let notional_minor = instrument.notional_minor(price_ticks, qty_lots).unwrap();
        let fee_ppm = instrument.taker_fee_ppm;
        let fee_minor = Instrument::fee_minor(notional_minor, fee_ppm).unwrap();
        let sign = match order.side {
            Side::Buy => 1,
            Side::Sell => -1,
        };
        *self.clearing.entry(instrument.quote).or_default() += sign * notional_minor;
        let qty_minor = instrument.qty_minor(qty_lots).unwrap();
        *self.clearing.entry(instrument.base).or_default() -= sign * qty_minor;
        self.trades += 1;
        living.cum_lots += qty_lots;
        let fill = ToAccount::Fill(Fill {
            execution: ExecutionId::new(self.trades).unwrap(),
            trade: TradeId::new(self.trades).unwrap(),
            account: order.account,
            order: order.order,
            instrument: order.instrument,
            side: order.side,
            price_ticks,
            qty_lots,
            notional_minor,
            fee_minor,
            cum_lots: living.cum_lots,
            maker: false,
        });
        if living.cum_lots < order.qty_lots {
            self.living.insert(order.order, living);
            return vec![fill];
        }
        self.living.remove(&order.order);
        vec![fill, living.ended(End::Filled)]
    }
}
