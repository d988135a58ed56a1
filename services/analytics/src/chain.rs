//! The chain of one journal: `h = BLAKE3(h before ‖ topic ‖ partition ‖ offset ‖ record)`.
//!
//! Everything before the record has a fixed width, so no two inputs read the same. The first hash
//! follows 32 zero bytes.

use prepx_bus::{Log, ReadError, Record, Topic, TopicPartition};
use prepx_stage::Topology;

/// How much of a journal is read at once, unless one record alone is larger.
pub(crate) const READ_BYTES: usize = 1 << 20;

/// A hash.
pub type Hash = [u8; 32];

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose chain.
    pub journal: TopicPartition,
    /// The offset to go on from: one past the last record in the chain.
    pub next_offset: u64,
    /// The hash of the last record and everything before; zeros when there is none.
    pub hash: Hash,
}

impl Head {
    /// The head of a chain that has nothing yet and begins at an offset.
    pub fn start(journal: TopicPartition, next_offset: u64) -> Head {
        Head {
            journal,
            next_offset,
            hash: [0; 32],
        }
    }

    /// Adds the record that comes next.
    pub fn take(&mut self, record: &Record) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.hash);
        hasher.update(&self.journal.topic.code().to_be_bytes());
        hasher.update(&self.journal.partition.to_be_bytes());
        hasher.update(&record.offset.to_be_bytes());
        hasher.update(&record.payload);
        self.hash = *hasher.finalize().as_bytes();
        self.next_offset = record.offset + 1;
    }

    /// Takes at most about a mebibyte of durable records before `until`, each after `seen` has seen it;
    /// answers how many.
    pub fn step(
        &mut self,
        log: &dyn Log,
        until: u64,
        mut seen: impl FnMut(&Record),
    ) -> Result<u64, ReadError> {
        if self.next_offset >= until {
            return Ok(0);
        }
        let records = log.read(self.journal, self.next_offset, READ_BYTES)?;
        let before = |record: &&Record| record.offset < until;
        let mut taken = 0;
        for record in records.iter().take_while(before) {
            seen(record);
            self.take(record);
            taken += 1;
        }
        Ok(taken)
    }

    /// Takes all durable records before `until`; answers how many.
    pub fn fold(&mut self, log: &dyn Log, until: u64) -> Result<u64, ReadError> {
        let mut taken = 0;
        loop {
            match self.step(log, until, |_| {})? {
                0 => return Ok(taken),
                more => taken += more,
            }
        }
    }
}

/// The journals that are audited, in the order in which roots name them.
pub fn journals(topology: Topology) -> Vec<TopicPartition> {
    [Topic::AccountJournal, Topic::MatchingJournal]
        .into_iter()
        .flat_map(|topic| (0..topology.partitions(topic)).map(move |at| topic.partition(at)))
        .collect()
}
