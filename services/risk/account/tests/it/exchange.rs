//! Two account partitions and a market, the real matching engine or one that does anything it may,
//! joined by lanes that are late by chance: random commands of many accounts, repeats included. When everything has arrived money is
//! conserved over all partitions (I3), nothing is held without an open order (I4), no repeat took
//! effect (I2), and the same seed makes the same run (I7).

mod clients;

use std::collections::{BTreeMap, VecDeque};

use prepx_account::{Config, Event, Input, Output, Stage};
use prepx_domain::message::{Action, Command, ToAccount, ToMatching};
use prepx_domain::update::{Ack, Reply};
use prepx_domain::{
    AccountId, Asset, Hours, Instrument, InstrumentId, Machine, Micros, OrderId, SessionCalendar,
    Slot, fixture,
};
use prepx_matching::Engine;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use crate::desk::{START, asset, share};
use crate::pretend::Pretend;

const PARTITIONS: usize = 2;
const ACCOUNTS: usize = 12;

struct Exchange {
    rng: ChaCha8Rng,
    now: Micros,
    stages: Vec<Stage>,
    shadows: Vec<Stage>,
    engine: Engine,
    /// Stands for the engine when it is there.
    pretend: Option<Pretend>,
    to_matching: Vec<VecDeque<ToMatching>>,
    to_accounts: Vec<VecDeque<ToAccount>>,
    instruments: Vec<Instrument>,
    accounts: Vec<(AccountId, Slot)>,
    orders: Vec<(AccountId, OrderId)>,
    commands: u128,
    /// Commands that may come again, with what was answered first.
    sent: VecDeque<(Command, Option<Reply>)>,
    digest: u64,
    trades: u64,
    counts: BTreeMap<&'static str, u64>,
}

fn dust() -> Instrument {
    // A lot of this costs 2.6 to 2.8 cents, so every trade of one lot rounds up.
    Instrument {
        id: InstrumentId::next(Slot::of_symbol("DUST"), START, None),
        symbol: "DUST".parse().unwrap(),
        base: asset("DUST"),
        base_scale: 4,
        lot_minor: 9,
        tick_minor: 3,
        maker_fee_ppm: 0,
        taker_fee_ppm: 0,
        seed_reference_ticks: None,
        calendar: SessionCalendar::Nyse,
        ..share()
    }
}

/// Days of 2 s: closed for 0.5 s, early hours for 0.2 s, the session for 1 s, late hours for the rest.
fn hours() -> Hours {
    let phases = [500_000, 700_000, 1_700_000, 2_000_000];
    fixture::days(1_000, 2_000_000, phases.map(|us| START.plus_us(us)))
}

impl Exchange {
    fn new(seed: u64, pretend: Option<Pretend>) -> Exchange {
        let config = Config {
            recent_orders_max: 5,
            commands_max: 5_000,
            client_order_ids_us: 2_000_000,
            ..Config::of_partitions(PARTITIONS as u32)
        };
        let mut exchange = Exchange {
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: START,
            stages: vec![Stage::new(config); PARTITIONS],
            shadows: vec![Stage::new(config); PARTITIONS],
            engine: Engine::new(hours()),
            pretend,
            to_matching: vec![VecDeque::new(); PARTITIONS],
            to_accounts: vec![VecDeque::new(); PARTITIONS],
            instruments: vec![share(), dust()],
            accounts: Vec::new(),
            orders: Vec::new(),
            commands: 0,
            sent: VecDeque::new(),
            digest: 0,
            trades: 0,
            counts: BTreeMap::new(),
        };
        for instrument in exchange.instruments.clone() {
            exchange.tell_market(ToMatching::Define(instrument));
        }
        exchange.drain();
        exchange.open_accounts();
        exchange
    }

    fn open_accounts(&mut self) {
        for number in 0..ACCOUNTS {
            let user = Uuid::from_u128(1_000 + number as u128);
            let slot = Slot::of_user(user);
            let simulated = false;
            let reply = self.send(slot, Action::OpenAccount { user, simulated });
            let Some(Reply {
                outcome: Ok(Ack::Opened(account)),
                ..
            }) = reply
            else {
                panic!("{reply:?}");
            };
            self.accounts.push((account, slot));
            for (name, amount_minor) in [("USD", 200_000), ("ACME", 20_000), ("DUST", 7_000)] {
                let asset = asset(name);
                self.send(
                    slot,
                    Action::Deposit {
                        account,
                        asset,
                        amount_minor,
                    },
                );
            }
        }
    }

    fn send(&mut self, slot: Slot, action: Action) -> Option<Reply> {
        self.commands += 1;
        let command = Command {
            id: Uuid::from_u128(self.commands),
            stamped_at: self.now,
            slot,
            action,
        };
        let reply = self.decide(partition(slot), &Input::Command(command.clone()));
        self.sent.push_back((command, reply.clone()));
        if self.sent.len() > 1_000 {
            self.sent.pop_front();
        }
        reply
    }

