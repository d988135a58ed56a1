//! One process: both stages on the pipeline, typed values between them, ahead of the disk; the disk
//! tears, the power fails, the process dies at any change of the disk, somebody takes over.

use std::sync::Arc;
use std::time::Duration;

use prepx_account::{Input as AccountInput, Output as AccountOutput};
use prepx_bus::embedded::Config;
use prepx_bus::faulty::FaultyDir;
use prepx_bus::file::Dir;
use prepx_bus::{AppendError, EmbeddedLog, Log, Position};
use prepx_domain::Micros;
use prepx_domain::message::Command;
use prepx_domain::update::Reply;
use prepx_env::{Clock as _, ManualClock};
use prepx_matching::Input as MatchingInput;
use prepx_risk::AccountCodec;
use prepx_stage::{
    Codec, Error, Keeper, Pace, Partition, Pipeline, PipelineDeps, Retention, Snapshots, Stage,
    Turn,
};
use prepx_trading::MatchingCodec;

use crate::clients::{Clients, Dice};
use crate::platform::Platform;
use crate::{Report, START, TOPOLOGY, account, checks, matching};

type Path = Pipeline<AccountCodec, MatchingCodec>;

/// An operator's command that nobody waits for.
const WHIM: u64 = u64::MAX;

enum Waiting {
    Reply(usize, Reply),
    Instrument(usize),
}

/// What lives and dies with the process.
pub struct Process {
    pub log: Arc<EmbeddedLog>,
    pub pipeline: Path,
    retention: Retention,
    accounts: Vec<Keeper<AccountCodec>>,
    matching: Vec<Keeper<MatchingCodec>>,
    /// Decided and not yet durable.
    waiting: Vec<(Position, Waiting)>,
}

/// The process has died of a fault that was put in its way.
#[derive(Debug)]
pub struct Died;

/// Everything of a run.
pub struct World {
    pub dice: Dice,
    pub clock: Arc<ManualClock>,
    pub clients: Clients,
    pub log_dir: Arc<FaultyDir>,
    pub snapshot_dir: Arc<FaultyDir>,
    pub process: Process,
    /// One damaged snapshot at a time is what can be survived.
    damaged: bool,
}

/// A run, and what came of it.
pub fn run(seed: u64, steps: u64) -> Report {
    let mut world = World::new(seed);
    if !world.dice.one_in(4) {
        world.fund();
    }
    for _ in 0..steps {
        if world.step().is_err() {
            world.restart();
        }
    }
    world.finish()
}

impl Process {
    fn open(
        log_dir: &Arc<FaultyDir>,
        snapshot_dir: &Arc<FaultyDir>,
        clock: &Arc<ManualClock>,
    ) -> Result<Process, Died> {
        let config = Config {
            segment_bytes: 64 << 10,
            buffer_bytes: 64 << 10,
            batch_bytes_max: 64 << 10,
            tail_bytes: 8 << 10,
            holder: "a simulated process".into(),
            ..Config::default()
        };
        let log = EmbeddedLog::open(log_dir.clone(), config).map_err(|_| Died)?;
        let snapshots = Snapshots::new(snapshot_dir.clone());
        let pipeline = open_pipeline(&log, &snapshots, clock)?;
        let as_log = Arc::clone(&log) as Arc<dyn Log>;
        let retention = Retention::new(Arc::clone(&as_log));
        Ok(Process {
            accounts: keepers(account(), Stage::ACCOUNT, &*log, &snapshots, &retention)?,
            matching: keepers(matching(), Stage::MATCHING, &*log, &snapshots, &retention)?,
            log,
            pipeline,
            retention,
            waiting: Vec::new(),
        })
    }
}

fn open_pipeline(
    log: &Arc<EmbeddedLog>,
    snapshots: &Snapshots,
    clock: &Arc<ManualClock>,
) -> Result<Path, Died> {
    let deps = PipelineDeps {
        log: log.clone(),
        snapshots,
        topology: TOPOLOGY,
        clock: clock.clone(),
        who: "a simulated process",
        watch: &(),
    };
    let pipeline = Pipeline::open((account(), matching()), deps);
    pipeline.map_err(|error| dead_or_wrong(log, &error))
}

/// An error of a dying process is what was asked for; any other is a fault of the stages.
fn dead_or_wrong(log: &EmbeddedLog, error: &dyn std::fmt::Display) -> Died {
    let said = error.to_string();
    let asked = ["process", "disk failed"]
        .iter()
        .any(|word| said.contains(word));
    assert!(
        asked || log.watermark().failure().is_some(),
        "the stages failed: {said}"
    );
    Died
}

