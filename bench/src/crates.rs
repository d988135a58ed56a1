//! The Rust peers: matchcore and orderbook-rs, each through the calls that its documentation shows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use matchcore::{
    AmendCmd, AmendPatch, CancelCmd, Command, CommandKind, CommandMeta, CommandOutcome,
    CommandReport, LimitOrder, LimitOrderPatch, NewOrder, OrderFlags, QuantityPolicy,
    SequenceNumber, SubmitCmd,
};
use prepx_domain::Side;
use pricelevel::{Id, OrderUpdate};

use crate::stream::{Kind, Op, Stream};
use crate::{Peer, Totals};

/// matchcore 0.4. It names an order by the sequence number of the command that placed it.
///
/// Version 0.4.0 matches an order that crosses without regard to its limit (`submit_crossable_order`
/// and `amend_limit_order` pass no limit price on). So an operation that trades is sent here as an
/// order for what it trades and another for what then rests, a move that trades as a cancel before
/// them; every other operation, more than nine in ten, is one command.
pub struct Matchcore(Box<matchcore::OrderBook>);

/// One operation.
pub struct Commands([Option<Command>; 3]);

/// The account stage's part: sequence numbers, and which of them names an order.
#[derive(Default)]
struct Sequence {
    next: u64,
    ids: HashMap<u64, matchcore::OrderId>,
}

impl Default for Matchcore {
    fn default() -> Matchcore {
        Matchcore(Box::new(matchcore::OrderBook::new("BTC/USD")))
    }
}

impl Sequence {
    fn commands(&mut self, op: &Op) -> Commands {
        let taken = |sequence: &mut Sequence| Some(sequence.submit(op, op.traded));
        let rest = op.left - op.traded;
        match op.kind {
            Kind::Cancel => Commands([Some(self.cancel(op)), None, None]),
            Kind::Move if op.traded == 0 => {
                let price = matchcore::Price(op.price as u64);
                let amend = AmendCmd {
                    order_id: self.ids[&op.order],
                    patch: AmendPatch::Limit(LimitOrderPatch::new().with_price(price)),
                };
                Commands([Some(self.command(CommandKind::Amend(amend))), None, None])
            }
            Kind::Move => {
                let cancel = Some(self.cancel(op));
                let taken = taken(self);
                Commands([cancel, taken, (rest > 0).then(|| self.submit(op, rest))])
            }
            Kind::Gtc | Kind::Ioc if op.traded == 0 => {
                Commands([Some(self.submit(op, rest)), None, None])
            }
            Kind::Gtc => {
                let taken = taken(self);
                let rest = (rest > 0).then(|| self.submit(op, rest));
                Commands([taken, rest, None])
            }
            Kind::Ioc => Commands([taken(self), None, None]),
        }
    }

    fn submit(&mut self, op: &Op, quantity: i64) -> Command {
        self.ids.insert(op.order, matchcore::OrderId(self.next));
        let side = match op.side {
            Side::Buy => matchcore::Side::Buy,
            Side::Sell => matchcore::Side::Sell,
        };
        let time_in_force = match op.kind {
            Kind::Ioc => matchcore::TimeInForce::Ioc,
            _ => matchcore::TimeInForce::Gtc,
        };
        let order = LimitOrder::new(
            matchcore::Price(op.price as u64),
            QuantityPolicy::Standard {
                quantity: matchcore::Quantity(quantity as u64),
            },
            OrderFlags::new(side, false, time_in_force),
        );
        self.command(CommandKind::Submit(SubmitCmd {
            order: NewOrder::Limit(order),
        }))
    }

    fn cancel(&mut self, op: &Op) -> Command {
        self.command(CommandKind::Cancel(CancelCmd {
            order_id: self.ids[&op.order],
            order_kind: matchcore::OrderKind::Limit,
        }))
    }

    fn command(&mut self, kind: CommandKind) -> Command {
        let number = self.next;
        self.next += 1;
        Command {
            meta: CommandMeta {
                sequence_number: SequenceNumber(number),
                timestamp: matchcore::Timestamp(number),
            },
            kind,
        }
    }
}

