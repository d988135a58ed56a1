//! One account stage and the real matching engine, joined by a lane that is late now and then, with
//! a few accounts that do everything that can be asked.

use std::collections::{BTreeSet, VecDeque};

use prepx_account::{Event, Input, Output, Stage};
use prepx_domain::message::{
    Action, Command, Limits, PlaceOrder, ReplaceOrder, ToAccount, ToMatching,
};
use prepx_domain::{
    AccountId, Asset, Hours, Instrument, InstrumentId, Machine, Micros, OrderId, OrderKind,
    SessionCalendar, Side, Slot, TimeInForce, fixture,
};
use prepx_matching::Engine;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::drive;

pub(super) const START: Micros = Micros(1_800_000_000_000_000);
const ACCOUNTS: usize = 3;

/// What happens next. Numbers choose among what there is.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Place(PlaceOrder),
    Replace {
        which: usize,
        change: ReplaceOrder,
    },
    Cancel {
        which: usize,
    },
    CancelAll {
        who: usize,
    },
    Block {
        who: usize,
        blocked: bool,
    },
    Suspend {
        who: usize,
        suspended: bool,
    },
    Limit {
        who: usize,
        open_orders: u32,
    },
    Move {
        who: usize,
        amount_minor: i64,
    },
    Halt(bool),
    /// An earlier command again, as it was.
    Repeat {
        which: usize,
    },
    /// A command stamped too long ago.
    Stale {
        who: usize,
    },
    Wait {
        us: i64,
    },
}

pub(super) struct Exchange {
    pub(super) stage: Stage,
    /// Gets the same inputs and must say the same.
    pub(super) twin: Option<Stage>,
    /// The names of the events that were decided.
    pub(super) met: BTreeSet<String>,
    engine: Engine,
    to_engine: VecDeque<ToMatching>,
    now: Micros,
    commands: Vec<Command>,
    accounts: Vec<AccountId>,
    orders: Vec<(AccountId, OrderId)>,
}

fn asset(name: &str) -> Asset {
    name.parse().expect("an asset")
}

/// It has sessions, and pays those who wait in its book.
pub(super) fn share() -> Instrument {
    Instrument {
        id: InstrumentId::next(Slot::of_symbol("ACME"), START, None),
        maker_fee_ppm: -200,
        calendar: SessionCalendar::Nyse,
        ..fixture::share()
    }
}

/// Days of 2 s: half a second of extended hours, then the session, then half a second of extended
/// hours again, closed for the last 100 ms.
fn hours() -> Hours {
    let phases = [0, 500_000, 1_400_000, 1_900_000];
    fixture::days(10_000, 2_000_000, phases.map(|us| START.plus_us(us)))
}

fn user(number: usize) -> Uuid {
    Uuid::from_u128(1_000 + number as u128)
}

impl Exchange {
    /// Accounts with money and shares, in a market whose reference is 10.00.
    pub(super) fn new(stage: Stage) -> Exchange {
        let mut exchange = Exchange {
            stage,
            twin: None,
            met: BTreeSet::new(),
            engine: Engine::new(hours()),
            to_engine: VecDeque::new(),
            now: START,
            commands: Vec::new(),
            accounts: Vec::new(),
            orders: Vec::new(),
        };
        exchange.tell_engine(ToMatching::Define(share()));
        for number in 0..ACCOUNTS {
            let (user, simulated) = (user(number), number == 0);
            exchange.send(number, Action::OpenAccount { user, simulated });
            let account = exchange.accounts[number];
            for (name, amount_minor) in [("USD", 1_000_000), ("ACME", 50_000)] {
                let asset = asset(name);
                exchange.send(
                    number,
                    Action::Deposit {
                        account,
                        asset,
                        amount_minor,
                    },
                );
            }
        }
        exchange
    }

    pub(super) fn run(&mut self, step: &Step) {
        self.now = self.now.plus_us(50);
        if self.now.0 % 200 == 0 {
            self.arrive();
        }
        match step {
            Step::Halt(true) => self.tell_engine(ToMatching::Halt(share().id)),
            Step::Halt(false) => self.tell_engine(ToMatching::Resume(share().id)),
            Step::Repeat { which } => {
                let command = self.commands[which % self.commands.len()].clone();
                self.tell_stage(&Input::Command(command));
            }
            Step::Stale { who } => self.send_stale(who % ACCOUNTS),
            Step::Wait { us } => {
                self.now = self.now.plus_us(*us);
                self.tell_stage(&Input::Timer);
                self.drive_engine(prepx_matching::Input::Timer);
            }
            _ => {
                if let Some((account, action)) = self.action(step) {
                    let number = self.accounts.iter().position(|known| *known == account);
                    self.send(number.expect("it is of these accounts"), action);
                }
            }
        }
    }

