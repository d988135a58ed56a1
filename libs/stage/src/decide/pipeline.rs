//! The order path of one process: account → matching → account, on one thread, over typed values.
//!
//! Owns all partitions of both stages and the messages between them. One call of [`Pipeline::turn`] takes the
//! submitted commands through both stages until nothing is left to do, and appends a transition for every group
//! of inputs; nothing waits for the disk. That is sound only on a log whose durable prefix is causally closed
//! ([`Log::runs_ahead`]): an input that one partition received from another is never durable before the
//! transition that sent it.
//!
//! Has no threads, sockets or clock of its own: the core's thread and the simulation drive the same code.

use std::sync::Arc;

use prepx_bus::{Log, Position, TopicPartition};
use prepx_domain::{Micros, Slot};
use prepx_env::Clock;
use prepx_trace::Trace;

use crate::clock::SteadyClock;
use crate::codec::{Codec, Input, Output};
use crate::decide::cell::{Cell, Step, Work};
use crate::decide::feed;
use crate::decide::partition::{Answer, Partition};
use crate::error::Error;
use crate::recovery::takeover::{RecoveryObserver, Takeover};
use crate::snapshot::Snapshots;
use crate::topology::{Stage, Topology};

/// After this many rounds of account → matching → account a turn is taken to be endless.
const ROUNDS_MAX: u32 = 10_000;

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing is left to do.
    Idle,
    /// The log's buffer is full. Nothing is lost: go on when the watermark has moved.
    Blocked,
    /// There may be more to do, but others should have their turn first. Only a
    /// [`Station`](crate::Station) returns this.
    More,
}

/// A command whose decision is on its way to the disk.
#[derive(Debug)]
pub struct Decided<O> {
    /// The token that the command was submitted with.
    pub token: u64,
    /// The reply may be released once this is durable (I8).
    pub position: Position,
    /// The reply, if the stage gave one.
    pub reply: Option<O>,
}

/// What a [`Pipeline`] is opened with, besides the codecs of its stages.
pub struct PipelineDeps<'a> {
    /// Where the journals are. Its stages must be allowed to run ahead ([`Log::runs_ahead`]).
    pub log: Arc<dyn Log>,
    /// Where recovery begins.
    pub snapshots: &'a Snapshots,
    /// How many partitions each stage has.
    pub topology: Topology,
    /// The time of decisions.
    pub clock: Arc<dyn Clock>,
    /// Which process takes over, for people.
    pub who: &'a str,
    /// Is told how the recovery proceeds.
    pub watch: &'a dyn RecoveryObserver,
}

/// Both stages. See the module's documentation.
pub struct Pipeline<A: Codec, M: Codec> {
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    steady: SteadyClock,
    topology: Topology,
    accounts: Bank<A>,
    matching: Bank<M>,
    /// The end of the last transition.
    head: Position,
}

/// The partitions of one stage, their undecided inputs and their decisions.
struct Bank<C: Codec> {
    codec: Arc<C>,
    cells: Vec<Cell<C>>,
    decided: Vec<Decided<Output<C>>>,
}

