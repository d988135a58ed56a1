//! Random inputs as account stages would send them, plus what they never should.

use prepx_domain::instrument::{MAX_STEPS, SessionCalendar};
use prepx_domain::message::{BookOrder, BookReplace, ToAccount, ToMatching};
use prepx_domain::{
    AccountId, Instrument, InstrumentId, Micros, OrderId, OrderKind, Side, TimeInForce, fixture,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Input, Output};

/// About so many orders live at once: enough for deep levels, few enough for the reference.
const LIVING: usize = 40;

pub(super) struct Generator {
    rng: ChaCha8Rng,
    pub(super) now: Micros,
    instruments: Vec<Instrument>,
    /// Orders that live, as their accounts know from the outputs, and some that do not any more.
    living: Vec<BookOrder>,
    /// Accepted, and not heard of yet.
    sent: Vec<BookOrder>,
    /// How far from the middle prices lie, in ticks: it decides how often orders meet.
    spread: i64,
    last_order: i64,
}

pub(super) fn instrument(symbol: &str, number: i64) -> Instrument {
    Instrument {
        // The instruments of a test share a slot, as colliding symbols would.
        id: InstrumentId::new((number << 22) | (77 << 10)).expect("not negative"),
        symbol: symbol.parse().expect("a symbol"),
        maker_fee_ppm: -100,
        taker_fee_ppm: 2_500,
        seed_reference_ticks: Some(1_000),
        ..fixture::bitcoin()
    }
}

/// An instrument that trades in [`hours`](super::run::hours).
pub(super) fn listed(symbol: &str, number: i64) -> Instrument {
    Instrument {
        calendar: SessionCalendar::Nyse,
        ..instrument(symbol, number)
    }
}

pub(super) fn account(number: i64) -> AccountId {
    AccountId::new(number << 10).expect("not negative")
}

impl Generator {
    pub(super) fn new(seed: u64) -> Generator {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let spread = [5, 20, 100, 900][rng.random_range(0..4)];
        let mut wide = instrument("WIDE/USD", 2);
        wide.collar_ppm = 1_000_000_000;
        wide.seed_reference_ticks = None;
        // The money of large trades leaves its number here.
        wide.tick_minor = 1_000_000_000_000;
        Generator {
            rng,
            now: super::run::START,
            instruments: vec![
                instrument("BTC/USD", 1),
                wide,
                listed("AAA", 4),
                listed("BBB", 5),
                instrument("NEW/USD", 3),
            ],
            living: Vec::new(),
            sent: Vec::new(),
            spread,
            last_order: 0,
        }
    }

    /// The first inputs of a run; the last instrument is never defined.
    pub(super) fn definitions(&self) -> Vec<Input> {
        let define = |at: usize| Input::Command(ToMatching::Define(self.instruments[at]));
        (0..4).map(define).collect()
    }