    /// Who asks for what.
    fn action(&self, step: &Step) -> Option<(AccountId, Action)> {
        let known = |which: usize| self.orders.get(which % self.orders.len().max(1)).copied();
        let whose = |number: usize| self.accounts[number % ACCOUNTS];
        let (account, action) = match *step {
            Step::Place(ref place) => {
                let account = whose(place.account.raw() as usize);
                let expires_at = place.expires_at.map(|after| self.now.plus_us(after.0));
                (
                    account,
                    Action::Place(PlaceOrder {
                        account,
                        expires_at,
                        ..place.clone()
                    }),
                )
            }
            Step::Replace { which, ref change } => {
                let (account, order) = known(which)?;
                (
                    account,
                    Action::Replace(ReplaceOrder {
                        account,
                        order,
                        ..change.clone()
                    }),
                )
            }
            Step::Cancel { which } => {
                let (account, order) = known(which)?;
                let reason = "an operator".to_owned();
                match which % 4 {
                    0 => (account, Action::EndOrder { order, reason }),
                    _ => (account, Action::Cancel { account, order }),
                }
            }
            Step::CancelAll { who } => (
                whose(who),
                Action::CancelAll {
                    account: whose(who),
                },
            ),
            Step::Block { who, blocked } => (
                whose(who),
                Action::SetAccountBlocked {
                    account: whose(who),
                    blocked,
                },
            ),
            Step::Suspend { who, suspended } => (
                whose(who),
                Action::SetTradeSuspended {
                    account: whose(who),
                    suspended,
                },
            ),
            Step::Limit { who, open_orders } => {
                let (account, limits) = (whose(who), limits(open_orders));
                (account, Action::SetLimits { account, limits })
            }
            Step::Move { who, amount_minor } => (whose(who), movement(whose(who), amount_minor)),
            _ => return None,
        };
        Some((account, action))
    }

    fn send(&mut self, number: usize, action: Action) {
        let command = Command {
            id: Uuid::from_u128(self.commands.len() as u128 + 1),
            stamped_at: self.now,
            slot: Slot::of_user(user(number)),
            action,
        };
        self.commands.push(command.clone());
        self.tell_stage(&Input::Command(command));
    }

    fn send_stale(&mut self, number: usize) {
        let account = self.accounts[number];
        let command = Command {
            id: Uuid::from_u128(u128::MAX),
            stamped_at: self.now.plus_us(-86_400_000_001),
            slot: Slot::of_user(user(number)),
            action: Action::CancelAll { account },
        };
        self.tell_stage(&Input::Command(command));
    }

    fn tell_stage(&mut self, input: &Input) {
        self.note(input);
        let outputs = drive(&mut self.stage, input, self.now);
        if let Some(twin) = &mut self.twin {
            assert_eq!(drive(twin, input, self.now), outputs);
        }
        for output in outputs {
            if let Output::ToMatching(message) = output {
                self.to_engine.push_back(message);
            }
        }
    }

    fn arrive(&mut self) {
        while let Some(message) = self.to_engine.pop_front() {
            self.tell_engine(message);
        }
    }

    /// Remembers what the input is about to cause.
    fn note(&mut self, input: &Input) {
        let mut events = Vec::new();
        self.stage.decide(input, self.now, &mut events);
        for event in &events {
            match event {
                Event::Opened { account, .. } => self.accounts.push(*account),
                Event::Placed { order, .. } => self.orders.push((order.account, order.order)),
                Event::ReplaceSent { replace, .. } => {
                    self.orders.push((replace.new.account, replace.new.order));
                }
                _ => {}
            }
            let name = format!("{event:?}");
            let end = name
                .find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(name.len());
            self.met.insert(name[..end].to_owned());
        }
    }

    fn tell_engine(&mut self, message: ToMatching) {
        self.drive_engine(prepx_matching::Input::Command(message));
    }

    fn drive_engine(&mut self, input: prepx_matching::Input) {
        let mut messages: Vec<ToAccount> = Vec::new();
        let mut next = Some(input);
        while let Some(input) = next {
            let (mut events, mut outputs) = (Vec::new(), Vec::new());
            self.engine.decide(&input, self.now, &mut events);
            for event in &events {
                self.engine.apply(event);
                self.engine.outputs(event, self.now, &mut outputs);
            }
            messages.extend(outputs.into_iter().filter_map(|output| match output {
                prepx_matching::Output::Account { message, .. }
                | prepx_matching::Output::Everyone(message) => Some(message),
                prepx_matching::Output::Market(_) => None,
            }));
            next = self.engine.follow_up();
        }
        for message in messages {
            self.tell_stage(&Input::FromMatching(message));
        }
    }
}