    fn decide(&mut self, partition: usize, input: &Input) -> Option<Reply> {
        let (mut events, mut outputs) = (Vec::new(), Vec::new());
        self.stages[partition].decide(input, self.now, &mut events);
        for event in &events {
            self.stages[partition].apply(event);
            self.stages[partition].outputs(event, self.now, &mut outputs);
            self.shadows[partition].apply(event);
            self.note(event);
        }
        let mut reply = None;
        for output in outputs {
            match output {
                Output::ToMatching(message) => self.to_matching[partition].push_back(message),
                Output::Update(update) => {
                    let mut sums: BTreeMap<Asset, i64> = BTreeMap::new();
                    for posting in &update.postings {
                        *sums.entry(posting.asset).or_default() += posting.amount_minor;
                    }
                    assert!(sums.values().all(|sum| *sum == 0), "I3: {update:?}");
                }
                Output::Reply(told) => reply = Some(told),
            }
        }
        reply
    }

    fn note(&mut self, event: &Event) {
        let text = format!("{event:?}");
        self.digest = self.digest.rotate_left(7) ^ xxhash_rust::xxh3::xxh3_64(text.as_bytes());
        let name = match event {
            Event::Placed { order, .. } => {
                self.orders.push((order.account, order.order));
                "placed"
            }
            Event::ReplaceSent { replace, .. } => {
                self.orders.push((replace.new.account, replace.new.order));
                "replace sent"
            }
            Event::CancelSent { .. } => "cancel sent",
            Event::Rejected { .. } => "rejected",
            Event::Refused { .. } => "refused",
            Event::Repeated { .. } => "repeated",
            Event::Triggered { .. } => "triggered",
            Event::SessionChanged { .. } => "session changed",
            Event::Parked { parked: true, .. } => "parked",
            Event::Parked { parked: false, .. } => "entered",
            Event::Filled {
                available_minor, ..
            } if *available_minor > 0 => "filled with dust",
            Event::Filled { .. } => "filled",
            Event::Replaced { .. } => "replaced",
            Event::ReplaceRejected { .. } => "replace rejected",
            Event::Ended { .. } => "ended",
            Event::TimePassed { .. } => "time passed",
            _ => "other",
        };
        *self.counts.entry(name).or_default() += 1;
    }

    fn tell_market(&mut self, message: ToMatching) {
        match &mut self.pretend {
            Some(pretend) => {
                let said = pretend.take(&message, &mut self.rng);
                self.pass_on(said);
            }
            None => self.run_engine(prepx_matching::Input::Command(message)),
        }
    }

    fn stir_market(&mut self) {
        match &mut self.pretend {
            Some(pretend) => {
                let said = pretend.stir(&mut self.rng);
                self.pass_on(said);
            }
            None => self.run_engine(prepx_matching::Input::Timer),
        }
    }

    fn pass_on(&mut self, said: Vec<ToAccount>) {
        for message in said {
            let account = match &message {
                ToAccount::Fill(fill) => Some(fill.account),
                ToAccount::Triggered { account, .. }
                | ToAccount::Absent { account, .. }
                | ToAccount::Parked { account, .. }
                | ToAccount::Entered { account, .. }
                | ToAccount::Replaced { account, .. }
                | ToAccount::ReplaceRejected { account, .. }
                | ToAccount::Ended { account, .. } => Some(*account),
                _ => None,
            };
            match account {
                Some(account) => self.to_accounts[partition(account.slot())].push_back(message),
                None => {
                    for lane in &mut self.to_accounts {
                        lane.push_back(message.clone());
                    }
                }
            }
        }
    }

    fn run_engine(&mut self, input: prepx_matching::Input) {
        let mut next = Some(input);
        while let Some(input) = next {
            let (mut events, mut outputs) = (Vec::new(), Vec::new());
            self.engine.decide(&input, self.now, &mut events);
            for event in &events {
                self.engine.apply(event);
                self.engine.outputs(event, self.now, &mut outputs);
                self.trades += u64::from(matches!(event, prepx_matching::Event::Traded(_)));
            }
            for output in outputs {
                match output {
                    prepx_matching::Output::Account { slot, message } => {
                        self.to_accounts[partition(slot)].push_back(message);
                    }
                    prepx_matching::Output::Everyone(message) => {
                        for lane in &mut self.to_accounts {
                            lane.push_back(message.clone());
                        }
                    }
                    prepx_matching::Output::Market(_) => {}
                }
            }
            next = self.engine.follow_up();
        }
    }

