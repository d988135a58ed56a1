//! The owners of one stage's partitions on brokers, each a process with a handle of its own: those who
//! are, those who do not know yet that they are not, and seats that nobody has; and what stands by for them.

use std::sync::Arc;

use prepx_bus::brokers::{BrokerLog, Brokers};
use prepx_bus::{AppendError, Change, Log};
use prepx_domain::Micros;
use prepx_stage::{
    Codec, Error, Handles, Partition, Seat, Snapshots, Stage, Standby, Station, Takeover,
};

use crate::TOPOLOGY;
use crate::clients::Dice;
use crate::group::{Moves, Worker, Workers};

/// What a process needs to own a partition.
pub struct Ground<'a> {
    pub dice: &'a Dice,
    pub brokers: &'a Brokers,
    pub now: Micros,
}

struct Process<C: Codec> {
    station: Station<C>,
    log: Arc<BrokerLog>,
    /// Where it sends replies, also when it has been fenced.
    replies: Arc<BrokerLog>,
}

pub struct Seats<C: Codec> {
    codec: Arc<C>,
    /// Whoever takes a seat over has what stands by for it.
    standbys: Vec<Standby<C>>,
    /// How many takeovers have begun with that.
    pub warm: u64,
    /// Who may own them.
    workers: Workers,
    pub moves: Moves,
    living: Vec<Option<Process<C>>>,
    stale: Vec<Process<C>>,
}

impl<C: Codec> Seats<C> {
    pub fn new(codec: Arc<C>, stage: Stage, snapshots: &Snapshots) -> Seats<C> {
        let seats = TOPOLOGY.seats(stage);
        let standby = |seat| Standby::new(Arc::clone(&codec), seat, snapshots.clone());
        let standbys: Vec<_> = seats.map(standby).collect();
        Seats {
            living: standbys.iter().map(|_| None).collect(),
            standbys,
            warm: 0,
            workers: Workers::new(TOPOLOGY.partitions(stage.journal)),
            moves: Moves::default(),
            codec,
            stale: Vec::new(),
        }
    }

    /// The partitions that have an owner.
    pub fn owned(&self) -> impl Iterator<Item = &Partition<C>> {
        let living = self.living.iter().flatten();
        living.map(|process| process.station.partition())
    }

    /// Somebody begins to stand by for a seat, or follows its journal for a while.
    pub fn stand_by(&self, at: usize, log: &dyn Log) {
        let standby = &self.standbys[at];
        standby.load().expect("snapshots can be read");
        standby.follow(log).expect("it can be followed");
    }

    fn seat(&self, at: usize) -> Seat {
        self.standbys[at].seat()
    }

    /// Somebody takes a partition over, if the brokers let it.
    fn open(&mut self, at: usize, ground: &Ground<'_>) -> Option<Process<C>> {
        let (log, replies) = (ground.brokers.handle(), ground.brokers.handle());
        let takeover = Takeover {
            who: "a simulated owner",
            now: ground.now,
            reemit: ground.dice.one_in(3),
            watch: &(),
        };
        let handles = Handles {
            own: Arc::clone(&log) as Arc<dyn Log>,
            replies: Arc::clone(&replies) as Arc<dyn Log>,
        };
        let codec = Arc::clone(&self.codec);
        let (seat, standby) = (self.seat(at), &self.standbys[at]);
        match Station::open(codec, seat, TOPOLOGY, handles, standby, takeover) {
            Ok(mut station) => {
                self.warm += u64::from(station.partition().begun().warm);
                station.limit_room(ground.dice.room_bytes());
                Some(Process {
                    station,
                    log,
                    replies,
                })
            }
            Err(Error::Fence(_)) => {
                log.kill();
                None
            }
            Err(error) => panic!("{seat} could not be taken over: {error}"),
        }
    }

    /// Everybody hears of every lease, and every seat that nobody has is taken. The weather must be calm.
    pub fn fill(&mut self, ground: &Ground<'_>) {
        while self
            .workers
            .all()
            .into_iter()
            .any(|who| self.hear(who, ground))
        {}
        for at in 0..self.standbys.len() {
            assert!(self.workers.holder(at).is_some(), "it is granted to nobody");
            if self.living[at].is_none() {
                self.living[at] = self.open(at, ground);
                assert!(self.living[at].is_some(), "the brokers are there");
            }
        }
    }

