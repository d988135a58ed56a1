//! One account at a desk: sends commands, plays the market, and writes down in short lines what the
//! stage tells everybody. After every input the invariants are checked and a second stage, which
//! only folds events, must be equal.

use std::fmt::Write as _;

use prepx_account::{Config, Event, Input, Output, Stage};
use prepx_domain::decimal::format;
use prepx_domain::message::{
    Action, BookOrder, Command, End, Fill, PlaceOrder, Refusal, ReplaceOrder, ToAccount, ToMatching,
};
use prepx_domain::update::{Ack, Book, Change, OrderEvent, OrderView, Posting};
use prepx_domain::{
    AccountId, Asset, ExecutionId, Instrument, InstrumentId, Machine, Micros, OrderId, OrderKind,
    Side, Slot, TimeInForce, TradeId, fixture,
};
use uuid::Uuid;

pub const START: Micros = Micros(1_800_000_000_000_000);

pub struct Desk {
    pub stage: Stage,
    pub now: Micros,
    pub account: AccountId,
    pub commands: u128,
    /// Every order in the order of appearance: o1, o2, …
    pub orders: Vec<OrderId>,
    shadow: Stage,
    executions: i64,
}

/// Small numbers that can be added by hand.
pub fn share() -> Instrument {
    Instrument {
        id: InstrumentId::next(Slot::of_symbol("ACME"), START, None),
        ..fixture::share()
    }
}

pub fn asset(name: &str) -> Asset {
    name.parse().unwrap()
}

impl Desk {
    /// An account with 1,000.00 USD and 50 shares, in a market whose reference is 10.00.
    pub fn new() -> Desk {
        Desk::with(Config::default(), share())
    }

    pub fn with(config: Config, instrument: Instrument) -> Desk {
        let mut desk = Desk::empty(config);
        desk.market(ToAccount::Defined(instrument));
        desk.open();
        desk.deposit("USD", 100_000);
        desk.deposit("ACME", 5_000);
        desk
    }

    pub fn empty(config: Config) -> Desk {
        Desk {
            stage: Stage::new(config),
            shadow: Stage::new(config),
            now: START,
            account: AccountId::new(0).unwrap(),
            commands: 0,
            orders: Vec::new(),
            executions: 0,
        }
    }

