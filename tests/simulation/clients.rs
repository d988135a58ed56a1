//! Seeded clients: what they ask for, what they were told, and what that makes true for ever.

use std::collections::BTreeMap;

use prepx_domain::instrument::{Instrument, SessionCalendar};
use prepx_domain::message::{Action, Command, PlaceOrder, ReplaceOrder, ToMatching};
use prepx_domain::order::{OrderKind, Side, TimeInForce};
use prepx_domain::update::{Ack, Reply};
use prepx_domain::{AccountId, Asset, InstrumentId, Micros, OrderId, Slot, Symbol, fixture};
use prepx_env::Random;
use uuid::Uuid;

/// Drawn by the seed.
pub struct Dice(Random);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(Random::from_seed(seed))
    }

    /// 0 to `bound` − 1.
    pub fn below(&self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    pub fn one_in(&self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    /// After how many bytes a transition ends: of some owners after little, so that what they take goes
    /// through several.
    pub fn room_bytes(&self) -> usize {
        match self.one_in(2) {
            true => 1 + self.below(600) as usize,
            false => usize::MAX,
        }
    }

    fn pick<'a, T>(&self, things: &'a [T]) -> Option<&'a T> {
        match things.len() {
            0 => None,
            count => things.get(self.below(count as u64) as usize),
        }
    }
}

pub const SYMBOLS: [&str; 3] = ["AAA/USD", "BBB/USD", "CCC/USD"];
const ASSETS: [&str; 4] = ["USD", "AAA", "BBB", "CCC"];
const USERS: usize = 5;
const TICK_MINOR: i64 = 1_000_000;
const LOT_MINOR: i64 = 10_000;

pub fn instrument(symbol: &str) -> Instrument {
    Instrument {
        id: InstrumentId::next(Slot::of_symbol(symbol), Micros(0), None),
        symbol: symbol.parse().expect("a symbol"),
        base: symbol[..3].parse().expect("an asset"),
        tick_minor: TICK_MINOR,
        lot_minor: LOT_MINOR,
        collar_ppm: 200_000,
        maker_fee_ppm: 500,
        taker_fee_ppm: 1_500,
        calendar: match symbol {
            "CCC/USD" => SessionCalendar::Nyse,
            _ => SessionCalendar::Always,
        },
        seed_reference_ticks: Some(1_000),
        ..fixture::bitcoin()
    }
}

/// A command, and the first thing that its sender was told.
struct Sent {
    command: Command,
    told: Option<Reply>,
}

/// All clients of a run.
pub struct Clients {
    users: Vec<(Uuid, Option<AccountId>)>,
    sent: Vec<Sent>,
    orders: Vec<(AccountId, OrderId)>,
    /// Operators' commands; each is sent until its durability is known.
    pub instruments: Vec<(ToMatching, bool)>,
}

impl Clients {
    pub fn new(dice: &Dice) -> Clients {
        let user = |_| (Uuid::from_u128(u128::from(dice.0.next_u64()) << 40), None);
        let define = |symbol| (ToMatching::Define(instrument(symbol)), false);
        Clients {
            users: (0..USERS).map(user).collect(),
            sent: Vec::new(),
            orders: Vec::new(),
            instruments: SYMBOLS.into_iter().map(define).collect(),
        }
    }

    /// A command to send: a new one, one that was not answered, or a repeat of one that was.
    pub fn draw(&mut self, dice: &Dice, now: Micros) -> (usize, Command) {
        let again = dice.one_in(6);
        if again && !self.sent.is_empty() {
            let at = dice.below(self.sent.len() as u64) as usize;
            return (at, self.sent[at].command.clone());
        }
        let (slot, action) = self.action(dice);
        let command = Command {
            id: Uuid::from_u128(u128::from(dice.0.next_u64()) << 64 | self.sent.len() as u128),
            stamped_at: now,
            slot,
            action,
        };
        self.sent.push(Sent {
            command: command.clone(),
            told: None,
        });
        (self.sent.len() - 1, command)
    }