    /// An owner has a turn, or somebody tries to become it.
    pub fn turn(&mut self, at: usize, ground: &Ground<'_>) {
        let Some(mut process) = self.living[at].take() else {
            if self.workers.holder(at).is_some() && ground.dice.one_in(2) {
                self.living[at] = self.open(at, ground);
            }
            return;
        };
        if ground.dice.one_in(3) {
            process.station.tick();
        }
        match process.station.turn(ground.now) {
            Ok(_) => self.living[at] = Some(process),
            Err(error) => {
                let seat = self.seat(at);
                assert!(process.has_lost(&error), "{seat} has stopped: {error}");
                process.end();
            }
        }
    }

    /// Its owner dies, whatever it has under way.
    pub fn kill(&mut self, at: usize) {
        if let Some(process) = self.living[at].take() {
            process.kill();
        }
    }

    /// Its owner is paused, and does not know what goes on meanwhile.
    pub fn pause(&mut self, at: usize) {
        if let Some(process) = self.living[at].take() {
            process.pause(true);
            self.stale.push(process);
        }
    }

    /// The processes that share the stage become more or fewer, or one is not heard of; some of them hear what follows.
    pub fn rebalance(&mut self, ground: &Ground<'_>) {
        if ground.dice.one_in(3) {
            let dead = self.workers.stir(ground.dice);
            dead.into_iter().for_each(|at| self.kill(at));
        }
        for who in self.workers.all() {
            if ground.dice.one_in(2) {
                self.hear(who, ground);
            }
        }
    }

    /// A process hears of a change and does as libs/owner does; whether there was one.
    fn hear(&mut self, who: Worker, ground: &Ground<'_>) -> bool {
        let change = self.workers.hear(who);
        match change {
            Some(Change::Granted(granted)) => {
                let at = granted as usize;
                // The former owner may not have heard yet that it is none.
                self.stale.extend(self.living[at].take());
                self.living[at] = self.open(at, ground);
            }
            Some(Change::Revoked(revoked)) => {
                // Released at once, and worked on until somebody else has taken over.
                let at = revoked as usize;
                if self.workers.let_go(who, at) {
                    self.stale.extend(self.living[at].take());
                    self.moves.handed_over += 1;
                }
                self.workers.release(who, revoked);
            }
            Some(Change::Lost(lost)) => {
                let at = lost as usize;
                if self.workers.let_go(who, at) {
                    self.stale.extend(self.living[at].take());
                    self.moves.lost += 1;
                }
            }
            None => {}
        }
        change.is_some()
    }

    /// A seat moves: its owner lets go of it, dies, is paused, or is not told.
    pub fn replace(&mut self, at: usize, ground: &Ground<'_>) {
        match ground.dice.below(4) {
            0 => self.let_go(at),
            1 => return self.kill(at),
            2 => self.pause(at),
            _ => self.stale.extend(self.living[at].take()),
        }
        self.living[at] = self.open(at, ground);
    }

    /// Its owner answers what it has decided, if it still can, and leaves.
    fn let_go(&mut self, at: usize) {
        if let Some(process) = self.living[at].take() {
            process.log.flush();
            process.end();
        }
    }

    /// Somebody who is an owner no more goes on, until it finds out: because it is refused, because its
    /// handle has lost something, or because it asks, when it reads what its machine takes for corruption:
    /// an answer to what only its successor has asked.
    pub fn turn_stale(&mut self, ground: &Ground<'_>) {
        let Some(mut process) = self.stale.pop() else {
            return;
        };
        process.pause(false);
        match process.station.turn(ground.now) {
            Ok(_) => self.stale.insert(0, process),
            Err(error) => {
                assert!(
                    process.has_lost(&error),
                    "a stale owner has stopped: {error}"
                );
                process.end();
            }
        }
    }

    /// Whoever is stale has its last word.
    pub fn end_stale(&mut self, ground: &Ground<'_>) {
        for _ in 0..4 * self.stale.len() {
            self.turn_stale(ground);
            (0..8).for_each(|_| {
                ground.brokers.step();
            });
        }
        self.stale.drain(..).for_each(|process| process.kill());
    }
}

impl<C: Codec> Process<C> {
    /// Whether that is how an owner ends that has done nothing wrong.
    fn has_lost(&self, error: &Error) -> bool {
        match error {
            Error::Append(AppendError::Fenced { .. }) => true,
            Error::Append(AppendError::Poisoned(_)) => {
                let handles = [&self.log, &self.replies];
                handles
                    .iter()
                    .any(|log| log.watermark().failure().is_some())
            }
            _ => false,
        }
    }

    /// It answers what it has made durable, and is gone.
    fn end(mut self) {
        let _ = self.station.settle();
        self.log.kill();
    }

    fn kill(&self) {
        self.log.kill();
        self.replies.kill();
    }

    fn pause(&self, paused: bool) {
        self.log.pause(paused);
        self.replies.pause(paused);
    }
}