    pub fn input(&mut self, input: &Input) -> String {
        self.now = self.now.plus_us(1_000);
        let (mut events, mut outputs) = (Vec::new(), Vec::new());
        self.stage.decide(input, self.now, &mut events);
        for event in &events {
            self.stage.apply(event);
            self.shadow.apply(event);
            self.stage.outputs(event, self.now, &mut outputs);
            self.note(event);
        }
        self.stage.check_invariants().unwrap();
        assert_eq!(
            self.stage, self.shadow,
            "the fold of the events is the state"
        );
        let restored = Stage::restore(self.stage.config(), self.stage.export());
        assert_eq!(self.stage, restored, "a snapshot restores the state");
        let mut text = String::new();
        for output in &outputs {
            writeln!(text, "{}", self.output(output)).unwrap();
        }
        text
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Placed { order, .. } => self.orders.push(order.order),
            Event::ReplaceSent { replace, .. } => self.orders.push(replace.new.order),
            Event::Opened { account, .. } => self.account = *account,
            _ => {}
        }
    }

    pub fn order(&self, number: usize) -> OrderId {
        self.orders[number - 1]
    }

    pub fn market(&mut self, message: ToAccount) -> String {
        self.input(&Input::FromMatching(message))
    }

    pub fn command(&mut self, action: Action) -> String {
        self.commands += 1;
        let command = Command {
            id: Uuid::from_u128(self.commands),
            stamped_at: self.now,
            slot: Slot::of_user(Uuid::from_u128(7)),
            action,
        };
        self.input(&Input::Command(command))
    }

    pub fn open(&mut self) -> String {
        self.command(Action::OpenAccount {
            user: Uuid::from_u128(7),
            simulated: false,
        })
    }

    pub fn deposit(&mut self, name: &str, amount_minor: i64) -> String {
        self.command(Action::Deposit {
            account: self.account,
            asset: asset(name),
            amount_minor,
        })
    }

    pub fn withdraw(&mut self, name: &str, amount_minor: i64) -> String {
        self.command(Action::Withdraw {
            account: self.account,
            asset: asset(name),
            amount_minor,
        })
    }

    /// An order of `shares` as a client would send it, named after its number.
    pub fn ask(&self, side: Side, kind: OrderKind, shares: i64) -> PlaceOrder {
        PlaceOrder {
            account: self.account,
            symbol: "ACME".parse().unwrap(),
            side,
            kind,
            time_in_force: TimeInForce::Day,
            qty_minor: shares * 100,
            post_only: false,
            extended_hours: false,
            expires_at: None,
            client_order_id: format!("c{}", self.commands + 1),
        }
    }

    pub fn place(&mut self, side: Side, kind: OrderKind, shares: i64) -> String {
        let ask = self.ask(side, kind, shares);
        self.command(Action::Place(ask))
    }

    pub fn buy(&mut self, shares: i64, limit: i64) -> String {
        self.place(Side::Buy, OrderKind::Limit { limit }, shares)
    }

    pub fn sell(&mut self, shares: i64, limit: i64) -> String {
        self.place(Side::Sell, OrderKind::Limit { limit }, shares)
    }

    /// A replacement of order `number`; nothing is changed yet.
    pub fn change(&self, number: usize) -> ReplaceOrder {
        ReplaceOrder {
            account: self.account,
            order: self.order(number),
            qty_minor: None,
            limit_minor: None,
            stop_minor: None,
            time_in_force: None,
            client_order_id: format!("c{}", self.commands + 1),
        }
    }

    pub fn amend(&mut self, number: usize, shares: i64, limit: i64) -> String {
        let change = ReplaceOrder {
            qty_minor: Some(shares * 100),
            limit_minor: Some(limit),
            ..self.change(number)
        };
        self.command(Action::Replace(change))
    }

    pub fn cancel(&mut self, number: usize) -> String {
        let (account, order) = (self.account, self.order(number));
        self.command(Action::Cancel { account, order })
    }

    /// An operator ends an order.
    pub fn end_by_operator(&mut self, number: usize) -> String {
        let (order, reason) = (self.order(number), "bug 7".to_owned());
        self.command(Action::EndOrder { order, reason })
    }

    /// The market says that an order does not live.
    pub fn absent(&mut self, number: usize) -> String {
        let (account, order) = (self.account, self.order(number));
        self.market(ToAccount::Absent { account, order })
    }

    /// The market trades `lots` of an order at `price` as a maker.
    pub fn fill(&mut self, number: usize, lots: i64, price: i64) -> String {
        self.trade(number, lots, price, true)
    }

    /// The market trades `lots` of an order at `price`.
    pub fn trade(&mut self, number: usize, lots: i64, price: i64, maker: bool) -> String {
        let fill = self.next_fill(number, lots, price, maker);
        self.market(ToAccount::Fill(fill))
    }

    pub fn next_fill(&mut self, number: usize, lots: i64, price: i64, maker: bool) -> Fill {
        self.executions += 1;
        let order = self.stage.order(self.order(number)).unwrap();
        let market = self.stage.market_of_symbol(order.symbol).unwrap();
        let instrument = market.instrument;
        let notional_minor = instrument.notional_minor(price, lots).unwrap();
        let ppm = match maker {
            true => instrument.maker_fee_ppm,
            false => instrument.taker_fee_ppm,
        };
        Fill {
            execution: ExecutionId::new(self.executions).unwrap(),
            trade: TradeId::new(self.executions).unwrap(),
            account: self.account,
            order: order.id,
            instrument: instrument.id,
            side: order.side,
            price_ticks: price,
            qty_lots: lots,
            notional_minor,
            fee_minor: Instrument::fee_minor(notional_minor, ppm).unwrap(),
            cum_lots: order.filled_minor / instrument.lot_minor + lots,
            maker,
        }
    }

    /// The market ends an order.
    pub fn end(&mut self, number: usize, end: End) -> String {
        let order = self.stage.order(self.order(number)).unwrap();
        let market = self.stage.market_of_symbol(order.symbol).unwrap();
        let cum_lots = order.filled_minor / market.instrument.lot_minor;
        self.market(ToAccount::Ended {
            account: self.account,
            order: order.id,
            cum_lots,
            end,
        })
    }

    /// The market confirms a replacement.
    pub fn replaced(&mut self, old: usize, new: usize, cum_lots: i64) -> String {
        let (account, old, new) = (self.account, self.order(old), self.order(new));
        self.market(ToAccount::Replaced {
            account,
            old,
            new,
            cum_lots,
        })
    }

    /// The market refuses a replacement.
    pub fn rejected(&mut self, old: usize, new: usize, refusal: Refusal) -> String {
        let (account, old, new) = (self.account, self.order(old), self.order(new));
        self.market(ToAccount::ReplaceRejected {
            account,
            old,
            new,
            refusal,
        })
    }

    pub fn balances(&self) -> String {
        let mut text = String::new();
        for balance in self.stage.account(self.account).unwrap().balances {
            let amount = |minor| format(minor, balance.scale);
            write!(
                text,
                "{} {} + {} held",
                balance.asset,
                amount(balance.available_minor),
                amount(balance.held_minor)
            )
            .unwrap();
            if balance.cost_minor != 0 {
                write!(text, ", cost {}", balance.cost_minor).unwrap();
            }
            text.push('\n');
        }
        text
    }

    fn name(&self, id: OrderId) -> String {
        let number = self.orders.iter().position(|order| *order == id);
        number.map_or("o?".to_owned(), |index| format!("o{}", index + 1))
    }

    fn output(&self, output: &Output) -> String {
        match output {
            Output::ToMatching(ToMatching::Place(order)) => {
                format!("to market: place {}", self.book_order(order))
            }
            Output::ToMatching(ToMatching::Replace(replace)) => format!(
                "to market: replace {} by {}",
                self.name(replace.old),
                self.book_order(&replace.new)
            ),
            Output::ToMatching(ToMatching::Cancel {
                order, answered, ..
            }) => {
                let what = if *answered { "end" } else { "cancel" };
                format!("to market: {what} {}", self.name(*order))
            }
            Output::ToMatching(other) => panic!("the account stage does not send {other:?}"),
            Output::Update(update) => {
                assert_eq!((update.account, update.at), (self.account, self.now));
                let change = match &update.change {
                    Change::Order { order, event } => self.order_change(order, event),
                    other => format!("{other:?}"),
                };
                format!("update: {change}{}", self.postings(&update.postings))
            }
            Output::Reply(reply) => match &reply.outcome {
                Ok(Ack::Order(order)) => format!("reply: {}", self.order_view(order)),
                Ok(Ack::PastOrder(order)) => format!("reply: past order {}", self.name(*order)),
                Ok(Ack::Canceling(orders)) => {
                    let names: Vec<String> = orders.iter().map(|id| self.name(*id)).collect();
                    format!("reply: canceling {}", names.join(" "))
                }
                Ok(Ack::Opened(account)) => {
                    assert_eq!(*account, self.account);
                    "reply: opened".to_owned()
                }
                Ok(Ack::Moved {
                    asset,
                    available_minor,
                }) => format!(
                    "reply: {} {asset} available",
                    format(*available_minor, self.stage.scale(*asset))
                ),
                Ok(Ack::Done) => "reply: done".to_owned(),
                Err(reject) => format!("reply: {} {reject}", reject.reason()),
            },
        }
    }

    fn book_order(&self, order: &BookOrder) -> String {
        let protect = order.protect_ticks.map(|ticks| format!(" protect {ticks}"));
        format!(
            "{} {:?} {} lots {:?}{}",
            self.name(order.order),
            order.side,
            order.qty_lots,
            order.kind,
            protect.unwrap_or_default()
        )
    }

    fn order_view(&self, view: &OrderView) -> String {
        format!(
            "{} {:?} filled {} of {} for {} fee {} held {}",
            self.name(view.id),
            view.status,
            view.filled_minor,
            view.qty_minor,
            view.filled_notional_minor,
            view.fee_minor,
            view.held_minor
        )
    }

    fn order_change(&self, view: &OrderView, event: &OrderEvent) -> String {
        let event = match event {
            OrderEvent::Fill {
                fill,
                position_minor,
            } => format!(
                "Fill {} at {} fee {} position {position_minor}",
                fill.qty_lots, fill.price_ticks, fill.fee_minor
            ),
            other => format!("{other:?}"),
        };
        format!("{event}: {}", self.order_view(view))
    }

    fn postings(&self, postings: &[Posting]) -> String {
        let mut text = String::new();
        for posting in postings {
            let book = match posting.book {
                Book::Available(_) => "available",
                Book::Held(_) => "held",
                Book::Clearing => "clearing",
                Book::Fees => "fees",
                Book::Outside => "outside",
            };
            let (asset, amount_minor) = (posting.asset, posting.amount_minor);
            write!(text, "\n    {book} {amount_minor:+} {asset}").unwrap();
        }
        text
    }
}
