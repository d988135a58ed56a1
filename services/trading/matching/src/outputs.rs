//! The outputs of an event, derived from the event and the state after it.

use prepx_domain::message::{BookOrder, End, Fill, ToAccount};
use prepx_domain::update::{MarketChange, MarketUpdate};
use prepx_domain::{AccountId, Instrument, InstrumentId, Micros, Side};

use crate::Engine;
use crate::arrive::worst_ticks;
use crate::book::{Book, book_key};
use crate::event::{Event, LiveOrder, Output, Party, Standing, Trade};
use crate::orders::Place;

impl Engine {
    pub(crate) fn emit(&self, event: &Event, now: Micros, outputs: &mut Vec<Output>) {
        let mut emitter = Emitter {
            engine: self,
            now,
            outputs,
        };
        emitter.emit(event);
    }
}

struct Emitter<'a> {
    engine: &'a Engine,
    now: Micros,
    outputs: &'a mut Vec<Output>,
}

impl<'a> Emitter<'a> {
    fn emit(&mut self, event: &Event) {
        match *event {
            Event::Defined(ref instrument) => self.defined(instrument),
            Event::Halted { instrument, halted } => {
                self.everyone(ToAccount::Halted { instrument, halted });
                self.market(self.book(instrument), 0, MarketChange::Halted(halted));
            }
            Event::Reference {
                instrument,
                price_ticks,
                ..
            } => self.everyone(ToAccount::Reference {
                instrument,
                price_ticks,
            }),
            Event::Rested(ref live) => self.rested(live),
            Event::SessionChanged { .. }
            | Event::LevelParked { .. }
            | Event::Parked { .. }
            | Event::Entered { .. } => self.session(event),
            Event::Triggered { account, order, .. } => {
                self.account(account, ToAccount::Triggered { account, order });
            }
            Event::Absent { account, order } => {
                self.account(account, ToAccount::Absent { account, order });
            }
            Event::Waited(_)
            | Event::Paused(_)
            | Event::Released { .. }
            | Event::ReleaseBegan { .. } => {}
            Event::Traded(ref trade) => self.traded(trade),
            Event::Replaced { .. } | Event::Reduced { .. } => self.replaced(event),
            Event::Moved {
                ref live,
                from_ticks,
            } => self.moved(live, from_ticks),
            Event::ReplaceRejected {
                account,
                old,
                new,
                refusal,
            } => self.account(
                account,
                ToAccount::ReplaceRejected {
                    account,
                    old,
                    new,
                    refusal,
                },
            ),
            Event::Ended {
                instrument,
                account,
                order,
                cum_lots,
                end,
                stood,
            } => {
                let message = ToAccount::Ended {
                    account,
                    order,
                    cum_lots,
                    end,
                };
                self.account(account, message);
                self.stood(instrument, stood);
            }
        }
    }

    /// What decides who may trade.
    fn session(&mut self, event: &Event) {
        match *event {
            Event::SessionChanged {
                instrument, phase, ..
            } => self.everyone(ToAccount::Session { instrument, phase }),
            Event::LevelParked {
                instrument,
                side,
                price_ticks,
            } => self.level(self.book(instrument), 0, side, price_ticks),
            Event::Parked {
                ref live, notify, ..
            } => {
                let BookOrder { account, order, .. } = live.order;
                if notify {
                    self.account(account, ToAccount::Parked { account, order });
                }
            }
            Event::Entered { account, order, .. } => {
                self.account(account, ToAccount::Entered { account, order });
            }
            _ => {}
        }
    }

    fn account(&mut self, account: AccountId, message: ToAccount) {
        self.outputs.push(Output::Account {
            slot: account.slot(),
            message,
        });
    }

    fn everyone(&mut self, message: ToAccount) {
        self.outputs.push(Output::Everyone(message));
    }