    /// A command that is not drawn.
    pub fn ask(&mut self, slot: Slot, now: Micros, action: Action) -> (usize, Command) {
        let at = self.sent.len();
        let command = Command {
            id: Uuid::from_u128(at as u128 + 1),
            stamped_at: now,
            slot,
            action,
        };
        self.sent.push(Sent {
            command: command.clone(),
            told: None,
        });
        (at, command)
    }

    /// Every user asks for an account.
    pub fn open_all(&mut self, now: Micros) -> Vec<(usize, Command)> {
        let users: Vec<Uuid> = self.users.iter().map(|user| user.0).collect();
        let open = |user| {
            let action = Action::OpenAccount {
                user,
                simulated: false,
            };
            self.ask(Slot::of_user(user), now, action)
        };
        users.into_iter().map(open).collect()
    }

    /// Every known account asks for some of everything.
    pub fn fund_all(&mut self, now: Micros) -> Vec<(usize, Command)> {
        let accounts: Vec<_> = self.users.iter().filter_map(|user| user.1).collect();
        let each = accounts
            .into_iter()
            .flat_map(|account| ASSETS.map(|asset| (account, asset)));
        let deposit = |(account, asset): (AccountId, &str)| {
            let action = Action::Deposit {
                account,
                asset: asset.parse().expect("an asset"),
                amount_minor: 2_000_000_000,
            };
            self.ask(account.slot(), now, action)
        };
        each.map(deposit).collect()
    }

    /// Whether its sender was told.
    pub fn was_told(&self, at: usize) -> bool {
        self.sent[at].told.is_some()
    }

    /// A user, and the account as far as it is known.
    pub fn user(&self, number: usize) -> (Uuid, Option<AccountId>) {
        self.users[number]
    }

    fn action(&mut self, dice: &Dice) -> (Slot, Action) {
        let user = dice.below(USERS as u64) as usize;
        let (id, Some(account)) = self.users[user] else {
            let user = self.users[user].0;
            let action = Action::OpenAccount {
                user,
                simulated: false,
            };
            return (Slot::of_user(user), action);
        };
        let _ = id;
        let order = dice.pick(&self.orders).copied();
        let action = match (dice.below(20), order) {
            (0..=1, _) => Action::Deposit {
                account,
                asset: asset(dice),
                amount_minor: 1 + dice.below(50_000_000_000) as i64,
            },
            (2, _) => Action::Withdraw {
                account,
                asset: asset(dice),
                amount_minor: 1 + dice.below(50_000_000_000) as i64,
            },
            (3, Some((_, order))) if dice.one_in(4) => {
                let reason = "an operator".to_owned();
                return (order.slot(), Action::EndOrder { order, reason });
            }
            (3..=4, Some((account, order))) => Action::Cancel { account, order },
            (5..=6, Some((account, order))) => {
                Action::Replace(replacement(dice, account, order, self.sent.len()))
            }
            (7, _) if dice.one_in(4) => Action::CancelAll { account },
            _ => Action::Place(place(dice, account, self.sent.len())),
        };
        let account = match &action {
            Action::Cancel { account, .. } => *account,
            Action::Replace(replace) => replace.account,
            _ => account,
        };
        (account.slot(), action)
    }

    /// A client is told; every time the same (I1, I2).
    pub fn hear(&mut self, at: usize, reply: Reply) {
        let sent = &mut self.sent[at];
        assert_eq!(reply.command, sent.command.id, "somebody else's reply");
        if let Some(first) = &sent.told {
            assert_eq!(&reply, first, "I1, I2: a command's decision has changed");
            return;
        }
        match (&reply.outcome, &sent.command.action) {
            (Ok(Ack::Opened(account)), Action::OpenAccount { user, .. }) => {
                let known = self.users.iter_mut().find(|known| known.0 == *user);
                known.expect("a user of this run").1 = Some(*account);
            }
            (Ok(Ack::Order(order)), _) => self.orders.push((order.account, order.id)),
            _ => {}
        }
        sent.told = Some(reply);
    }