impl Peer for Matchcore {
    type Command = Commands;

    fn commands(stream: &Stream) -> (Vec<Commands>, Vec<Commands>) {
        let mut sequence = Sequence::default();
        let fill = stream.fill.iter().map(|op| sequence.commands(op)).collect();
        let run = stream.run.iter().map(|op| sequence.commands(op)).collect();
        (fill, run)
    }

    #[inline]
    fn execute(&mut self, parcel: &[Commands], at: usize) {
        let Commands(commands) = &parcel[at];
        for command in commands.iter().map_while(Option::as_ref) {
            std::hint::black_box(self.0.execute(command));
        }
    }

    fn totals(&mut self, commands: &[Commands]) -> Totals {
        let mut totals = Totals::default();
        let each = commands.iter().flat_map(|Commands(commands)| commands);
        for command in each.flatten() {
            let effects = match self.0.execute(command) {
                CommandOutcome::Applied(CommandReport::Submit(effects)) => effects,
                CommandOutcome::Applied(CommandReport::Amend(effects)) => effects,
                CommandOutcome::Applied(CommandReport::Cancel) => continue,
                CommandOutcome::Rejected(failure) => panic!("{failure} for {command:?}"),
            };
            for trade in effects
                .target_order()
                .match_result()
                .map_or(&[][..], |result| result.trades())
            {
                totals.trades += 1;
                totals.volume += trade.quantity().0 as i64;
            }
        }
        totals
    }
}

/// orderbook-rs 0.15.
pub struct OrderbookRs {
    book: orderbook_rs::OrderBook<()>,
    trades: Arc<AtomicI64>,
    volume: Arc<AtomicI64>,
}

impl Default for OrderbookRs {
    fn default() -> OrderbookRs {
        OrderbookRs {
            book: orderbook_rs::OrderBook::new("BTC/USD"),
            trades: Arc::default(),
            volume: Arc::default(),
        }
    }
}

impl OrderbookRs {
    fn listen(&mut self) {
        let (trades, volume) = (self.trades.clone(), self.volume.clone());
        self.book.set_trade_listener(Arc::new(move |result| {
            for trade in result.match_result.trades().as_vec() {
                trades.fetch_add(1, Ordering::Relaxed);
                volume.fetch_add(trade.quantity().as_u64() as i64, Ordering::Relaxed);
            }
        }));
    }
}

impl Peer for OrderbookRs {
    type Command = Op;

    fn commands(stream: &Stream) -> (Vec<Op>, Vec<Op>) {
        (stream.fill.clone(), stream.run.clone())
    }

    #[inline]
    fn execute(&mut self, parcel: &[Op], at: usize) {
        let op = &parcel[at];
        let id = Id::from_u64(op.order);
        match op.kind {
            Kind::Gtc | Kind::Ioc => {
                let side = match op.side {
                    Side::Buy => pricelevel::Side::Buy,
                    Side::Sell => pricelevel::Side::Sell,
                };
                let time_in_force = match op.kind {
                    Kind::Ioc => pricelevel::TimeInForce::Ioc,
                    _ => pricelevel::TimeInForce::Gtc,
                };
                let price = op.price as u128;
                let size = op.size as u64;
                let placed = self
                    .book
                    .add_limit_order(id, price, size, side, time_in_force, None);
                // The rest of an immediate order comes back as an error.
                let _ = std::hint::black_box(placed);
            }
            Kind::Cancel => {
                let cancelled = self.book.cancel_order(id);
                let _ = std::hint::black_box(cancelled);
            }
            Kind::Move => {
                let moved = self.book.update_order(OrderUpdate::UpdatePrice {
                    order_id: id,
                    new_price: pricelevel::Price::new(op.price as u128),
                });
                let _ = std::hint::black_box(moved);
            }
        }
    }

    fn totals(&mut self, commands: &[Op]) -> Totals {
        self.listen();
        for at in 0..commands.len() {
            self.execute(commands, at);
        }
        Totals {
            trades: self.trades.load(Ordering::Relaxed),
            volume: self.volume.load(Ordering::Relaxed),
        }
    }
}
