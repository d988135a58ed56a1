//! Fencing: how a handle becomes the owner of a journal, and what the journal says of who owns it.

use std::sync::Arc;

use super::open::transactional;
use super::reader::Found;
use super::sender::{Ring, Sender, Way, write_fence};
use super::{KafkaLog, Owned};
use crate::in_flight::lock;
use crate::{FenceError, Owner, ReadError, TopicPartition};

impl KafkaLog {
    /// Fences whoever owns a journal that is there, and has a thread of its own send what this owner appends.
    pub(super) fn fence_journal(
        &self,
        journal: TopicPartition,
        who: &str,
    ) -> Result<Owner, FenceError> {
        let _one = lock(&self.fencing);
        // What this handle has in flight for it lands first.
        let before = lock(&self.front)
            .owners
            .get_mut(&journal)
            .and_then(|owned| owned.sender.take());
        if before.is_some() {
            self.wait_for_pending(journal);
        }
        drop(before);
        let (ring, owner) = self.take_over(journal, who)?;
        let sender = Sender::spawn(
            format!("kafka-{journal}"),
            Way::Owner(ring, owner),
            Arc::clone(&self.in_flight),
            self.config.transaction_bytes_max,
        )
        .map_err(|error| unavailable(journal, error))?;
        let owned = Owned {
            epoch: owner.epoch,
            sender: Some(sender),
        };
        lock(&self.front).owners.insert(journal, owned);
        Ok(owner)
    }

    /// Takes the transactional ids, then writes the epoch after the newest in the journal. Whoever takes
    /// one of them meanwhile has the last word: the record, or what comes after it, is not committed.
    fn take_over(&self, journal: TopicPartition, who: &str) -> Result<(Ring, Owner), FenceError> {
        let unavailable = |why: String| unavailable(journal, why);
        // Taking the ids takes a while, and so does the first look at a journal. What that finds need not be the
        // newest any more, but what follows it is soon at hand.
        let (ring, known) = std::thread::scope(|scope| {
            let looking = scope.spawn(|| self.newest(journal));
            (self.ring(journal), looking.join())
        });
        let mut ring = ring.map_err(unavailable)?;
        let known = known.ok().and_then(Result::ok).flatten();
        let newest = self
            .newest_since(journal, known)
            .map_err(|error| unavailable(error.to_string()))?;
        let epoch = newest.and_then(|found| found.epoch).unwrap_or(0) + 1;
        let owner = Owner { journal, epoch };
        let end = write_fence(ring.next(), owner, who)
            .map_err(|failure| unavailable(failure.to_string()))?;
        self.in_flight.complete([], [(journal, end)]);
        // From here on the end of the journal is final for every earlier epoch, and seen to be.
        let bounds = self
            .reader
            .bounds(journal, end)
            .map_err(|error| unavailable(error.to_string()))?;
        match bounds.end >= end {
            true => Ok((ring, owner)),
            false => Err(unavailable(format!(
                "its end stays at {}, before {end}",
                bounds.end
            ))),
        }
    }

    /// Takes all transactional ids of a journal, side by side, because each takes a while: whoever held them is
    /// fenced when this returns. Of two who take them at once, the one that has the id of the first
    /// transaction writes its epoch.
    fn ring(&self, journal: TopicPartition) -> Result<Ring, String> {
        let take = |id: String| {
            let producer = transactional(&self.location, &self.config, &self.names, &id)?;
            let taken = producer.init_transactions();
            taken
                .map(|()| producer)
                .map_err(|failure| failure.to_string())
        };
        let producers = std::thread::scope(|scope| {
            let ids = self.names.owner(journal);
            let taking: Vec<_> = ids.map(|id| scope.spawn(move || take(id))).collect();
            let panicked = |_| Err("a thread panicked".to_owned());
            let taken = taking.into_iter();
            taken
                .map(|each| each.join().unwrap_or_else(panicked))
                .collect::<Result<_, _>>()
        })?;
        Ok(Ring { producers, turn: 0 })
    }

    /// The newest record of a journal: looked for from its end backwards, in steps that double.
    pub(super) fn newest(&self, journal: TopicPartition) -> Result<Option<Found>, ReadError> {
        let bounds = self.reader.bounds(journal, self.in_flight.end(journal))?;
        let mut step = 8;
        loop {
            let first = bounds.end.saturating_sub(step).max(bounds.start);
            let newest = self.last(journal, first, bounds.end)?;
            if newest.is_some() || first == bounds.start {
                return Ok(newest);
            }
            step *= 2;
        }
    }

    /// The newest record of a journal, where one is known that was there before.
    fn newest_since(
        &self,
        journal: TopicPartition,
        known: Option<Found>,
    ) -> Result<Option<Found>, ReadError> {
        let Some(known) = known else {
            return self.newest(journal);
        };
        let bounds = self.reader.bounds(journal, self.in_flight.end(journal))?;
        let newer = self.last(journal, known.record.offset + 1, bounds.end)?;
        Ok(newer.or(Some(known)))
    }

    /// The last record of a part of a journal.
    fn last(
        &self,
        journal: TopicPartition,
        first: u64,
        end: u64,
    ) -> Result<Option<Found>, ReadError> {
        let (mut at, mut newest) = (first, None);
        while at < end {
            let (found, _) = self.reader.read(journal, at, 1 << 20, end)?;
            let Some(last) = found.into_iter().next_back() else {
                break;
            };
            at = last.record.offset + 1;
            newest = Some(last);
        }
        Ok(newest)
    }
}

fn unavailable(journal: TopicPartition, why: impl ToString) -> FenceError {
    let why = why.to_string();
    FenceError::Unavailable { journal, why }
}