    pub(super) fn hear(&mut self, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::Account { message, .. } => self.hear_account(message),
                Output::Everyone(_) | Output::Market(_) => {}
            }
        }
        self.living.append(&mut self.sent);
    }

    fn hear_account(&mut self, message: &ToAccount) {
        let gone = match message {
            ToAccount::Ended { order, .. } => order,
            ToAccount::Replaced { old, .. } => old,
            ToAccount::ReplaceRejected { new, .. } => new,
            _ => return,
        };
        // Now and then a late message makes an account speak of an order that has ended.
        if self.rng.random_range(0..20) > 0 {
            self.living.retain(|order| order.order != *gone);
            self.sent.retain(|order| order.order != *gone);
        }
    }

    pub(super) fn next(&mut self) -> Input {
        let step_us = [0, 0, 1, 50, 3_000, 60_000][self.rng.random_range(0..6)];
        self.now = self.now.plus_us(step_us);
        let crowded = self.living.len() > LIVING;
        match self.rng.random_range(0..1_000) {
            0..40 => Input::Timer,
            40..42 => self.halt(),
            42..50 => Input::Command(ToMatching::Resume(self.instrument())),
            50..51 => Input::Command(ToMatching::Define(self.instruments[0])),
            51..150 => self.cancel(),
            150..400 if crowded => self.cancel(),
            400..700 => self.replace(),
            _ => self.place(),
        }
    }

    fn halt(&mut self) -> Input {
        Input::Command(ToMatching::Halt(self.instrument()))
    }

    fn instrument(&mut self) -> InstrumentId {
        let at = match self.rng.random_range(0..100) {
            0..40 => 0,
            40..60 => 1,
            60..85 => 2,
            85..99 => 3,
            _ => 4,
        };
        self.instruments[at].id
    }

    fn place(&mut self) -> Input {
        let order = self.order();
        self.sent.push(order);
        Input::Command(ToMatching::Place(order))
    }

    fn order(&mut self) -> BookOrder {
        let side = [Side::Buy, Side::Sell][self.rng.random_range(0..2)];
        let kind = self.kind(side);
        let protect = match kind {
            OrderKind::Limit { .. } => 0,
            OrderKind::StopLimit { .. } => 30,
            OrderKind::Market | OrderKind::Stop { .. } => 95,
        };
        let protect_ticks = (self.rng.random_range(0..100) < protect).then(|| self.price(side, 3));
        self.last_order += self.rng.random_range(1..3);
        let time_in_force = self.time_in_force();
        let may_extend = matches!(kind, OrderKind::Limit { .. }) && time_in_force.rests();
        let odd = self.rng.random_range(0..40) == 0;
        BookOrder {
            order: OrderId::new(self.last_order << 10).expect("not negative"),
            account: account(self.rng.random_range(1..6)),
            instrument: self.instrument(),
            side,
            kind,
            time_in_force,
            qty_lots: self.qty(),
            protect_ticks,
            post_only: self.rng.random_range(0..12) == 0,
            extended_hours: (may_extend || odd) && self.rng.random_range(0..2) == 0,
            awaits_session: self.rng.random_range(0..4) == 0,
            expires_at: self.expires_at(),
        }
    }

    /// A price around 1,000 ticks; `eager` moves it towards the other side.
    fn price(&mut self, side: Side, eager: i64) -> i64 {
        let away = self
            .rng
            .random_range(-self.spread * eager / 4..=self.spread);
        match (side, self.rng.random_range(0..500)) {
            (_, 0) => self.rng.random_range(1..=MAX_STEPS),
            (Side::Buy, _) => (1_000 - away).max(1),
            (Side::Sell, _) => 1_000 + away.max(-999),
        }
    }

    fn kind(&mut self, side: Side) -> OrderKind {
        let stop = self.price(side.opposite(), 1);
        let limit = self.price(side, 1);
        match self.rng.random_range(0..100) {
            0..70 => OrderKind::Limit { limit },
            70..80 => OrderKind::Market,
            80..90 => OrderKind::Stop { stop },
            _ => OrderKind::StopLimit { stop, limit },
        }
    }

    fn time_in_force(&mut self) -> TimeInForce {
        match self.rng.random_range(0..20) {
            0 => TimeInForce::ImmediateOrCancel,
            1..3 => TimeInForce::FillOrKill,
            3..6 => TimeInForce::Day,
            _ => TimeInForce::GoodTilCanceled,
        }
    }

    fn qty(&mut self) -> i64 {
        match self.rng.random_range(0..200) {
            0 => MAX_STEPS - self.rng.random_range(0..3),
            1..20 => self.rng.random_range(1..10_000),
            _ => self.rng.random_range(1..30),
        }
    }

    fn expires_at(&mut self) -> Option<Micros> {
        let coarse = self.now.0 / 100_000 * 100_000;
        match self.rng.random_range(0..10) {
            0 => Some(Micros(coarse + 100_000 * self.rng.random_range(0..30))),
            _ => None,
        }
    }

    fn known(&mut self) -> Option<BookOrder> {
        let count = self.living.len();
        (count > 0).then(|| self.living[self.rng.random_range(0..count)])
    }

    fn cancel(&mut self) -> Input {
        let Some(known) = self.known() else {
            return Input::Timer;
        };
        let mut account_id = known.account;
        if self.rng.random_range(0..30) == 0 {
            account_id = account(self.rng.random_range(1..6));
        }
        if self.rng.random_range(0..3) == 0 {
            self.living.retain(|order| order.order != known.order);
        }
        Input::Command(ToMatching::Cancel {
            account: account_id,
            instrument: known.instrument,
            order: known.order,
            answered: self.rng.random_range(0..8) == 0,
        })
    }

    fn replace(&mut self) -> Input {
        let Some(known) = self.known() else {
            return Input::Timer;
        };
        let mut new = BookOrder {
            awaits_session: false,
            ..known
        };
        self.last_order += 1;
        new.order = OrderId::new(self.last_order << 10).expect("not negative");
        let change = self.rng.random_range(0..100);
        if change < 60 {
            new.qty_lots = (new.qty_lots + self.rng.random_range(-8..6)).clamp(1, MAX_STEPS);
        }
        if change > 35 {
            new.kind = match new.kind {
                _ if change > 93 => self.kind(new.side),
                OrderKind::Limit { .. } => OrderKind::Limit {
                    limit: self.price(new.side, 1),
                },
                OrderKind::StopLimit { stop, .. } => OrderKind::StopLimit {
                    stop,
                    limit: self.price(new.side, 1),
                },
                _ => self.kind(new.side),
            };
        }
        if change > 90 {
            new.time_in_force = self.time_in_force();
            new.expires_at = self.expires_at();
        }
        if change == 99 {
            new.side = new.side.opposite();
        }
        self.sent.push(new);
        Input::Command(ToMatching::Replace(BookReplace {
            old: known.order,
            new,
        }))
    }
}
