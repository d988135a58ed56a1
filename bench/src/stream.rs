//! The stream of operations that all peers get: exchange-core's own mix.
//!
//! The rules are those of exchange-core's `TestOrdersGenerator` at the time of its published mix
//! (9 % GTC, 3 % IOC, 6 % cancel, 82 % move); README.md beside this crate states them and the two
//! differences. Fills are taken from our engine while generating: every peer trades by price and
//! time, so every peer sees the same book.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use prepx_domain::Side;
use prepx_domain::message::ToAccount;
use prepx_matching::{Engine, Output};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::ours;

/// How often the generator looks at the size of the book.
const CHECK_EVERY: usize = 512;
/// Buyers have even numbers and sellers odd ones, so nobody trades with himself: exchange-core has
/// no self-trade prevention.
pub const USERS: u32 = 2_000;
const RECORD_BYTES: usize = 48;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Gtc,
    Ioc,
    Cancel,
    Move,
}

/// One operation. Orders are named by the index of the operation that placed them.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    pub kind: Kind,
    pub side: Side,
    pub user: u32,
    pub order: u64,
    /// Price of a new order, new price of a move.
    pub price: i64,
    /// Size of the order when it was placed.
    pub size: i64,
    /// What is left of it before this operation.
    pub left: i64,
    /// What this operation trades.
    pub traded: i64,
}

/// The operations that fill the book, and those that are measured.
pub struct Stream {
    pub fill: Vec<Op>,
    pub run: Vec<Op>,
    pub min_price: i64,
    pub max_price: i64,
}

struct Generator {
    rng: ChaCha8Rng,
    engine: Engine,
    /// The id that our engine knows an order by: each move gives it a new one.
    own_ids: ours::Ids,
    living: Vec<Op>,
    at: HashMap<u64, usize>,
    half: usize,
    deviation: i64,
    min_price: i64,
    max_price: i64,
    last_trade: i64,
    /// Orders on each side when last looked at.
    counted: [usize; 2],
    count: [usize; 2],
}

fn slot_of(side: Side) -> usize {
    match side {
        Side::Buy => 0,
        Side::Sell => 1,
    }
}

/// About `orders` live orders, then `count` operations to measure.
pub fn generate(seed: u64, orders: usize, count: usize) -> Stream {
    let mut generator = Generator::new(seed, orders);
    let (mut fill, mut run) = (Vec::new(), Vec::new());
    let mut filled = false;
    let mut number = 0;
    while run.len() < count {
        if (number as usize).is_multiple_of(CHECK_EVERY.min(orders + 1)) {
            generator.counted = generator.count;
        }
        let Some(mut op) = generator.next(number, &mut filled) else {
            continue;
        };
        number += 1;
        op.traded = generator.play(&op);
        if filled {
            run.push(op);
        } else {
            fill.push(op);
        }
    }
    Stream {
        fill,
        run,
        min_price: generator.min_price,
        max_price: generator.max_price,
    }
}

impl Generator {
    fn new(seed: u64, orders: usize) -> Generator {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let exponent = 3.3 + rng.random::<f64>() * 1.5 + rng.random::<f64>() * 1.5;
        let price = 10f64.powf(exponent) as i64;
        let deviation = (price / 20).min(10_000);
        Generator {
            rng,
            engine: ours::engine(),
            own_ids: ours::Ids::default(),
            living: Vec::new(),
            at: HashMap::new(),
            half: orders / 2,
            deviation,
            min_price: price - deviation * 5,
            max_price: price + deviation * 5,
            last_trade: price,
            counted: [0; 2],
            count: [0; 2],
        }
    }

    fn next(&mut self, number: u64, filled: &mut bool) -> Option<Op> {
        let side = [Side::Sell, Side::Buy][self.rng.random_range(0..2)];
        let lack = self.half as i64 - self.counted[slot_of(side)] as i64;
        let grow = lack > 0;
        let fast = !*filled || lack > CHECK_EVERY.min(self.half * 3 / 4) as i64;
        if !*filled && !grow {
            *filled = true;
        }
        let of = match (grow, fast) {
            (true, true) => 2,
            (true, false) => 10,
            (false, _) => 40,
        };
        match self.rng.random_range(0..of) {
            0..2 if grow => Some(self.gtc(number, side)),
            0..2 => Some(self.ioc(number, side)),
            2 => {
                let mut op = self.pick()?;
                op.kind = Kind::Cancel;
                Some(op)
            }
            _ => self.shift(),
        }
    }

    fn user(&mut self, side: Side) -> u32 {
        self.rng.random_range(0..USERS / 2) * 2 + slot_of(side) as u32
    }

    fn size(&mut self) -> i64 {
        let mut draw = || self.rng.random_range(0..6i64);
        1 + draw() * draw() * draw()
    }

    fn gtc(&mut self, number: u64, side: Side) -> Op {
        let size = self.size();
        let dev = 1 + (self.rng.random::<f64>().powi(2) * self.deviation as f64) as i64;
        let sum: i64 = (0..4).map(|_| self.rng.random_range(0..dev)).sum();
        let away = (sum / 4 * 2 - dev).abs();
        let price = match side {
            Side::Buy => self.last_trade - away,
            Side::Sell => self.last_trade + away,
        };
        Op {
            kind: Kind::Gtc,
            side,
            user: self.user(side),
            order: number,
            price,
            size,
            left: size,
            traded: 0,
        }
    }

