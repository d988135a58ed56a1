//! Deletes from the brokers what nobody needs any more.

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::waiting::wait_for;
use super::{KafkaLog, config};
use crate::{Poisoned, TopicPartition};

impl KafkaLog {
    /// Has the brokers delete what stands before an offset, but for the newest record of a journal, which holds the
    /// epoch. A failure fails the handle.
    pub(super) fn delete_before(
        &self,
        partition: TopicPartition,
        offset: u64,
    ) -> Result<(), Poisoned> {
        let fail = |why: String| {
            self.in_flight
                .fail(&format!("retention of {partition}: {why}"))
        };
        let bounds = self.bounds(partition);
        let mut before = offset.min(bounds.end);
        if partition.topic.is_journal() {
            let newest = self
                .newest(partition)
                .map_err(|error| fail(error.to_string()))?;
            before = before.min(newest.map_or(0, |found| found.record.offset));
        }
        if before <= bounds.start {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        let (topic, number) = (
            self.names.topic(partition.topic),
            partition.partition as i32,
        );
        list.add_partition_offset(&topic, number, Offset::Offset(before as i64))
            .map_err(|error| fail(error.to_string()))?;
        let options = AdminOptions::new().operation_timeout(Some(self.config.patience));
        // Made when it is wanted: few handles ever delete, and it has threads.
        let admin: KafkaResult<AdminClient<DefaultClientContext>> =
            config::client(&self.location, &self.config.id).create();
        let admin = admin.map_err(|error| fail(error.to_string()))?;
        let deleted = wait_for(admin.delete_records(&list, &options));
        self.reader.forget(partition);
        let each = deleted.map_err(|error| fail(error.to_string()))?;
        let failed = each.elements().iter().find_map(|each| each.error().err());
        failed.map_or(Ok(()), |error| Err(fail(error.to_string())))
    }
}