    /// Lets the next message of a random lane arrive, if there is one.
    fn deliver(&mut self) {
        let at = self.rng.random_range(0..PARTITIONS);
        if self.rng.random_bool(0.5) {
            if let Some(message) = self.to_matching[at].pop_front() {
                self.tell_market(message);
            }
        } else if let Some(message) = self.to_accounts[at].pop_front() {
            self.decide(at, &Input::FromMatching(message));
        }
    }

    fn drain(&mut self) {
        let busy = |lanes: &Exchange| {
            !lanes.to_matching.iter().all(VecDeque::is_empty)
                || !lanes.to_accounts.iter().all(VecDeque::is_empty)
        };
        while busy(self) {
            self.deliver();
        }
    }

    /// One random thing happens.
    fn step(&mut self) {
        self.now = self.now.plus_us(self.rng.random_range(0..2_000));
        match self.rng.random_range(0..1_000) {
            0..600 => self.deliver(),
            600..700 => self.stir_market(),
            700..860 => self.place(),
            860..910 => self.replace(),
            910..955 => self.cancel(),
            955..965 => self.repeat(),
            965..975 => self.move_money(),
            975..995 => {
                self.stir_market();
                let at = self.rng.random_range(0..PARTITIONS);
                self.decide(at, &Input::Timer);
            }
            _ => self.operate(),
        }
    }

    fn check_stages(&self) {
        for stage in &self.stages {
            stage.check_invariants().unwrap();
        }
    }

    /// I3 over all partitions: with nothing on its way, clearing is zero, or what nobody stood for.
    fn check_drained(&self) {
        self.check_stages();
        let mut clearing: BTreeMap<Asset, i64> = BTreeMap::new();
        for (asset, books) in self.stages.iter().flat_map(Stage::books) {
            *clearing.entry(asset).or_default() += books.clearing_minor;
        }
        clearing.retain(|_, sum| *sum != 0);
        let mut owed = match &self.pretend {
            Some(pretend) => pretend.clearing.clone(),
            None => BTreeMap::new(),
        };
        owed.retain(|_, sum| *sum != 0);
        assert_eq!(clearing, owed, "I3");
    }

    fn end(&mut self) {
        self.drain();
        self.check_drained();
        for (account, slot) in self.accounts.clone() {
            self.send(slot, Action::CancelAll { account });
        }
        self.drain();
        self.check_drained();
        for (account, slot) in &self.accounts {
            let stage = &self.stages[partition(*slot)];
            assert!(stage.open_orders(*account).is_empty());
            let balances = stage.account(*account).unwrap().balances;
            assert!(
                balances.iter().all(|balance| balance.held_minor == 0),
                "I4: {balances:?}"
            );
        }
        for (stage, shadow) in self.stages.iter().zip(&self.shadows) {
            assert_eq!(stage, shadow, "the fold of the events is the state");
            let restored = Stage::restore(stage.config(), stage.export());
            assert_eq!(*stage, restored, "a snapshot restores the state");
        }
    }
}

fn partition(slot: Slot) -> usize {
    slot.partition(PARTITIONS as u32) as usize
}

fn run(seed: u64, steps: u32, pretend: Option<Pretend>) -> Exchange {
    let mut exchange = Exchange::new(seed, pretend);
    for step in 0..steps {
        exchange.step();
        if step % 1_009 == 0 {
            exchange.check_stages();
        }
    }
    exchange.end();
    exchange
}

/// Runs eight seeds and sees to it that they were worth it.
fn run_seeds(pretend: fn() -> Option<Pretend>, dust: &'static str) {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut commands = 0;
    for seed in 0..8 {
        let exchange = run(seed, 60_000, pretend());
        commands += exchange.commands;
        for (name, count) in exchange.counts {
            *counts.entry(name).or_default() += count;
        }
    }
    assert!(commands >= 100_000, "{commands} commands");
    let rare = [
        "replaced",
        "replace rejected",
        "triggered",
        "repeated",
        "time passed",
        "session changed",
        "parked",
        "entered",
    ];
    for rare in rare.into_iter().chain(["rejected", "ended", dust]) {
        let count = counts.get(rare);
        assert!(count.is_some_and(|count| *count > 20), "{rare}: {counts:?}");
    }
}

#[test]
fn i3_i4_money_is_conserved_with_the_matching_engine() {
    run_seeds(|| None, "filled with dust");
}

#[test]
fn i3_i4_money_is_conserved_whatever_the_market_does() {
    run_seeds(|| Some(Pretend::default()), "filled");
}

#[test]
fn i7_the_same_seed_makes_the_same_run() {
    let (one, two, other) = (
        run(1, 20_000, None),
        run(1, 20_000, None),
        run(2, 20_000, None),
    );
    assert_eq!((one.digest, one.trades), (two.digest, two.trades));
    assert_ne!(one.digest, other.digest);
    assert!(one.trades > 500, "{} trades", one.trades);
}