fn keepers<C: Codec>(
    codec: Arc<C>,
    stage: Stage,
    log: &dyn Log,
    snapshots: &Snapshots,
    retention: &Retention,
) -> Result<Vec<Keeper<C>>, Died> {
    let pace = Pace {
        events: 1,
        log_bytes: u64::MAX,
    };
    let open = |seat| {
        let (codec, snapshots) = (Arc::clone(&codec), snapshots.clone());
        Keeper::open(codec, seat, log, snapshots, retention, pace).map_err(|_| Died)
    };
    TOPOLOGY.seats(stage).map(open).collect()
}

impl World {
    /// An empty disk, a process on it, instruments about to be defined.
    pub fn new(seed: u64) -> World {
        let dice = Dice::new(seed);
        let clock = Arc::new(ManualClock::new(START));
        let (log_dir, snapshot_dir) = (FaultyDir::new(seed), FaultyDir::new(!seed));
        let process = Process::open(&log_dir, &snapshot_dir, &clock).expect("an empty disk");
        let mut world = World {
            clients: Clients::new(&dice),
            dice,
            clock,
            log_dir,
            snapshot_dir,
            process,
            damaged: false,
        };
        world.limit_room();
        world.define();
        world
    }

    fn step(&mut self) -> Result<(), Died> {
        match self.dice.below(100) {
            0..40 => (0..=self.dice.below(4)).for_each(|_| self.submit()),
            40..65 => self.turn()?,
            65..80 => self.flush()?,
            80..84 => self.pass_time(),
            84..86 => {
                let whim = Clients::halt_or_resume(&self.dice);
                let slot = whim.slot();
                self.process
                    .pipeline
                    .submit_matching(WHIM, slot, MatchingInput::Command(whim));
            }
            86..91 => self.snapshot()?,
            91 => self.check()?,
            92 => self.take_over()?,
            93 => self.damage_snapshot(),
            94 => self.log_dir.fail_sync_after(self.dice.below(4)),
            95 => self.log_dir.die_after(1 + self.dice.below(12)),
            96 => self.snapshot_dir.die_after(1 + self.dice.below(8)),
            _ => return Err(Died),
        }
        Ok(())
    }

    fn limit_room(&mut self) {
        self.process.pipeline.limit_room(self.dice.room_bytes());
    }

    pub fn submit(&mut self) {
        let (at, command) = self.clients.draw(&self.dice, self.clock.now());
        self.ask(at, &command);
    }

    pub fn turn(&mut self) -> Result<(), Died> {
        loop {
            match self.process.pipeline.turn() {
                Ok(Turn::Idle) => break,
                Ok(Turn::Blocked) => self.flush()?,
                Ok(Turn::More) => {}
                Err(error) => return Err(dead_or_wrong(&self.process.log, &error)),
            }
        }
        let process = &mut self.process;
        for decided in process.pipeline.drain_decided() {
            let Some(AccountOutput::Reply(reply)) = decided.reply else {
                panic!("a command was decided without a reply");
            };
            let waiting = Waiting::Reply(decided.token as usize, reply);
            process.waiting.push((decided.position, waiting));
        }
        for decided in process.pipeline.drain_decided_matching() {
            if decided.token != WHIM {
                let waiting = Waiting::Instrument(decided.token as usize);
                process.waiting.push((decided.position, waiting));
            }
        }
        checks::money_is_conserved(process.pipeline.accounts());
        Ok(())
    }

    /// Syncs, and tells clients what is durable (I8), in any order.
    pub fn flush(&mut self) -> Result<(), Died> {
        let process = &mut self.process;
        let flushed = process.log.flush();
        // Even a sync that failed may have been preceded by one that did not.
        let durable = process.log.durable();
        let all = std::mem::take(&mut process.waiting);
        for (position, waiting) in all {
            match waiting {
                waiting if position > durable => process.waiting.push((position, waiting)),
                Waiting::Reply(at, reply) => self.clients.hear(at, reply),
                Waiting::Instrument(at) => self.clients.instruments[at].1 = true,
            }
        }
        flushed.map(drop).map_err(|_| Died)
    }

