//! Our engine: how the stream's operations become its inputs.

use std::collections::HashMap;

use prepx_domain::message::{BookOrder, BookReplace, ToMatching};
use prepx_domain::update::{MarketChange, MarketUpdate};
use prepx_domain::{
    AccountId, Instrument, InstrumentId, Machine, Micros, OrderId, OrderKind, Slot, TimeInForce,
    fixture,
};
use prepx_matching::{Engine, Event, Input, Output};

use crate::stream::{Kind, Op, Stream};
use crate::{Peer, Totals};

const START_US: i64 = 1_800_000_000_000_000;

/// The moment of an operation: a microsecond after the one before.
pub fn now(number: usize) -> Micros {
    Micros(START_US + number as i64)
}

fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId::next(Slot::of_symbol("BTC/USD"), now(0), None),
        // Wide enough for the immediate orders at the ends of the price range.
        collar_ppm: 1_000_000,
        maker_fee_ppm: 100,
        taker_fee_ppm: 200,
        ..fixture::bitcoin()
    }
}

/// An engine that trades one instrument.
pub fn engine() -> Engine {
    let mut engine = Engine::default();
    let mut events = Vec::new();
    let define = Input::Command(ToMatching::Define(instrument()));
    step(&mut engine, &define, now(0), &mut events, None);
    engine
}

/// Decides and applies one input with everything that follows, as a stage does.
#[inline]
pub fn step(
    engine: &mut Engine,
    input: &Input,
    now: Micros,
    events: &mut Vec<Event>,
    mut outputs: Option<&mut Vec<Output>>,
) {
    events.clear();
    engine.decide(input, now, events);
    fold(engine, now, events, &mut outputs);
    while let Some(next) = engine.follow_up() {
        events.clear();
        engine.decide(&next, now, events);
        fold(engine, now, events, &mut outputs);
    }
}

#[inline]
fn fold(
    engine: &mut Engine,
    now: Micros,
    events: &[Event],
    outputs: &mut Option<&mut Vec<Output>>,
) {
    for event in events {
        engine.apply(event);
        if let Some(outputs) = outputs {
            engine.outputs(event, now, outputs);
        }
    }
}

/// The account stage's part: it gives every order and every replacement an id of its own.
#[derive(Default)]
pub struct Ids {
    next: i64,
    own: HashMap<u64, OrderId>,
    original: HashMap<OrderId, u64>,
}

impl Ids {
    pub fn input(&mut self, op: &Op) -> Input {
        let account = AccountId::new((i64::from(op.user) << 22) | (i64::from(op.user) << 10));
        let account = account.expect("not negative");
        let instrument = instrument().id;
        let command = match op.kind {
            Kind::Gtc | Kind::Ioc => ToMatching::Place(self.order(op, account)),
            Kind::Move => ToMatching::Replace(BookReplace {
                old: self.own[&op.order],
                new: self.order(op, account),
            }),
            Kind::Cancel => ToMatching::Cancel {
                account,
                instrument,
                order: self.own[&op.order],
                answered: false,
            },
        };
        Input::Command(command)
    }

    /// The stream's number of the order that our engine knows by this id.
    pub fn original(&self, order: OrderId) -> u64 {
        self.original[&order]
    }

    fn order(&mut self, op: &Op, account: AccountId) -> BookOrder {
        // As an account stage allots them: the milliseconds, the account's slot, a counter.
        self.next += 1;
        let bits = (self.next >> 10 << 22) | (i64::from(op.user) << 10) | (self.next & 1_023);
        let order = OrderId::new(bits).expect("not negative");
        if let Some(before) = self.own.insert(op.order, order) {
            self.original.remove(&before);
        }
        self.original.insert(order, op.order);
        BookOrder {
            order,
            account,
            instrument: instrument().id,
            side: op.side,
            kind: OrderKind::Limit { limit: op.price },
            time_in_force: match op.kind {
                Kind::Ioc => TimeInForce::ImmediateOrCancel,
                _ => TimeInForce::GoodTilCanceled,
            },
            qty_lots: op.size,
            protect_ticks: None,
            post_only: false,
            extended_hours: false,
            awaits_session: false,
            expires_at: None,
        }
    }
}

/// Our engine as a peer, with or without telling others.
pub struct Ours {
    engine: Engine,
    events: Vec<Event>,
    outputs: Vec<Output>,
    tells: bool,
    prefetches: bool,
    number: usize,
}

impl Ours {
    pub fn new(tells: bool) -> Ours {
        Ours {
            engine: engine(),
            events: Vec::with_capacity(1_024),
            outputs: Vec::with_capacity(8_192),
            tells,
            prefetches: true,
            number: 0,
        }
    }

    /// An engine whose inputs come one at a time: there is nothing to prefetch.
    pub fn singly() -> Ours {
        Ours {
            prefetches: false,
            ..Ours::new(false)
        }
    }
}

impl Peer for Ours {
    type Command = Input;

    fn commands(stream: &Stream) -> (Vec<Input>, Vec<Input>) {
        let mut ids = Ids::default();
        let fill = stream.fill.iter().map(|op| ids.input(op)).collect();
        let run = stream.run.iter().map(|op| ids.input(op)).collect();
        (fill, run)
    }

    #[inline]
    fn execute(&mut self, parcel: &[Input], at: usize) {
        let input = &parcel[at];
        self.number += 1;
        let now = now(self.number);
        self.outputs.clear();
        if self.prefetches {
            self.engine.prefetch(parcel, at);
        }
        let outputs = self.tells.then_some(&mut self.outputs);
        step(&mut self.engine, input, now, &mut self.events, outputs);
    }

    fn totals(&mut self, commands: &[Input]) -> Totals {
        let mut totals = Totals::default();
        self.tells = true;
        for at in 0..commands.len() {
            self.execute(commands, at);
            for output in &self.outputs {
                if let Output::Market(MarketUpdate {
                    change: MarketChange::Trade { qty_lots, .. },
                    ..
                }) = output
                {
                    totals.trades += 1;
                    totals.volume += qty_lots;
                }
            }
        }
        totals
    }
}
