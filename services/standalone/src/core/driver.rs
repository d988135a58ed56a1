//! The core's thread: takes requests from the ring, has the pipeline decide them, and passes the answers on
//! to be released when they are durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use prepx_bus::{Log, Poisoned, WaitError};
use prepx_domain::Slot;
use prepx_domain::message::{Command, ToMatching};
use prepx_domain::update::Reply;
use prepx_env::Clock;
use prepx_owner::{Deliver, Pass, Release};
use prepx_stage::{Decided, Turn};
use prepx_trace::Traces;
use tokio::sync::oneshot;

use super::keepers::Progress;
use super::{Pipeline, account, matching};

/// How often the stages check whether an order expires.
const TICK: Duration = Duration::from_millis(20);
/// The least time from one turn to the next. Alone, a command is decided at once; under load, those that
/// come within this time share one wake-up of this thread, one frame and one sync, which cost several times
/// as much as deciding.
const TURN_SPACING: Duration = Duration::from_micros(400);
/// A turn takes no further command from the ring when it has this many.
const TURN_COMMANDS: usize = 2_048;
/// How long to wait for space in the log before checking again whether it has failed.
const ROOM_WAIT: Duration = Duration::from_millis(100);

/// A read of the stages' memory; it returns a function that delivers the result.
pub(super) type Look = Box<dyn FnOnce(&Pipeline) -> Deliver + Send>;

/// A request in the ring.
pub(super) enum Request {
    /// Commands to the account stage, decided in their order, answered together.
    Commands {
        commands: Vec<Command>,
        traces: Traces,
        answer: oneshot::Sender<Vec<Option<Reply>>>,
        pass: Pass,
    },
    /// An operator's command to the matching stage.
    Instrument {
        slot: Slot,
        command: ToMatching,
        answer: oneshot::Sender<()>,
        pass: Pass,
    },
    /// A read.
    Look(Look),
    /// Finish what was accepted, and end.
    Stop,
}

/// Why the core has stopped for good.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Stage(#[from] prepx_stage::Error),
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

pub(super) struct Driver {
    pub pipeline: Pipeline,
    pub ring: Receiver<Request>,
    pub log: Arc<dyn Log>,
    pub clock: Arc<dyn Clock>,
    pub release: Arc<Release>,
    pub progress: Progress,
    pub turn: Gathered,
}

/// The requests of one turn. Kept for its buffers.
#[derive(Default)]
pub(super) struct Gathered {
    groups: Vec<Group>,
    /// For each command, by token: its group, and its place in it.
    tokens: Vec<(usize, usize)>,
    instruments: Vec<(oneshot::Sender<()>, Pass)>,
    looks: Vec<Look>,
    stop: bool,
}

struct Group {
    replies: Vec<Option<Reply>>,
    answer: oneshot::Sender<Vec<Option<Reply>>>,
    pass: Pass,
}

