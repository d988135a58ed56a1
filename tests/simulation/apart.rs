//! Many processes: every stage partition reads its inputs from the log, at its own pace and in any
//! order between lanes; owners die, are replaced while they live, send again what may not have
//! left; the power fails.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use prepx_account::{Input as AccountInput, Output as AccountOutput};
use prepx_bus::embedded::Config;
use prepx_bus::faulty::FaultyDir;
use prepx_bus::{AppendError, Batch, EmbeddedLog, Log, Position};
use prepx_domain::Micros;
use prepx_domain::message::Command;
use prepx_domain::update::Reply;
use prepx_env::{Clock, ManualClock};
use prepx_matching::Input as MatchingInput;
use prepx_risk::AccountCodec;
use prepx_stage::{
    Answer, Codec, Error, Output, Partition, Seat, Snapshots, Stage, Takeover, command,
};
use prepx_trading::MatchingCodec;

use crate::clients::{Clients, Dice};
use crate::platform::Platform;
use crate::{Report, START, TOPOLOGY, account, checks, matching};

/// The owners of one stage's partitions, and those who do not know yet that they are not.
struct Owners<C: Codec> {
    codec: Arc<C>,
    living: Vec<Partition<C>>,
    stale: Vec<Partition<C>>,
}

/// What a partition answered to the command at an offset.
type Answered<C> = (Position, Answer<Output<C>>);

struct World<'a> {
    dice: &'a Dice,
    clock: Arc<ManualClock>,
    clients: Clients,
    log_dir: Arc<FaultyDir>,
    snapshots: Snapshots,
    log: Arc<EmbeddedLog>,
    accounts: Owners<AccountCodec>,
    matching: Owners<MatchingCodec>,
    /// Whose command stands where in the command topic.
    asked: BTreeMap<(u32, u64), usize>,
    waiting: Vec<(Position, usize, Reply)>,
}

fn open_log(dir: &Arc<FaultyDir>) -> Arc<EmbeddedLog> {
    let config = Config {
        segment_bytes: 64 << 10,
        buffer_bytes: 1 << 20,
        batch_bytes_max: 256 << 10,
        tail_bytes: 8 << 10,
        holder: "a simulated cluster".into(),
        ..Config::default()
    };
    EmbeddedLog::open(dir.clone(), config).expect("a disk that only loses power")
}

/// A run, and what came of it.
pub fn run(seed: u64, steps: u64) -> Report {
    let dice = Dice::new(seed);
    let clock = Arc::new(ManualClock::new(START));
    let log_dir = FaultyDir::new(seed);
    let log = open_log(&log_dir);
    let snapshots = Snapshots::new(FaultyDir::new(!seed));
    let mut world = World {
        clients: Clients::new(&dice),
        accounts: Owners::new(account()),
        matching: Owners::new(matching()),
        dice: &dice,
        clock,
        log_dir,
        snapshots,
        log,
        asked: BTreeMap::new(),
        waiting: Vec::new(),
    };
    world.start();
    if !world.dice.one_in(4) {
        world.fund();
    }
    for _ in 0..steps {
        world.step();
    }
    world.finish()
}

impl<C: Codec> Owners<C> {
    fn new(codec: Arc<C>) -> Owners<C> {
        Owners {
            codec,
            living: Vec::new(),
            stale: Vec::new(),
        }
    }