    fn ioc(&mut self, number: u64, side: Side) -> Op {
        let size = self.size();
        Op {
            kind: Kind::Ioc,
            side,
            user: self.user(side),
            order: number,
            price: match side {
                Side::Buy => self.max_price,
                Side::Sell => self.min_price,
            },
            size,
            left: size,
            traded: 0,
        }
    }

    fn pick(&mut self) -> Option<Op> {
        let count = self.living.len();
        (count > 0).then(|| self.living[self.rng.random_range(0..count)])
    }

    /// Moves an order a hundredth of the way to the last trade, one tick at least.
    fn shift(&mut self) -> Option<Op> {
        let mut op = self.pick()?;
        let away = self.last_trade - op.price;
        let step = match away.signum() {
            0 => self.rng.random_range(0..2) * 2 - 1,
            sign => sign * ((away.abs() + 99) / 100),
        };
        op.kind = Kind::Move;
        op.price += step;
        Some(op)
    }

    /// Lets our engine say what trades, and how much the operation does.
    fn play(&mut self, op: &Op) -> i64 {
        match op.kind {
            Kind::Gtc => self.join(*op),
            Kind::Move => {
                let at = self.at[&op.order];
                self.living[at].price = op.price;
            }
            Kind::Ioc => {}
            Kind::Cancel => self.leave(op.order),
        }
        let input = self.own_ids.input(op);
        let (mut events, mut outputs) = (Vec::new(), Vec::new());
        ours::step(
            &mut self.engine,
            &input,
            ours::now(0),
            &mut events,
            Some(&mut outputs),
        );
        let mut traded = 0;
        for output in outputs {
            let Output::Account { message, .. } = output else {
                continue;
            };
            match message {
                ToAccount::Fill(fill) => {
                    traded += if fill.maker { 0 } else { fill.qty_lots };
                    self.last_trade = fill.price_ticks.clamp(self.min_price, self.max_price);
                    let order = self.own_ids.original(fill.order);
                    if let Some(&at) = self.at.get(&order) {
                        self.living[at].left -= fill.qty_lots;
                    }
                }
                ToAccount::Ended { order, .. } => {
                    let order = self.own_ids.original(order);
                    if self.at.contains_key(&order) {
                        self.leave(order);
                    }
                }
                ToAccount::ReplaceRejected { .. } => panic!("a move was refused: {op:?}"),
                _ => {}
            }
        }
        traded
    }

    fn join(&mut self, op: Op) {
        self.at.insert(op.order, self.living.len());
        self.living.push(op);
        self.count[slot_of(op.side)] += 1;
    }

    fn leave(&mut self, order: u64) {
        let at = self.at.remove(&order).expect("it lives");
        let gone = self.living.swap_remove(at);
        if let Some(moved) = self.living.get(at) {
            self.at.insert(moved.order, at);
        }
        self.count[slot_of(gone.side)] -= 1;
    }
}

impl Stream {
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        let head = [
            self.fill.len() as i64,
            self.run.len() as i64,
            self.min_price,
            self.max_price,
        ];
        for number in head {
            to.write_all(&number.to_le_bytes())?;
        }
        for op in self.fill.iter().chain(&self.run) {
            let flags = [op.kind as u8, slot_of(op.side) as u8, 0, 0];
            to.write_all(&flags)?;
            to.write_all(&op.user.to_le_bytes())?;
            to.write_all(&op.order.to_le_bytes())?;
            to.write_all(&op.price.to_le_bytes())?;
            to.write_all(&op.size.to_le_bytes())?;
            to.write_all(&op.left.to_le_bytes())?;
            to.write_all(&op.traded.to_le_bytes())?;
        }
        Ok(())
    }

    pub fn read(mut from: impl Read) -> io::Result<Stream> {
        let mut head = [[0; 8]; 4];
        for number in &mut head {
            from.read_exact(number)?;
        }
        let [fill, run, min_price, max_price] = head.map(i64::from_le_bytes);
        let mut ops = |count: i64| (0..count).map(|_| read_op(&mut from)).collect();
        Ok(Stream {
            fill: ops(fill),
            run: ops(run),
            min_price,
            max_price,
        })
    }
}

fn read_op(from: &mut impl Read) -> Op {
    let mut record = [0; RECORD_BYTES];
    from.read_exact(&mut record).expect("the file is whole");
    let long = |at: usize| i64::from_le_bytes(record[at..at + 8].try_into().expect("8 bytes"));
    Op {
        kind: [Kind::Gtc, Kind::Ioc, Kind::Cancel, Kind::Move][record[0] as usize],
        side: [Side::Buy, Side::Sell][record[1] as usize],
        user: (long(0) >> 32) as u32,
        order: long(8) as u64,
        price: long(16),
        size: long(24),
        left: long(32),
        traded: long(40),
    }
}