fn limits(open_orders: u32) -> Limits {
    Limits {
        order_qty_minor: 10_000,
        order_notional_minor: 500_000,
        open_orders,
        position_minor: 1_000_000,
    }
}

/// A deposit, or a withdrawal of as much.
fn movement(account: AccountId, amount_minor: i64) -> Action {
    let asset = asset("USD");
    if amount_minor >= 0 {
        Action::Deposit {
            account,
            asset,
            amount_minor,
        }
    } else {
        Action::Withdraw {
            account,
            asset,
            amount_minor: -amount_minor,
        }
    }
}

fn kind() -> impl Strategy<Value = OrderKind> {
    let price = || prop_oneof![20 => 985..1_016i64, 1 => 1..3_000i64];
    prop_oneof![
        5 => price().prop_map(|limit| OrderKind::Limit { limit }),
        1 => Just(OrderKind::Market),
        1 => price().prop_map(|stop| OrderKind::Stop { stop }),
        1 => (price(), price()).prop_map(|(stop, limit)| OrderKind::StopLimit { stop, limit }),
    ]
}

prop_compose! {
    fn place()(
        who in 0..3i64,
        side in select(vec![Side::Buy, Side::Sell]),
        kind in kind(),
        time_in_force in prop_oneof![
            6 => Just(TimeInForce::GoodTilCanceled),
            1 => Just(TimeInForce::ImmediateOrCancel),
            1 => Just(TimeInForce::FillOrKill),
        ],
        lots in 1..30i64,
        odd_minor in prop_oneof![20 => Just(0i64), 1 => Just(1)],
        (post_only, extended_hours) in (prop::bool::weighted(0.1), any::<bool>()),
        expires_at in prop::option::weighted(0.2, 1_000..1_000_000i64),
        name in 0..60u8,
    ) -> PlaceOrder {
        let may_extend = matches!(kind, OrderKind::Limit { .. }) && time_in_force.rests();
        PlaceOrder {
            account: AccountId::new(who).expect("not negative"),
            symbol: share().symbol,
            side,
            kind,
            time_in_force,
            qty_minor: lots * 100 + odd_minor,
            post_only: post_only && kind.limit().is_some() && time_in_force.rests(),
            // Now and then where it does not belong: that is refused.
            extended_hours: extended_hours && (odd_minor == 1 || may_extend),
            expires_at: expires_at.map(Micros),
            client_order_id: format!("name {name}"),
        }
    }
}

prop_compose! {
    fn replace()(
        lots in prop::option::of(1..30i64),
        limit_minor in prop::option::of(985..1_016i64),
        name in 0..60u8,
    ) -> ReplaceOrder {
        ReplaceOrder {
            account: AccountId::new(0).expect("not negative"),
            order: OrderId::new(0).expect("not negative"),
            qty_minor: lots.map(|lots| lots * 100),
            limit_minor,
            stop_minor: None,
            time_in_force: None,
            client_order_id: format!("name {name}"),
        }
    }
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => place().prop_map(Step::Place),
        8 => (any::<usize>(), replace())
            .prop_map(|(which, change)| Step::Replace { which, change }),
        3 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        1 => (0..ACCOUNTS).prop_map(|who| Step::CancelAll { who }),
        1 => (0..ACCOUNTS, prop::bool::weighted(0.3))
            .prop_map(|(who, blocked)| Step::Block { who, blocked }),
        1 => (0..ACCOUNTS, prop::bool::weighted(0.3))
            .prop_map(|(who, suspended)| Step::Suspend { who, suspended }),
        1 => (0..ACCOUNTS, 1..40u32).prop_map(|(who, open_orders)| Step::Limit { who, open_orders }),
        2 => (0..ACCOUNTS, -20_000..40_000i64)
            .prop_map(|(who, amount_minor)| Step::Move { who, amount_minor }),
        1 => prop::bool::weighted(0.3).prop_map(Step::Halt),
        2 => any::<usize>().prop_map(|which| Step::Repeat { which }),
        1 => (0..ACCOUNTS).prop_map(|who| Step::Stale { who }),
        2 => (0..300_000i64).prop_map(|us| Step::Wait { us }),
    ]
    .boxed()
}
