//! Many processes on brokers that do what Apache Kafka may: every partition is a station of its own,
//! every client's command and its reply go through the log. Seats move, by the leases of a group or by accident;
//! owners die with a transaction open, are paused and come back, go on without knowing; answers of the brokers and replies are lost;
//! commands are delivered again.

use std::sync::Arc;
use std::time::Duration;

use prepx_account::Input as AccountInput;
use prepx_bus::brokers::{self, BrokerLog, Brokers, Tally};
use prepx_bus::faulty::FaultyDir;
use prepx_bus::{Log, Topic};
use prepx_domain::Micros;
use prepx_domain::message::{Command, ToMatching};
use prepx_env::{Clock, ManualClock};
use prepx_matching::Input as MatchingInput;
use prepx_proto::journal;
use prepx_risk::AccountCodec;
use prepx_stage::desk::{Bounds, Question};
use prepx_stage::{Codec, Desk, Keeper, Pace, Partition, Retention, Snapshots, Stage};
use prepx_trading::MatchingCodec;

use crate::clients::{Clients, Dice};
use crate::group::Moves;
use crate::platform::Platform;
use crate::seats::{Ground, Seats};
use crate::{Report, START, TOPOLOGY, account, checks, matching};

/// Who waits for a reply.
#[derive(Clone, Copy)]
enum Asked {
    Client(usize),
    Instrument(usize),
    Whim,
}

/// A process that clients talk to.
pub struct Front {
    desk: Desk<Asked>,
    pub log: Arc<BrokerLog>,
}

const FRONTS: u32 = 2;

/// Everything of a run.
pub struct World {
    dice: Dice,
    pub clock: ManualClock,
    pub clients: Clients,
    pub brokers: Brokers,
    snapshots: Snapshots,
    pub accounts: Seats<AccountCodec>,
    matching: Seats<MatchingCodec>,
    pub fronts: Vec<Front>,
    /// Who looks on.
    log: Arc<BrokerLog>,
}

/// A run, and what came of it.
pub fn run(seed: u64, steps: u64) -> Report {
    run_tallied(seed, steps).0
}

/// What a run has met that does not go smoothly.
pub struct Met {
    pub tally: Tally,
    /// How often somebody had stood by for what was taken over.
    pub warm: u64,
    /// How often partitions changed hands by the group's word, of both stages.
    pub moves: [Moves; 2],
}

/// And what it has met.
pub fn run_tallied(seed: u64, steps: u64) -> (Report, Met) {
    let mut world = World::new(seed);
    if !world.dice.one_in(4) {
        world.fund();
    }
    world.brokers.set_rough(true);
    for _ in 0..steps {
        world.step();
    }
    world.finish()
}

impl World {
    /// Brokers that are well, every seat taken, instruments about to be defined.
    pub fn new(seed: u64) -> World {
        let dice = Dice::new(seed);
        let config = brokers::Config {
            partitions: |topic| TOPOLOGY.partitions(topic),
            buffer_bytes: 256 << 10,
            batch_bytes_max: 256 << 10,
        };
        let (brokers, snapshots) = (
            Brokers::new(seed, config),
            Snapshots::new(FaultyDir::new(!seed)),
        );
        let mut world = World {
            clients: Clients::new(&dice),
            clock: ManualClock::new(START),
            accounts: Seats::new(account(), Stage::ACCOUNT, &snapshots),
            matching: Seats::new(matching(), Stage::MATCHING, &snapshots),
            snapshots,
            fronts: Vec::new(),
            log: brokers.handle(),
            dice,
            brokers,
        };
        world.fronts = (0..FRONTS).map(|at| world.front(at)).collect();
        world.fill();
        world.define();
        world
    }

