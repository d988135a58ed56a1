//! A sender: brings the batches of one owner, or those without an owner, to the brokers, step by step.
//!
//! Owns: their order, one transaction for the batches that wait together, retries of what was aborted.
//! Refuses: to continue after a fence or an unknown outcome. `kafka::sender` does the same with threads.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::cluster::{Cluster, Fate, Fenced, Id, Weather, Written};
use crate::in_flight::InFlight;
use crate::{Batch, Owner, Position, TopicPartition};

/// How many transactional ids a journal has, taken in turn; fewer than on Kafka, so that one is waited
/// for now and then.
pub(super) const IDS: usize = 3;
/// The most batches of one transaction.
const GROUP_MAX: usize = 4;

/// A batch that waits for its turn.
type Waiting = (Position, Batch);

enum Way {
    Owner {
        owner: Owner,
        /// The generation of each of the owner's ids.
        generations: Vec<u32>,
        turn: usize,
    },
    Nobody {
        id: Id,
        generation: Option<u32>,
    },
}

/// The batches that are being written.
struct Flight {
    group: Vec<Waiting>,
    /// None for a single record without an owner, which needs no transaction.
    transaction: Option<(Id, u64)>,
    unwritten: VecDeque<(TopicPartition, Bytes)>,
    ends: BTreeMap<TopicPartition, u64>,
    /// The brokers have decided; the answer is on its way.
    decided: bool,
}

/// See the module's documentation.
pub(super) struct Sender {
    way: Way,
    waiting: VecDeque<Waiting>,
    flight: Option<Flight>,
    /// Whether the brokers have said that the owner is stale.
    pub fenced: bool,
    ended: bool,
}

impl Sender {
    pub fn of_owner(owner: Owner, generations: Vec<u32>) -> Sender {
        Sender::new(Way::Owner {
            owner,
            generations,
            turn: 0,
        })
    }

    pub fn of_nobody(handle: usize) -> Sender {
        Sender::new(Way::Nobody {
            id: Id::Handle(handle),
            generation: None,
        })
    }

    fn new(way: Way) -> Sender {
        Sender {
            way,
            waiting: VecDeque::new(),
            flight: None,
            fenced: false,
            ended: false,
        }
    }

    /// The epoch under which it writes.
    pub fn epoch(&self) -> Option<u32> {
        match &self.way {
            Way::Owner { owner, .. } => Some(owner.epoch),
            Way::Nobody { .. } => None,
        }
    }

    /// Queues what [`InFlight::accept`] has taken.
    pub fn push(&mut self, position: Position, batch: Batch) {
        self.waiting.push_back((position, batch));
    }

    /// Whether it has anything to do.
    pub fn has_work(&self) -> bool {
        !self.ended && (self.flight.is_some() || !self.waiting.is_empty())
    }

    /// Whether it has this transaction open and may continue it.
    pub fn holds(&self, number: u64) -> bool {
        let flying = self.flight.as_ref().filter(|_| !self.ended);
        let flying = flying.and_then(|flight| flight.transaction.as_ref());
        flying.is_some_and(|(_, its)| *its == number)
    }

    /// Takes one step.
    pub fn step(&mut self, cluster: &mut Cluster, in_flight: &InFlight, weather: Weather) {
        if !self.has_work() {
            return;
        }
        let done = match self.flight.take() {
            None => self.begin(cluster),
            Some(flight) if flight.decided => self.hear(cluster, in_flight, flight, weather),
            Some(flight) if flight.unwritten.is_empty() => {
                self.commit(cluster, in_flight, flight, weather)
            }
            Some(flight) => self.write(cluster, flight),
        };
        if let Err(Fenced) = done {
            cluster.tally.fenced += 1;
            self.fenced = true;
            self.ended = true;
            let flying = self.flight.take().map(|flight| flight.group);
            let lost = flying.into_iter().flatten().chain(self.waiting.drain(..));
            let lost = lost.map(|(position, _)| position);
            in_flight.lose(lost, "its owner has been fenced");
        }
    }

    /// Takes batches that wait, as one transaction. It may have to wait for the id whose turn it is.
    fn begin(&mut self, cluster: &mut Cluster) -> Result<(), Fenced> {
        let single = |(_, batch): &Waiting| batch.len() == 1;
        let plain = self.epoch().is_none() && self.waiting.front().is_some_and(single);
        let transaction = match plain {
            true => None,
            false => {
                let (id, generation) = self.id(cluster);
                if let Some(unfinished) = cluster.unfinished(&id) {
                    cluster.check(&id, generation)?;
                    cluster.complete(unfinished);
                    return Ok(());
                }
                Some((id.clone(), cluster.begin(&id, generation)?))
            }
        };
        let most = match plain {
            true => 1,
            false => 1 + cluster.random.below(GROUP_MAX),
        };
        let alike = |waiting: &Waiting| plain == (self.epoch().is_none() && single(waiting));
        let count = self.waiting.iter().take(most).take_while(|w| alike(w));
        let count = count.count();
        let group: Vec<Waiting> = self.waiting.drain(..count).collect();
        self.flight = Some(Flight::of(group, transaction));
        if let Way::Owner { turn, .. } = &mut self.way {
            *turn += 1;
        }
        Ok(())
    }