    fn open(&self, seat: Seat, world: (&EmbeddedLog, &Snapshots, Takeover<'_>)) -> Partition<C> {
        let (log, snapshots, takeover) = world;
        let codec = Arc::clone(&self.codec);
        let opened = Partition::open(codec, seat, TOPOLOGY, log, snapshots, takeover);
        let mut partition = opened.expect("a takeover");
        while let Err(AppendError::Full { .. }) = partition.append(log) {
            log.flush().expect("a disk that only loses power");
        }
        partition
    }

    /// One owner takes some of what is there for it and appends.
    fn step(
        &mut self,
        at: usize,
        dice: &Dice,
        clock: &ManualClock,
        log: &EmbeddedLog,
    ) -> Vec<Answered<C>> {
        let partition = &mut self.living[at];
        let (seat, max_bytes) = (partition.seat(), 1 + dice.below(2_000) as usize);
        partition
            .begin(log, clock.now())
            .expect("what follows ends");
        let sources = match dice.below(4) {
            0 => vec![seat.commands()],
            1 => vec![seat.lanes()],
            2 => vec![seat.commands(), seat.lanes()],
            _ => vec![seat.lanes(), seat.commands()],
        };
        for from in sources {
            partition
                .take_unread(log, from, max_bytes)
                .expect("inputs in order");
        }
        if dice.one_in(4) && !partition.is_full() {
            partition.take_timer().expect("a timer");
        }
        append(partition, log).expect("the owner")
    }

    /// A stale owner goes on, until it finds out: at its next append, or because it reads an
    /// answer to what only its successor has asked, which its machine takes for the corruption that
    /// it would be in an owner and stops. Either way nothing of it gets out (I2).
    fn step_stale(&mut self, clock: &ManualClock, log: &EmbeddedLog) {
        let Some(mut partition) = self.stale.pop() else {
            return;
        };
        let seat = partition.seat();
        let journal_end = log.accepted_end(seat.journal());
        partition
            .begin(log, clock.now())
            .expect("what follows ends");
        let took = panic::catch_unwind(AssertUnwindSafe(|| {
            for from in [seat.lanes(), seat.commands()] {
                partition
                    .take_unread(log, from, usize::MAX)
                    .expect("inputs in order");
            }
        }));
        if took.is_err() {
            return;
        }
        match append(&mut partition, log) {
            Err(Error::Append(AppendError::Fenced { .. })) => {}
            Ok(_) if log.accepted_end(seat.journal()) == journal_end => self.stale.push(partition),
            Ok(_) => panic!("I2: a stale owner of {} appended", seat.journal()),
            Err(error) => panic!("{error}"),
        }
    }
}

fn append<C: Codec>(
    partition: &mut Partition<C>,
    log: &EmbeddedLog,
) -> Result<Vec<Answered<C>>, Error> {
    loop {
        match partition.append(log) {
            Err(AppendError::Full { .. }) => {
                log.flush().expect("a disk that only loses power");
            }
            Err(error) => return Err(error.into()),
            Ok(None) => return Ok(Vec::new()),
            Ok(Some(position)) => {
                let answers = partition.drain_answers();
                return Ok(answers.map(|answer| (position, answer)).collect());
            }
        }
    }
}

impl World<'_> {
    /// Every seat is taken, and the operator defines what trades.
    fn start(&mut self) {
        let takeover = Takeover {
            who: "a simulated owner",
            now: self.clock.now(),
            reemit: self.dice.one_in(2),
            watch: &(),
        };
        let world = (&*self.log, &self.snapshots, takeover);
        self.accounts.stale.clear();
        self.matching.stale.clear();
        let (accounts, matching) = (&self.accounts, &self.matching);
        let banks = TOPOLOGY
            .seats(Stage::ACCOUNT)
            .map(|seat| accounts.open(seat, world));
        let banks = banks.collect();
        let books = TOPOLOGY
            .seats(Stage::MATCHING)
            .map(|seat| matching.open(seat, world));
        self.matching.living = books.collect();
        self.accounts.living = banks;
        self.limit_room(|dice| dice.room_bytes());
        let defines: Vec<_> = self
            .clients
            .instruments
            .iter()
            .map(|(d, _)| d.clone())
            .collect();
        defines.into_iter().for_each(|define| self.instruct(define));
    }