    fn book(&self, instrument: InstrumentId) -> &'a Book {
        self.engine.known_book(instrument)
    }

    /// A market update that `later` others of the same event follow.
    fn market(&mut self, book: &Book, later: u64, change: MarketChange) {
        self.outputs.push(Output::Market(MarketUpdate {
            instrument: book.instrument.id,
            number: book.updates - later,
            at: self.now,
            change,
        }));
    }

    /// The size that a level has now; `later` market updates of the same event follow.
    fn level(&mut self, book: &Book, later: u64, side: Side, price_ticks: i64) {
        let ladder = book.ladder(Place::Book, side);
        let key = book_key(side, price_ticks);
        let lots = match self.engine.levels.find(ladder, key) {
            Some(level) => self.engine.levels.get(level).lots,
            None => 0,
        };
        let change = MarketChange::Level {
            side,
            price_ticks,
            qty_lots: i64::try_from(lots).unwrap_or(i64::MAX),
        };
        self.market(book, later, change);
    }

    fn stood(&mut self, instrument: InstrumentId, stood: Standing) {
        if let Standing::Resting { side, price_ticks } = stood {
            self.level(self.book(instrument), 0, side, price_ticks);
        }
    }

    fn defined(&mut self, instrument: &Instrument) {
        self.everyone(ToAccount::Defined(*instrument));
        let change = MarketChange::Defined(Box::new(*instrument));
        self.market(self.book(instrument.id), 0, change);
    }

    fn rested(&mut self, live: &LiveOrder) {
        let book = self.book(live.order.instrument);
        self.level(book, 0, live.order.side, resting_ticks(&live.order));
    }

    fn moved(&mut self, live: &LiveOrder, from_ticks: i64) {
        let order = &live.order;
        let message = ToAccount::Replaced {
            account: order.account,
            old: live.pair.expect("what moved has its old id as its pair"),
            new: order.order,
            cum_lots: live.cum_lots,
        };
        self.account(order.account, message);
        let book = self.book(order.instrument);
        let to_ticks = resting_ticks(order);
        if to_ticks != from_ticks {
            self.level(book, 1, order.side, from_ticks);
        }
        self.level(book, 0, order.side, to_ticks);
    }

    fn replaced(&mut self, event: &Event) {
        let (Event::Replaced {
            instrument,
            account,
            old,
            new,
            cum_lots,
            stood,
        }
        | Event::Reduced {
            instrument,
            account,
            old,
            new,
            cum_lots,
            stood,
            ..
        }) = *event
        else {
            return;
        };
        let message = ToAccount::Replaced {
            account,
            old,
            new,
            cum_lots,
        };
        self.account(account, message);
        self.stood(instrument, stood);
    }

    fn traded(&mut self, trade: &Trade) {
        let maker_side = trade.taker_side.opposite();
        self.fill(trade, &trade.maker, maker_side, true);
        self.fill(trade, &trade.taker, trade.taker_side, false);
        self.filled(&trade.maker);
        self.filled(&trade.taker);
        let change = MarketChange::Trade {
            trade: trade.trade,
            price_ticks: trade.price_ticks,
            qty_lots: trade.qty_lots,
            taker: trade.taker_side,
        };
        let book = self.book(trade.instrument);
        self.market(book, 1, change);
        self.level(book, 0, maker_side, trade.price_ticks);
    }

    fn fill(&mut self, trade: &Trade, party: &Party, side: Side, maker: bool) {
        let fill = Fill {
            execution: party.execution,
            trade: trade.trade,
            account: party.account,
            order: party.order,
            instrument: trade.instrument,
            side,
            price_ticks: trade.price_ticks,
            qty_lots: trade.qty_lots,
            notional_minor: trade.notional_minor,
            fee_minor: party.fee_minor,
            cum_lots: party.cum_lots,
            maker,
        };
        self.account(party.account, ToAccount::Fill(fill));
    }

    /// An order with nothing left ends after its last fill.
    fn filled(&mut self, party: &Party) {
        if party.left_lots == 0 {
            let message = ToAccount::Ended {
                account: party.account,
                order: party.order,
                cum_lots: party.cum_lots,
                end: End::Filled,
            };
            self.account(party.account, message);
        }
    }
}

fn resting_ticks(order: &BookOrder) -> i64 {
    worst_ticks(order).expect("an order that rests has a price")
}
