//! What one order costs the account stage on one thread: accept, fill and end, each with its
//! decision, its fold and what others are told.
//!
//! `cargo run --release -p prepx-account --example order_cost`

use prepx_account::{Config, Event, Input, Output, Stage};
use prepx_domain::message::{Action, Command, End, Fill, PlaceOrder, ToAccount};
use prepx_domain::{
    AccountId, ExecutionId, Instrument, Machine, Micros, OrderId, OrderKind, Side, Slot,
    TimeInForce, TradeId, fixture,
};
use prepx_env::{Clock, SystemClock};
use uuid::Uuid;

const ACCOUNTS: usize = 1_000;
const ROUNDS: usize = 20;
const ORDERS_A_ROUND: usize = 50_000;
const LIMIT_TICKS: i64 = 1_000;

struct Bench {
    stage: Stage,
    now: Micros,
    commands: u64,
    events: Vec<Event>,
    outputs: Vec<Output>,
    told: usize,
}

impl Bench {
    fn run(&mut self, input: &Input) -> Option<Event> {
        self.events.clear();
        self.outputs.clear();
        self.now = self.now.plus_us(1);
        self.stage.decide(input, self.now, &mut self.events);
        for event in &self.events {
            self.stage.apply(event);
            self.stage.outputs(event, self.now, &mut self.outputs);
        }
        self.told += self.outputs.len();
        self.events.pop()
    }

    fn command(&mut self, slot: Slot, action: Action) -> Input {
        self.commands += 1;
        let (high, low) = (
            self.commands.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            self.commands,
        );
        Input::Command(Command {
            id: Uuid::from_u64_pair(high, low),
            stamped_at: self.now,
            slot,
            action,
        })
    }
}

fn instrument() -> Instrument {
    Instrument {
        base_scale: 8,
        quote_scale: 8,
        tick_minor: 1_000_000,
        lot_minor: 100_000_000,
        taker_fee_ppm: 100,
        seed_reference_ticks: Some(LIMIT_TICKS),
        ..fixture::share()
    }
}

fn open_accounts(bench: &mut Bench) -> Vec<AccountId> {
    let open = |number: usize| {
        let user = Uuid::from_u128(number as u128);
        let slot = Slot::of_user(user);
        let simulated = false;
        let open = bench.command(slot, Action::OpenAccount { user, simulated });
        let Some(Event::Opened { account, .. }) = bench.run(&open) else {
            panic!("an account is opened");
        };
        let paid = Action::Deposit {
            account,
            asset: "USD".parse().expect("an asset"),
            amount_minor: 1_000_000_000_000_000,
        };
        let paid = bench.command(slot, paid);
        bench.run(&paid);
        account
    };
    (0..ACCOUNTS).map(open).collect()
}

fn place(bench: &mut Bench, account: AccountId) -> Input {
    let ask = PlaceOrder {
        account,
        symbol: "ACME".parse().expect("a symbol"),
        side: Side::Buy,
        kind: OrderKind::Limit {
            limit: LIMIT_TICKS * 1_000_000,
        },
        time_in_force: TimeInForce::Day,
        qty_minor: 100_000_000,
        post_only: false,
        extended_hours: false,
        expires_at: None,
        client_order_id: format!("0f3c2a51-7d5e-4c55-9b7a-{:012}", bench.commands),
    };
    bench.command(account.slot(), Action::Place(ask))
}

fn fill(instrument: &Instrument, account: AccountId, order: OrderId) -> Input {
    Input::FromMatching(ToAccount::Fill(Fill {
        execution: ExecutionId::new(1).expect("not negative"),
        trade: TradeId::new(1).expect("not negative"),
        account,
        order,
        instrument: instrument.id,
        side: Side::Buy,
        price_ticks: LIMIT_TICKS,
        qty_lots: 1,
        notional_minor: LIMIT_TICKS * 1_000_000,
        fee_minor: 0,
        cum_lots: 1,
        maker: true,
    }))
}

fn end(account: AccountId, order: OrderId) -> Input {
    Input::FromMatching(ToAccount::Ended {
        account,
        order,
        cum_lots: 1,
        end: End::Filled,
    })
}

fn main() {
    let clock = SystemClock::new();
    let mut bench = Bench {
        stage: Stage::new(Config::default()),
        now: Micros(1_800_000_000_000_000),
        commands: 0,
        events: Vec::new(),
        outputs: Vec::new(),
        told: 0,
    };
    let instrument = instrument();
    bench.run(&Input::FromMatching(ToAccount::Defined(instrument)));
    let accounts = open_accounts(&mut bench);
    println!("orders      accept ns    fill ns     end ns   (a thousand accounts, one thread)");
    for round in 1..=ROUNDS {
        let asks: Vec<(AccountId, Input)> = (0..ORDERS_A_ROUND)
            .map(|number| {
                let account = accounts[number % ACCOUNTS];
                (account, place(&mut bench, account))
            })
            .collect();
        let start = clock.monotonic();
        let mut orders = Vec::with_capacity(asks.len());
        for (account, ask) in &asks {
            match bench.run(ask) {
                Some(Event::Placed { order, .. }) => orders.push((*account, order.order)),
                other => panic!("an order is accepted, not {other:?}"),
            }
        }
        let accepted = clock.monotonic();
        for (account, order) in &orders {
            bench.run(&fill(&instrument, *account, *order));
        }
        let filled = clock.monotonic();
        for (account, order) in &orders {
            bench.run(&end(*account, *order));
        }
        let ended = clock.monotonic();
        let each = |took: std::time::Duration| took.as_nanos() / ORDERS_A_ROUND as u128;
        println!(
            "{:>8} {:>12} {:>10} {:>10}",
            round * ORDERS_A_ROUND,
            each(accepted - start),
            each(filled - accepted),
            each(ended - filled)
        );
    }
    bench.stage.check_invariants().expect("I3 and I4 hold");
    println!("{} messages told", bench.told);
}