    fn limit_room(&mut self, bytes: fn(&Dice) -> usize) {
        let banks = self.accounts.living.iter_mut();
        banks.for_each(|bank| bank.limit_room(bytes(self.dice)));
        let books = self.matching.living.iter_mut();
        books.for_each(|book| book.limit_room(bytes(self.dice)));
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..30 => (0..=self.dice.below(3)).for_each(|_| {
                let (at, command) = self.clients.draw(self.dice, self.clock.now());
                self.ask(at, &command);
            }),
            30..50 => self.step_account(self.dice.below(2) as usize),
            50..70 => self.step_matching(self.dice.below(2) as usize),
            70..88 => self.flush(),
            88..91 => {
                let ms = self.dice.below(1_500);
                self.clock.advance(Duration::from_millis(ms));
            }
            91 => self.instruct(Clients::halt_or_resume(self.dice)),
            92..96 => self.replace_owner(),
            96..98 => {
                self.accounts.step_stale(&self.clock, &self.log);
                self.matching.step_stale(&self.clock, &self.log);
            }
            _ => self.lose_power(),
        }
    }

    fn instruct(&mut self, command: prepx_domain::message::ToMatching) {
        let partition = command.slot().partition(TOPOLOGY.matching_partitions);
        let to = Stage::MATCHING.seat(partition).commands();
        let mut batch = Batch::new();
        let input = MatchingInput::Command(command);
        let encode = |bytes: &mut Vec<u8>| matching().encode_input(&input, bytes);
        batch.push_with(to, |bytes| command::encode(None, encode, bytes));
        self.log.append(None, &batch).expect("room");
    }

    fn step_account(&mut self, at: usize) {
        let answered = self.accounts.step(at, self.dice, &self.clock, &self.log);
        for (position, answer) in answered {
            let Some(AccountOutput::Reply(reply)) = answer.reply else {
                panic!("a command was decided without a reply");
            };
            let who = self.asked[&(at as u32, answer.token)];
            self.waiting.push((position, who, reply));
        }
        checks::money_is_conserved(self.accounts.living.iter());
    }

    fn step_matching(&mut self, at: usize) {
        self.matching.step(at, self.dice, &self.clock, &self.log);
    }

    fn flush(&mut self) {
        let durable = self.log.flush().expect("a disk that only loses power");
        for (position, who, reply) in std::mem::take(&mut self.waiting) {
            match position <= durable {
                // Some replies are lost on their way; the client asks again.
                true if self.dice.one_in(8) => {}
                true => self.clients.hear(who, reply),
                false => self.waiting.push((position, who, reply)),
            }
        }
    }

    /// Somebody takes a partition over; the one before may live on and know nothing of it.
    fn replace_owner(&mut self) {
        let takeover = Takeover {
            who: "a simulated successor",
            now: self.clock.now(),
            reemit: self.dice.one_in(2),
            watch: &(),
        };
        let world = (&*self.log, &self.snapshots, takeover);
        let at = self.dice.below(2) as usize;
        if self.dice.one_in(2) {
            replace(&mut self.accounts, at, world, self.dice);
        } else {
            replace(&mut self.matching, at, world, self.dice);
        }
    }

    fn lose_power(&mut self) {
        self.log_dir = self.log_dir.crash();
        self.log = open_log(&self.log_dir);
        self.waiting.clear();
        self.asked.clear();
        for (partition, offset, at) in self.recorded() {
            self.asked.insert((partition, offset), at);
        }
        self.start();
    }

    /// What the log still has of what was asked.
    fn recorded(&self) -> Vec<(u32, u64, usize)> {
        let everything = self.clients.everything();
        let whose = |id| everything.iter().find(|(_, command)| command.id == id);
        let mut found = Vec::new();
        for seat in TOPOLOGY.seats(Stage::ACCOUNT) {
            for record in self
                .log
                .read(seat.commands(), 0, usize::MAX)
                .expect("readable")
            {
                let (_, input) = command::decode(&record.payload).expect("a command");
                let input = account().decode_input(seat.stage.commands, input);
                let Ok(AccountInput::Command(command)) = input else {
                    panic!("a command was recorded: {input:?}");
                };
                let (at, _) = whose(command.id).expect("a command of this run");
                found.push((seat.partition, record.offset, *at));
            }
        }
        found
    }

    /// The faults end: everybody asks until they are told, everything arrives, all must agree.
    fn finish(mut self) -> Report {
        self.lose_power();
        // Nobody is slower than all the others ask.
        self.limit_room(|_| usize::MAX);
        self.come_to_rest();
        self.agree()
    }
}

impl Platform for World<'_> {
    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn clients_mut(&mut self) -> &mut Clients {
        &mut self.clients
    }

    fn now(&self) -> Micros {
        self.clock.now()
    }

    fn log(&self) -> &dyn Log {
        &*self.log
    }

    fn snapshots(&self) -> Snapshots {
        self.snapshots.clone()
    }

    fn accounts(&self) -> impl Iterator<Item = &Partition<AccountCodec>> {
        self.accounts.living.iter()
    }

    fn matching(&self) -> impl Iterator<Item = &Partition<MatchingCodec>> {
        self.matching.living.iter()
    }

    /// The trading service puts a command on the log.
    fn ask(&mut self, at: usize, command: &Command) {
        let partition = command.slot.partition(TOPOLOGY.account_partitions);
        let to = Stage::ACCOUNT.seat(partition).commands();
        let offset = self.log.accepted_end(to);
        let mut batch = Batch::new();
        let input = AccountInput::Command(command.clone());
        let encode = |bytes: &mut Vec<u8>| account().encode_input(&input, bytes);
        batch.push_with(to, |bytes| command::encode(None, encode, bytes));
        self.log.append(None, &batch).expect("room");
        self.asked.insert((partition, offset), at);
    }

    /// Every command of an operator is on the log already.
    fn define(&mut self) {}

    fn settle(&mut self) {
        for _ in 0..12 {
            (0..2).for_each(|at| self.step_account(at));
            (0..2).for_each(|at| self.step_matching(at));
            self.flush();
        }
    }
}

fn replace<C: Codec>(
    owners: &mut Owners<C>,
    at: usize,
    world: (&EmbeddedLog, &Snapshots, Takeover<'_>),
    dice: &Dice,
) {
    let mut successor = owners.open(owners.living[at].seat(), world);
    successor.limit_room(dice.room_bytes());
    let stale = std::mem::replace(&mut owners.living[at], successor);
    if dice.one_in(2) {
        owners.stale.push(stale);
    }
}
