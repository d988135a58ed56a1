//! One journal, compared with its heads while its records pass.

use std::collections::VecDeque;

use prepx_bus::{Record, TopicPartition};

use super::Difference;
use crate::chain::Head;

/// One journal: what is claimed of it, and what its records come to.
pub(super) struct Journal {
    pub(super) name: TopicPartition,
    /// The heads that are still to be reached, in their order.
    pub(super) claims: VecDeque<Head>,
    /// `None` until a head says where the rest of a cut journal begins.
    pub(super) chain: Option<Head>,
    /// The offset of the last head that agreed.
    agreed: u64,
    /// That of the last head that was claimed.
    newest: u64,
}

impl Journal {
    pub(super) fn new(name: TopicPartition, chain: Option<Head>) -> Journal {
        Journal {
            name,
            claims: VecDeque::new(),
            chain,
            agreed: chain.map_or(0, |head| head.next_offset),
            newest: 0,
        }
    }

    /// Notes a head. What is before the first record that is there cannot be compared with it.
    pub(super) fn claim(&mut self, head: &Head) -> Result<(), Difference> {
        if head.next_offset < self.newest {
            return Err(Difference::Backwards {
                journal: self.name,
                from: self.newest,
                to: head.next_offset,
            });
        }
        self.newest = head.next_offset;
        let before = head.next_offset < self.agreed;
        if !before && self.claims.back() != Some(head) {
            self.claims.push_back(*head);
        }
        self.compare()
    }

    /// Whether the record was hashed: behind the last head there is nothing to compare.
    pub(super) fn take(&mut self, record: &Record) -> Result<bool, Difference> {
        if self.chain.is_none() {
            self.adopt(record.offset);
        }
        match &mut self.chain {
            Some(chain) if !self.claims.is_empty() => chain.take(record),
            _ => return Ok(false),
        }
        self.compare()?;
        Ok(true)
    }

    /// Believes the first head from which on all records are there.
    fn adopt(&mut self, offset: u64) {
        while self
            .claims
            .front()
            .is_some_and(|head| head.next_offset < offset)
        {
            self.claims.pop_front();
        }
        if self
            .claims
            .front()
            .is_some_and(|head| head.next_offset == offset)
        {
            self.chain = self.claims.pop_front();
            self.agreed = offset;
        }
    }

    fn compare(&mut self) -> Result<(), Difference> {
        let Some(chain) = self.chain else {
            return Ok(());
        };
        while let Some(claimed) = self.claims.front() {
            if claimed.next_offset > chain.next_offset {
                break;
            }
            if *claimed != chain {
                return Err(self.differs(claimed.next_offset));
            }
            self.agreed = chain.next_offset;
            self.claims.pop_front();
        }
        Ok(())
    }

    fn differs(&self, claimed: u64) -> Difference {
        let to = claimed.saturating_sub(1);
        Difference::Chain {
            journal: self.name,
            from: self.agreed.min(to),
            to,
        }
    }

    /// How many records are behind the last head.
    pub(super) fn finish(mut self, end: impl Fn(TopicPartition) -> u64) -> Result<u64, Difference> {
        let journal = self.name;
        let end = end(journal);
        if let Some(audited) = self
            .claims
            .iter()
            .map(|head| head.next_offset)
            .find(|to| *to > end)
        {
            return Err(Difference::Lost {
                journal,
                end,
                audited,
            });
        }
        if self.chain.is_none() {
            self.adopt(end);
        }
        match self.claims.front() {
            Some(head) => Err(self.differs(head.next_offset)),
            None => Ok(end - self.agreed),
        }
    }
}