    /// Everything that was ever sent, to be sent again at the end.
    pub fn everything(&self) -> Vec<(usize, Command)> {
        let commands = self.sent.iter().map(|sent| sent.command.clone());
        commands.enumerate().collect()
    }

    /// Those that were never answered.
    pub fn unanswered(&self) -> Vec<(usize, Command)> {
        let sent = self.sent.iter().enumerate();
        let open = sent.filter(|(_, sent)| sent.told.is_none());
        open.map(|(at, sent)| (at, sent.command.clone())).collect()
    }

    /// What came in from outside and is not out again, by asset, as the clients were told.
    pub fn outside_minor(&self) -> BTreeMap<Asset, i64> {
        let mut sums = BTreeMap::new();
        for sent in &self.sent {
            let accepted = matches!(&sent.told, Some(reply) if reply.outcome.is_ok());
            match &sent.command.action {
                Action::Deposit {
                    asset,
                    amount_minor,
                    ..
                } if accepted => *sums.entry(*asset).or_default() += amount_minor,
                Action::Withdraw {
                    asset,
                    amount_minor,
                    ..
                } if accepted => *sums.entry(*asset).or_default() -= amount_minor,
                _ => {}
            }
        }
        sums.retain(|_, sum| *sum != 0);
        sums
    }

    /// The orders that clients were told of, each once.
    pub fn orders(&self) -> &[(AccountId, OrderId)] {
        &self.orders
    }

    /// An operator's whim: halt or resume something.
    pub fn halt_or_resume(dice: &Dice) -> ToMatching {
        let symbol = SYMBOLS[dice.below(3) as usize];
        match dice.below(3) {
            0 => ToMatching::Halt(instrument(symbol).id),
            1 => ToMatching::Resume(instrument(symbol).id),
            _ => ToMatching::Define(instrument(symbol)),
        }
    }
}

fn asset(dice: &Dice) -> Asset {
    ASSETS[dice.below(4) as usize].parse().expect("an asset")
}

fn price(dice: &Dice) -> i64 {
    (990 + dice.below(21) as i64) * TICK_MINOR
}

fn quantity(dice: &Dice) -> i64 {
    (1 + dice.below(40) as i64) * LOT_MINOR * 100
}

fn place(dice: &Dice, account: AccountId, number: usize) -> PlaceOrder {
    let symbol: Symbol = SYMBOLS[dice.below(3) as usize].parse().expect("a symbol");
    let kind = match dice.below(10) {
        0 => OrderKind::Market,
        1 => OrderKind::Stop { stop: price(dice) },
        2 => OrderKind::StopLimit {
            stop: price(dice),
            limit: price(dice),
        },
        _ => OrderKind::Limit { limit: price(dice) },
    };
    let time_in_force = match dice.below(8) {
        0 => TimeInForce::ImmediateOrCancel,
        1 => TimeInForce::FillOrKill,
        _ => TimeInForce::GoodTilCanceled,
    };
    let may_extend = matches!(kind, OrderKind::Limit { .. }) && time_in_force.rests();
    PlaceOrder {
        account,
        symbol,
        side: match dice.one_in(2) {
            true => Side::Buy,
            false => Side::Sell,
        },
        kind,
        time_in_force,
        qty_minor: quantity(dice),
        post_only: dice.one_in(15),
        extended_hours: may_extend && dice.one_in(2),
        // Some end while the run lasts.
        expires_at: dice
            .one_in(6)
            .then(|| Micros(crate::START.0 + dice.below(20_000_000) as i64)),
        client_order_id: match dice.one_in(12) {
            // A name that others may have: refused while it is taken.
            true => format!("popular-{}", dice.below(3)),
            false => format!("order-{number}"),
        },
    }
}

fn replacement(dice: &Dice, account: AccountId, order: OrderId, number: usize) -> ReplaceOrder {
    ReplaceOrder {
        account,
        order,
        qty_minor: dice.one_in(2).then(|| quantity(dice)),
        limit_minor: dice.one_in(2).then(|| price(dice)),
        stop_minor: None,
        time_in_force: None,
        client_order_id: format!("replacement-{number}"),
    }
}