impl<A, M> Pipeline<A, M>
where
    A: Codec<Sends = <M as Codec>::Receives>,
    M: Codec<Sends = <A as Codec>::Receives>,
{
    /// Takes over all partitions and queues the inputs that they have not decided yet. The first
    /// [`Self::turn`] records the new epochs.
    ///
    /// # Errors
    /// When a journal cannot be fenced, read or folded.
    ///
    /// # Panics
    /// If the log's stages may not run ahead ([`Log::runs_ahead`]).
    pub fn open(
        (accounts, matching): (Arc<A>, Arc<M>),
        deps: PipelineDeps<'_>,
    ) -> Result<Pipeline<A, M>, Error> {
        assert!(
            deps.log.runs_ahead(),
            "stages that run ahead of the disk need a log whose durable prefix is causally closed"
        );
        let mut steady = SteadyClock::new(&*deps.clock);
        let now = steady.now(&*deps.clock);
        Ok(Pipeline {
            accounts: Bank::open(accounts, Stage::ACCOUNT, &deps, now)?,
            matching: Bank::open(matching, Stage::MATCHING, &deps, now)?,
            head: deps.log.durable(),
            topology: deps.topology,
            steady,
            clock: deps.clock,
            log: deps.log,
        })
    }

    /// Queues a command for the account partition of its slot. `token` comes back with the decision; `trace` is
    /// the trace that the command belongs to, if any.
    pub fn submit(&mut self, token: u64, slot: Slot, input: Input<A>, trace: Option<Trace>) {
        let partition = slot.partition(self.topology.account_partitions);
        let work = Work::Command {
            token,
            input,
            trace,
        };
        self.accounts.put(partition, work);
    }

    /// Queues an operator's command for the matching partition of its slot.
    pub fn submit_matching(&mut self, token: u64, slot: Slot, input: Input<M>) {
        let partition = slot.partition(self.topology.matching_partitions);
        let work = Work::Command {
            token,
            input,
            trace: None,
        };
        self.matching.put(partition, work);
    }

    /// Has every partition check its timers at the next turn.
    pub fn tick(&mut self) {
        self.accounts.tick();
        self.matching.tick();
    }

    /// Decides everything that is queued, in both stages, until nothing is left. After an error the pipeline must
    /// not be used again.
    pub fn turn(&mut self) -> Result<Turn, Error> {
        // The decisions of a turn are released together, so they may as well be written together.
        self.log.begin_group();
        let turn = self.rounds();
        self.log.end_group();
        turn
    }

    fn rounds(&mut self) -> Result<Turn, Error> {
        let now = self.steady.now(&*self.clock);
        for _ in 0..ROUNDS_MAX {
            let round = Round {
                log: &*self.log,
                now,
            };
            let (accounts, matching) = (&mut self.accounts, &mut self.matching);
            let went = accounts.run(round, matching, &mut self.head)?;
            let came = matching.run(round, accounts, &mut self.head)?;
            match (went, came) {
                (Ran::Blocked, _) | (_, Ran::Blocked) => return Ok(Turn::Blocked),
                (Ran::Nothing, Ran::Nothing) => return Ok(Turn::Idle),
                _ => {}
            }
        }
        Err(Error::Endless {
            journal: Stage::ACCOUNT.seat(0).journal(),
        })
    }

    /// The account commands decided since the last call.
    pub fn drain_decided(&mut self) -> impl Iterator<Item = Decided<Output<A>>> {
        self.accounts.decided.drain(..)
    }

    /// The operators' commands decided since the last call.
    pub fn drain_decided_matching(&mut self) -> impl Iterator<Item = Decided<Output<M>>> {
        self.matching.decided.drain(..)
    }

    /// The end of the last transition: what is read from memory now may be shown once this is durable (I8).
    pub fn head(&self) -> Position {
        self.head
    }

    /// [`Partition::limit_room`] for every partition.
    pub fn limit_room(&mut self, bytes: usize) {
        let accounts = self.accounts.cells.iter_mut();
        accounts.for_each(|cell| cell.partition.limit_room(bytes));
        let matching = self.matching.cells.iter_mut();
        matching.for_each(|cell| cell.partition.limit_room(bytes));
    }

    /// The account partitions, by number.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = &Partition<A>> {
        self.accounts.cells.iter().map(|cell| &cell.partition)
    }

    /// The matching partitions, by number.
    pub fn matching(&self) -> impl ExactSizeIterator<Item = &Partition<M>> {
        self.matching.cells.iter().map(|cell| &cell.partition)
    }

    /// The account partition of a slot.
    pub fn account_partition(&self, slot: Slot) -> &Partition<A> {
        let partition = slot.partition(self.topology.account_partitions);
        &self.accounts.cells[partition as usize].partition
    }

    /// The matching partition of a slot.
    pub fn matching_partition(&self, slot: Slot) -> &Partition<M> {
        let partition = slot.partition(self.topology.matching_partitions);
        &self.matching.cells[partition as usize].partition
    }

    /// Whether the wall clock has jumped and is not being followed.
    pub fn is_clock_stepped(&self) -> bool {
        self.steady.is_stepped()
    }
}

#[derive(Clone, Copy)]
struct Round<'a> {
    log: &'a dyn Log,
    now: Micros,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ran {
    Nothing,
    Something,
    Blocked,
}

impl<C: Codec> Bank<C> {
    fn open(
        codec: Arc<C>,
        stage: Stage,
        deps: &PipelineDeps<'_>,
        now: Micros,
    ) -> Result<Bank<C>, Error> {
        let (log, topology) = (&*deps.log, deps.topology);
        let takeover = Takeover {
            who: deps.who,
            now,
            reemit: false,
            watch: deps.watch,
        };
        let open = |seat| {
            let codec = Arc::clone(&codec);
            let partition = Partition::open(codec, seat, topology, log, deps.snapshots, takeover)?;
            let inbox = feed::unread(&partition, log)?;
            Ok(Cell::new(partition, inbox))
        };
        let cells = topology
            .seats(stage)
            .map(open)
            .collect::<Result<_, Error>>()?;
        Ok(Bank {
            codec,
            cells,
            decided: Vec::new(),
        })
    }

    fn put(&mut self, partition: u32, work: Work<Input<C>>) {
        self.cells[partition as usize].inbox.push_back(work);
    }

    fn tick(&mut self) {
        self.cells.iter_mut().for_each(Cell::tick);
    }

    /// Has every partition decide its inbox.
    fn run<D: Codec<Receives = C::Sends>>(
        &mut self,
        round: Round<'_>,
        other: &mut Bank<D>,
        head: &mut Position,
    ) -> Result<Ran, Error> {
        let mut ran = Ran::Nothing;
        for cell in &mut self.cells {
            loop {
                let position = match cell.step(round.log, round.now)? {
                    Step::Idle => break,
                    Step::Blocked => return Ok(Ran::Blocked),
                    Step::Went(position) => position,
                };
                ran = Ran::Something;
                let Some(position) = position else { continue };
                *head = position;
                other.take_over(&mut cell.partition);
                let decided = |Answer { token, reply }| Decided {
                    token,
                    position,
                    reply,
                };
                self.decided
                    .extend(cell.partition.drain_answers().map(decided));
            }
        }
        Ok(ran)
    }

    /// Queues here what a partition of the other stage has just sent.
    fn take_over<D: Codec<Sends = C::Receives>>(&mut self, sender: &mut Partition<D>) {
        let (codec, cells) = (&self.codec, &mut self.cells);
        sender.drain_sent(
            |to: TopicPartition, parcel| {
                cells[to.partition as usize]
                    .inbox
                    .push_back(Work::Parcel(parcel));
            },
            |message| codec.receive(message),
        );
    }
}