    fn front(&self, at: u32) -> Front {
        let log = self.brokers.handle();
        let bounds = Bounds {
            repeat_after: Duration::from_millis(500),
            give_up_after: Duration::from_secs(3),
            ..Bounds::default()
        };
        let replies = Topic::CommandReplies.partition(at);
        let own = Arc::clone(&log) as Arc<dyn Log>;
        let desk = Desk::open(own, replies, self.dice.below(u64::MAX), bounds);
        Front { desk, log }
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..26 => (0..=self.dice.below(3)).for_each(|_| {
                let (at, command) = self.clients.draw(&self.dice, self.clock.now());
                self.ask(at, &command);
            }),
            26..44 => self.turn_account(self.dice.below(2) as usize),
            44..60 => self.turn_matching(self.dice.below(2) as usize),
            60..76 => (0..=self.dice.below(40)).for_each(|_| {
                self.brokers.step();
            }),
            76..80 => self.stand_by(),
            80..86 => self.hear(),
            86..90 => {
                let ms = self.dice.below(1_500);
                self.clock.advance(Duration::from_millis(ms));
            }
            90 => match self.dice.one_in(2) {
                true => self.instruct(Asked::Whim, &Clients::halt_or_resume(&self.dice)),
                false => self.define(),
            },
            91..94 => self.replace_owner(),
            94..97 => {
                let (accounts, matching, ground) = self.ground();
                accounts.rebalance(&ground);
                matching.rebalance(&ground);
            }
            97 => {
                let (accounts, matching, ground) = self.ground();
                accounts.turn_stale(&ground);
                matching.turn_stale(&ground);
            }
            98 => self.lose_front(),
            _ => self.snapshot(),
        }
    }

    /// The stages, and what their owners stand on.
    pub fn ground(
        &mut self,
    ) -> (
        &mut Seats<AccountCodec>,
        &mut Seats<MatchingCodec>,
        Ground<'_>,
    ) {
        let ground = Ground {
            dice: &self.dice,
            brokers: &self.brokers,
            now: self.clock.now(),
        };
        (&mut self.accounts, &mut self.matching, ground)
    }

    pub fn fill(&mut self) {
        let (accounts, matching, ground) = self.ground();
        accounts.fill(&ground);
        matching.fill(&ground);
    }

    pub fn turn_account(&mut self, at: usize) {
        let (accounts, _, ground) = self.ground();
        accounts.turn(at, &ground);
        checks::money_is_conserved(self.accounts.owned());
    }

    fn turn_matching(&mut self, at: usize) {
        let (_, matching, ground) = self.ground();
        matching.turn(at, &ground);
    }

    fn replace_owner(&mut self) {
        let (at, of_accounts) = (self.dice.below(2) as usize, self.dice.one_in(2));
        let (accounts, matching, ground) = self.ground();
        match of_accounts {
            true => accounts.replace(at, &ground),
            false => matching.replace(at, &ground),
        }
    }

    /// Some process follows what another one owns.
    fn stand_by(&self) {
        let at = self.dice.below(2) as usize;
        match self.dice.one_in(2) {
            true => self.accounts.stand_by(at, &*self.log),
            false => self.matching.stand_by(at, &*self.log),
        }
    }

    fn instruct(&mut self, who: Asked, command: &ToMatching) {
        let partition = command.slot().partition(TOPOLOGY.matching_partitions);
        let mut input = Vec::new();
        matching().encode_input(&MatchingInput::Command(command.clone()), &mut input);
        let to = Stage::MATCHING.seat(partition).commands();
        let question = Question {
            who,
            to,
            input,
            repeats: false,
        };
        self.put(question);
    }

    /// One of the processes takes it. What it refuses has had no effect, and is asked for later.
    fn put(&mut self, question: Question<Asked>) {
        let at = self.dice.below(FRONTS.into()) as usize;
        let now = self.clock.monotonic();
        // Not accepted is not answered: whoever has asked asks again.
        let _ = self.fronts[at].desk.ask(question, now);
    }

    /// A process hears what has come, and repeats what has not.
    fn hear(&mut self) {
        let at = self.dice.below(FRONTS.into()) as usize;
        self.hear_at(at);
        let now = self.clock.monotonic();
        self.fronts[at].desk.expire(now);
    }

    fn hear_at(&mut self, at: usize) {
        let front = &mut self.fronts[at];
        let Ok(heard) = front.desk.hear() else {
            let failed = front.log.watermark().failure().is_some();
            assert!(failed, "a desk is deaf on a handle that works");
            return self.replace_front(at);
        };
        for (who, reply) in heard {
            match (who, reply) {
                (Asked::Client(who), Some(reply)) => {
                    let reply = journal::decode(&reply).expect("a reply");
                    self.clients.hear(who, reply);
                }
                (Asked::Client(_), None) => panic!("a command was decided without a reply"),
                (Asked::Instrument(who), _) => self.clients.instruments[who].1 = true,
                (Asked::Whim, _) => {}
            }
        }
    }

    /// All who wait at a process are never told.
    fn lose_front(&mut self) {
        let at = self.dice.below(FRONTS.into()) as usize;
        self.replace_front(at);
    }

    pub fn replace_front(&mut self, at: usize) {
        self.fronts[at].log.kill();
        self.fronts[at] = self.front(at as u32);
    }

    fn snapshot(&mut self) {
        let at = self.dice.below(2) as u32;
        match self.dice.one_in(2) {
            true => self.snapshot_of(account(), Stage::ACCOUNT, at),
            false => self.snapshot_of(matching(), Stage::MATCHING, at),
        }
    }

    /// Some process keeps a seat's snapshots, whoever owns it.
    fn snapshot_of<C: Codec>(&self, codec: Arc<C>, stage: Stage, at: u32) {
        let (log, snapshots) = (&*self.log, self.snapshots.clone());
        let retention = Retention::shared(Arc::clone(&self.log) as Arc<dyn Log>);
        let pace = Pace::default();
        let keeper = Keeper::open(codec, stage.seat(at), log, snapshots, &retention, pace);
        let mut keeper = keeper.expect("a keeper");
        keeper.snapshot(log, &retention).expect("a snapshot");
    }

    /// The faults end: everybody asks until they are told, everything arrives, all must agree.
    fn finish(mut self) -> (Report, Met) {
        self.brokers.set_rough(false);
        let (accounts, matching, ground) = self.ground();
        accounts.end_stale(&ground);
        matching.end_stale(&ground);
        self.brokers.expire();
        (0..FRONTS as usize).for_each(|at| self.hear_at(at));
        self.settle();
        self.fill();
        self.come_to_rest();
        let met = Met {
            tally: self.brokers.tally(),
            warm: self.accounts.warm + self.matching.warm,
            moves: [self.accounts.moves, self.matching.moves],
        };
        (self.agree(), met)
    }
}

impl Platform for World {
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
        self.accounts.owned()
    }

    fn matching(&self) -> impl Iterator<Item = &Partition<MatchingCodec>> {
        self.matching.owned()
    }

    fn ask(&mut self, at: usize, command: &Command) {
        let partition = command.slot.partition(TOPOLOGY.account_partitions);
        let mut input = Vec::new();
        account().encode_input(&AccountInput::Command(command.clone()), &mut input);
        let to = Stage::ACCOUNT.seat(partition).commands();
        let question = Question {
            who: Asked::Client(at),
            to,
            input,
            repeats: true,
        };
        self.put(question);
    }

    fn define(&mut self) {
        let all = self.clients.instruments.clone().into_iter().enumerate();
        for (at, (define, _)) in all.filter(|(_, (_, told))| !told) {
            self.instruct(Asked::Instrument(at), &define);
        }
    }

    fn settle(&mut self) {
        for _ in 0..12 {
            (0..2).for_each(|at| self.turn_account(at));
            (0..2).for_each(|at| self.turn_matching(at));
            self.brokers.settle();
            (0..FRONTS as usize).for_each(|at| self.hear_at(at));
        }
    }
}