    /// The id of the next transaction, and the generation of its holder.
    fn id(&mut self, cluster: &mut Cluster) -> (Id, u32) {
        match &mut self.way {
            Way::Owner {
                owner,
                generations,
                turn,
            } => {
                let at = *turn % IDS;
                (Id::Owner(owner.journal, at), generations[at])
            }
            Way::Nobody { id, generation } => {
                let taken = *generation.get_or_insert_with(|| cluster.take(id));
                (id.clone(), taken)
            }
        }
    }

    /// Writes some of the remaining records.
    fn write(&mut self, cluster: &mut Cluster, flight: Flight) -> Result<(), Fenced> {
        let flight = self.flight.insert(flight);
        let transaction = flight.transaction.as_ref().map(|(_, number)| *number);
        for _ in 0..=cluster.random.below(flight.unwritten.len()) {
            let Some((to, payload)) = flight.unwritten.pop_front() else {
                break;
            };
            let epoch = match &self.way {
                Way::Owner { owner, .. } if owner.journal == to => Some(owner.epoch),
                _ => None,
            };
            let record = Written {
                payload,
                epoch,
                fence: false,
            };
            let end = cluster.write(transaction, to, record)?;
            flight.ends.insert(to, end);
        }
        Ok(())
    }

    /// All records are written: asks the brokers to commit.
    fn commit(
        &mut self,
        cluster: &mut Cluster,
        in_flight: &InFlight,
        flight: Flight,
        weather: Weather,
    ) -> Result<(), Fenced> {
        let flight = self.flight.insert(flight);
        let Some((_, number)) = flight.transaction else {
            flight.decided = true;
            return Ok(());
        };
        if cluster.fate(number) != Some(Fate::Open) {
            return Err(Fenced);
        }
        if cluster.random.one_in(12) {
            // Nothing of it will be visible: all of it is sent again, in the same order.
            cluster.tally.aborted += 1;
            cluster.decide(number, Fate::Aborted);
            if let Some(flight) = self.flight.take() {
                flight.group.into_iter().rev().for_each(|waiting| {
                    self.waiting.push_front(waiting);
                });
            }
            return Ok(());
        }
        if cluster.loses_answer(weather) {
            // The outcome is undecided and no answer arrives; the brokers wait for the sender.
            return self.give_up(cluster, in_flight, "the brokers do not answer a commit");
        }
        cluster.tally.committed += 1;
        cluster.decide(number, Fate::Committed);
        flight.decided = true;
        Ok(())
    }

    /// The answer arrives, or is lost.
    fn hear(
        &mut self,
        cluster: &mut Cluster,
        in_flight: &InFlight,
        flight: Flight,
        weather: Weather,
    ) -> Result<(), Fenced> {
        if cluster.loses_answer(weather) {
            // A sender that asks again, after another process has taken the id, learns only of that.
            if let (Some((id, _)), Way::Owner { generations, .. }) =
                (&flight.transaction, &self.way)
                && let Id::Owner(_, at) = id
            {
                let checked = cluster.check(id, generations[*at]);
                self.flight = Some(flight);
                checked?;
            }
            return self.give_up(cluster, in_flight, "the answer of the brokers was lost");
        }
        let positions = flight.group.iter().map(|(position, _)| *position);
        in_flight.complete(positions, flight.ends);
        Ok(())
    }

    /// Whether it was carried out is known only after a restart.
    fn give_up(
        &mut self,
        cluster: &mut Cluster,
        in_flight: &InFlight,
        why: &str,
    ) -> Result<(), Fenced> {
        cluster.tally.unanswered += 1;
        self.ended = true;
        in_flight.fail(why);
        Ok(())
    }
}

impl Flight {
    fn of(group: Vec<Waiting>, transaction: Option<(Id, u64)>) -> Flight {
        let records = group.iter().flat_map(|(_, batch)| batch.iter());
        let unwritten = records.map(|(to, payload)| (to, Bytes::copy_from_slice(payload)));
        Flight {
            unwritten: unwritten.collect(),
            group,
            transaction,
            ends: BTreeMap::new(),
            decided: false,
        }
    }
}