    fn pass_time(&mut self) {
        match self.dice.below(6) {
            // Somebody sets the clock.
            0 => {
                let step_us = self.dice.below(8_000_000) as i64 - 4_000_000;
                self.clock.jump_to(self.clock.now().plus_us(step_us));
            }
            _ => self
                .clock
                .advance(Duration::from_millis(self.dice.below(1_500))),
        }
        self.process.pipeline.tick();
    }

    pub fn snapshot(&mut self) -> Result<(), Died> {
        let process = &mut self.process;
        let (log, retention) = (&*process.log, &process.retention);
        let at = self.dice.below(2) as usize;
        let made = match self.dice.one_in(2) {
            true => process.accounts[at].snapshot(log, retention),
            false => process.matching[at].snapshot(log, retention),
        };
        made.map_err(|error| dead_or_wrong(&process.log, &error))
    }

    fn check(&mut self) -> Result<(), Died> {
        self.turn()?;
        self.flush()?;
        if self.snapshot_dir.list().is_err() {
            return Err(Died);
        }
        self.fold_is_live();
        Ok(())
    }

    /// A second owner on the same log; the first must not get anything in any more.
    fn take_over(&mut self) -> Result<(), Died> {
        let successor = open_pipeline(&self.process.log, &self.snapshots(), &self.clock)?;
        let mut stale = std::mem::replace(&mut self.process.pipeline, successor);
        let (at, command) = self.clients.draw(&self.dice, self.clock.now());
        let slot = command.slot;
        stale.submit(at as u64, slot, AccountInput::Command(command), None);
        match stale.turn() {
            Err(Error::Append(AppendError::Fenced { .. })) => Ok(()),
            Err(error) => Err(dead_or_wrong(&self.process.log, &error)),
            Ok(_) => panic!("I2: a stale owner appended"),
        }
    }

    fn damage_snapshot(&mut self) {
        let Ok(names) = self.snapshot_dir.list() else {
            return;
        };
        let name = &names[names.len().saturating_sub(1)..];
        if let [name] = name
            && !name.ends_with("part")
            && !std::mem::replace(&mut self.damaged, true)
        {
            self.snapshot_dir
                .corrupt(name, 20 + self.dice.below(20) as usize, 1);
        }
    }

    /// The process starts again, after a loss of power or a kill; perhaps it dies on the way.
    fn restart(&mut self) {
        loop {
            self.die(self.dice.one_in(2));
            if self.dice.one_in(5) {
                self.log_dir.die_after(1 + self.dice.below(6));
            }
            if self.start().is_ok() {
                return;
            }
        }
    }

    /// The process is gone; without power so is what was not synced.
    pub fn die(&mut self, power_fails: bool) {
        let again = |dir: &Arc<FaultyDir>| match power_fails {
            true => dir.crash(),
            false => dir.kill(),
        };
        self.log_dir = again(&self.log_dir);
        self.snapshot_dir = again(&self.snapshot_dir);
    }

    /// A process on what the disk has.
    pub fn start(&mut self) -> Result<(), Died> {
        self.process = Process::open(&self.log_dir, &self.snapshot_dir, &self.clock)?;
        self.limit_room();
        self.define();
        Ok(())
    }

    /// The faults end: everybody asks until they are told, everything arrives, all must agree.
    fn finish(mut self) -> Report {
        self.die(true);
        self.start().expect("the last start");
        self.come_to_rest();
        self.agree()
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
        &*self.process.log
    }

    fn snapshots(&self) -> Snapshots {
        Snapshots::new(self.snapshot_dir.clone())
    }

    fn accounts(&self) -> impl Iterator<Item = &Partition<AccountCodec>> {
        self.process.pipeline.accounts()
    }

    fn matching(&self) -> impl Iterator<Item = &Partition<MatchingCodec>> {
        self.process.pipeline.matching()
    }

    fn ask(&mut self, at: usize, command: &Command) {
        let input = AccountInput::Command(command.clone());
        let pipeline = &mut self.process.pipeline;
        pipeline.submit(at as u64, command.slot, input, None);
    }

    fn define(&mut self) {
        for (token, (define, told)) in self.clients.instruments.iter().enumerate() {
            if !told {
                let input = MatchingInput::Command(define.clone());
                let slot = define.slot();
                self.process
                    .pipeline
                    .submit_matching(token as u64, slot, input);
            }
        }
    }

    fn settle(&mut self) {
        self.process.pipeline.tick();
        self.turn()
            .and_then(|()| self.flush())
            .expect("the faults have ended");
    }
}
