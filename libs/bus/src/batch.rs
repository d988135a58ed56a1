//! Records that become durable together or not at all.

use crate::{AppendError, Owner, Topic, TopicPartition};

/// Records for any partitions, appended as one atomic frame, in this order.
///
/// A batch can be cleared and filled again: in the steady state it allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Partition of each record, and where its payload ends in `payloads`.
    records: Vec<(TopicPartition, usize)>,
    payloads: Vec<u8>,
    /// The keys of the records that have one, by their place.
    keys: Vec<(usize, Vec<u8>)>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds a record with a copy of `payload`.
    pub fn push(&mut self, to: TopicPartition, payload: &[u8]) {
        self.push_with(to, |buffer| buffer.extend_from_slice(payload));
    }

    /// Adds a record whose payload is what `encode` appends to the given buffer. `encode` must only append:
    /// the buffer has the payloads of the records before.
    pub fn push_with(&mut self, to: TopicPartition, encode: impl FnOnce(&mut Vec<u8>)) {
        let start = self.payloads.len();
        encode(&mut self.payloads);
        assert!(
            self.payloads.len() >= start,
            "the encoder of a record shortened the batch"
        );
        self.records.push((to, self.payloads.len()));
    }

    /// Adds a record with a key, to a topic that is a table: of the records with one key only the newest is
    /// retained, if the engine compacts. Readers do not see keys.
    pub fn push_keyed(&mut self, to: TopicPartition, key: &[u8], payload: &[u8]) {
        self.keys.push((self.records.len(), key.to_vec()));
        self.push(to, payload);
    }

    /// Removes the records and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.payloads.clear();
        self.keys.clear();
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The sum of the payloads.
    pub fn payload_bytes(&self) -> usize {
        self.payloads.len()
    }

    /// Checks whether an engine may accept the batch from this owner, as far as that depends on the two
    /// alone. For engines: `batch_bytes` is its size there, `count` the number of partitions of a topic.
    pub(crate) fn check(
        &self,
        owner: Option<Owner>,
        batch_bytes: u64,
        limit_bytes: u64,
        count: impl Fn(Topic) -> u32,
    ) -> Result<(), AppendError> {
        if self.is_empty() {
            return Err(AppendError::Empty);
        }
        if batch_bytes > limit_bytes {
            return Err(AppendError::TooLarge {
                batch_bytes,
                limit_bytes,
            });
        }
        for (to, _) in self.iter() {
            if to.partition >= count(to.topic) {
                return Err(AppendError::UnknownPartition(to));
            }
            if to.topic.is_journal() && owner.is_none_or(|owner| owner.journal != to) {
                return Err(AppendError::NotOwner { journal: to });
            }
        }
        Ok(())
    }

    /// The key of a record, by its place.
    #[cfg(feature = "kafka")]
    pub(crate) fn key(&self, place: usize) -> Option<&[u8]> {
        let found = self.keys.iter().find(|(keyed, _)| *keyed == place);
        found.map(|(_, key)| key.as_slice())
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = (TopicPartition, &[u8])> {
        self.records.iter().scan(0, |start, &(to, end)| {
            let payload = &self.payloads[*start..end];
            *start = end;
            Some((to, payload))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;

    #[test]
    fn a_batch_gives_back_its_records_in_order_and_can_be_used_again() {
        let (a, b) = (
            Topic::MarketData.partition(0),
            Topic::AuditLogs.partition(3),
        );
        let mut batch = Batch::new();
        batch.push(a, b"one");
        batch.push(b, b"");
        batch.push_with(a, |buffer| buffer.extend_from_slice(b"two"));
        let records: Vec<_> = batch.iter().collect();
        assert_eq!(records, [(a, &b"one"[..]), (b, &b""[..]), (a, &b"two"[..])]);
        assert_eq!((batch.len(), batch.payload_bytes()), (3, 6));

        batch.clear();
        assert!(batch.is_empty() && batch.iter().next().is_none());
        batch.push(b, b"three");
        assert_eq!(batch.iter().collect::<Vec<_>>(), [(b, &b"three"[..])]);
    }
}
