//! A map from partitions to values that costs two array accesses to look up.

use crate::{Topic, TopicPartition};

/// Values by partition. Partition numbers are dense from 0, so a vector a topic holds them.
#[derive(Clone, Debug)]
pub struct PartitionMap<T> {
    topics: Vec<Vec<T>>,
}

impl<T> Default for PartitionMap<T> {
    fn default() -> Self {
        PartitionMap {
            topics: Topic::ALL.iter().map(|_| Vec::new()).collect(),
        }
    }
}

impl<T: Default> PartitionMap<T> {
    /// The value of a partition, if it or a higher one of its topic was ever written.
    pub fn get(&self, partition: TopicPartition) -> Option<&T> {
        self.topics[slot(partition.topic)].get(partition.partition as usize)
    }

    /// The value of a partition, made if it is not there. The number must be below
    /// [`TopicPartition::COUNT_MAX`]: callers check it where it comes in.
    pub fn get_mut(&mut self, partition: TopicPartition) -> &mut T {
        debug_assert!(partition.partition < TopicPartition::COUNT_MAX);
        let values = &mut self.topics[slot(partition.topic)];
        let at = partition.partition as usize;
        if at >= values.len() {
            values.resize_with(at + 1, T::default);
        }
        &mut values[at]
    }

    /// All partitions with their values, in the order of topics and numbers.
    pub fn iter(&self) -> impl Iterator<Item = (TopicPartition, &T)> {
        self.topics
            .iter()
            .zip(Topic::ALL)
            .flat_map(|(values, topic)| {
                values
                    .iter()
                    .enumerate()
                    .map(|(at, value)| (topic.partition(at as u32), value))
            })
    }

    /// All partitions with their values, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (TopicPartition, &mut T)> {
        self.topics
            .iter_mut()
            .zip(Topic::ALL)
            .flat_map(|(values, topic)| {
                values
                    .iter_mut()
                    .enumerate()
                    .map(|(at, value)| (topic.partition(at as u32), value))
            })
    }
}

/// Codes start at 1 and are dense.
fn slot(topic: Topic) -> usize {
    usize::from(topic.code()) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_slot_of_its_own() {
        let mut map = PartitionMap::<u32>::default();
        for (at, &topic) in Topic::ALL.iter().enumerate() {
            *map.get_mut(topic.partition(1)) = at as u32;
        }
        for (at, &topic) in Topic::ALL.iter().enumerate() {
            assert_eq!(map.get(topic.partition(1)), Some(&(at as u32)));
            assert_eq!(map.get(topic.partition(2)), None);
        }
        assert_eq!(map.iter().count(), 2 * Topic::ALL.len());
    }
}