impl Driver {
    /// Runs until it is told to stop, all senders are gone, or the stages or the log fail.
    pub fn run(mut self) -> Result<(), Error> {
        self.decide()?;
        let mut next_tick = self.clock.monotonic() + TICK;
        let mut next_turn = Duration::ZERO;
        let mut crowded = false;
        while !self.turn.stop {
            if crowded {
                // Before the look: a sender that brings a command now need not wake this thread.
                std::thread::sleep(next_turn.saturating_sub(self.clock.monotonic()));
            }
            let timeout = next_tick.saturating_sub(self.clock.monotonic());
            match self.ring.recv_timeout(timeout) {
                Ok(request) => {
                    std::thread::sleep(next_turn.saturating_sub(self.clock.monotonic()));
                    self.gather(request);
                    crowded = self.turn.groups.len() > 1;
                    next_turn = self.clock.monotonic() + TURN_SPACING;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.turn.stop = true,
            }
            let now = self.clock.monotonic();
            if now >= next_tick {
                self.pipeline.tick();
                next_tick = now + TICK;
            }
            self.decide()?;
            self.answer();
        }
        Ok(())
    }

    /// Takes `first` and the requests behind it.
    fn gather(&mut self, first: Request) {
        let mut next = Some(first);
        while let Some(request) = next.take() {
            match request {
                Request::Commands {
                    commands,
                    traces,
                    answer,
                    pass,
                } => self.gather_commands((commands, &traces), answer, pass),
                Request::Instrument {
                    slot,
                    command,
                    answer,
                    pass,
                } => {
                    let token = self.turn.instruments.len() as u64;
                    let input = matching::Input::Command(command);
                    self.pipeline.submit_matching(token, slot, input);
                    self.turn.instruments.push((answer, pass));
                }
                Request::Look(look) => self.turn.looks.push(look),
                Request::Stop => self.turn.stop = true,
            }
            if self.turn.tokens.len() < TURN_COMMANDS {
                next = self.ring.try_recv().ok();
            }
        }
    }

    fn gather_commands(
        &mut self,
        (commands, traces): (Vec<Command>, &Traces),
        answer: oneshot::Sender<Vec<Option<Reply>>>,
        pass: Pass,
    ) {
        let group = self.turn.groups.len();
        self.turn.groups.push(Group {
            replies: vec![None; commands.len()],
            answer,
            pass,
        });
        for (place, command) in commands.into_iter().enumerate() {
            let token = self.turn.tokens.len() as u64;
            self.turn.tokens.push((group, place));
            let slot = command.slot;
            let input = account::Input::Command(command);
            self.pipeline.submit(token, slot, input, traces.of(place));
        }
    }

    /// Takes a turn to its end, waiting for the disk when the log has no space.
    fn decide(&mut self) -> Result<(), Error> {
        while self.pipeline.turn()? == Turn::Blocked {
            let next = prepx_bus::Position(self.log.durable().0 + 1);
            match self.log.wait_durable(next, ROOM_WAIT) {
                Err(WaitError::Poisoned(poisoned)) => return Err(poisoned.into()),
                Ok(()) | Err(WaitError::Timeout { .. } | WaitError::Fenced(_)) => {}
            }
        }
        Ok(())
    }

    /// Passes on the answers of the turn. All of them may leave when the end of the turn is durable.
    fn answer(&mut self) {
        let turn = &mut self.turn;
        for Decided { token, reply, .. } in self.pipeline.drain_decided() {
            let (group, place) = turn.tokens[token as usize];
            if let Some(account::Output::Reply(reply)) = reply {
                turn.groups[group].replies[place] = Some(reply);
            }
        }
        self.pipeline.drain_decided_matching().for_each(drop);
        turn.tokens.clear();
        let groups = turn.groups.drain(..).map(|group| -> Deliver {
            Box::new(move || {
                drop(group.pass);
                // The caller may have gone; the write is done nevertheless.
                let _ = group.answer.send(group.replies);
            })
        });
        let instruments = turn.instruments.drain(..).map(|(answer, pass)| -> Deliver {
            Box::new(move || {
                drop(pass);
                let _ = answer.send(());
            })
        });
        let pipeline = &self.pipeline;
        let looks = turn.looks.drain(..).map(|look| look(pipeline));
        let head = pipeline.head();
        self.release
            .hold(head, groups.chain(instruments).chain(looks));
        self.release.advance(self.log.durable());
        self.publish();
    }

    fn publish(&self) {
        let heads = self.pipeline.accounts().map(|owner| owner.head().events);
        for (progress, events) in self.progress.accounts.iter().zip(heads) {
            progress.store(events, Ordering::Relaxed);
        }
        let heads = self.pipeline.matching().map(|owner| owner.head().events);
        for (progress, events) in self.progress.matching.iter().zip(heads) {
            progress.store(events, Ordering::Relaxed);
        }
    }
}
