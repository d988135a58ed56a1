//! Who holds a lease, for processes that only ask: the members of a group as its coordinator describes them.
//!
//! Refuses: to join the group, and to say that nobody holds a lease while the group is rebalancing.

use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::groups::GroupMemberInfo;

use super::config::{Names, client};
use super::open::OpenError;
use crate::Topic;
use crate::location::KafkaLocation;

const PATIENCE: Duration = Duration::from_secs(10);
/// The state of a group whose members know what they have.
const SETTLED: &str = "Stable";

/// The member of a group that has the lease of a partition, or may be about to get it; none when there is no such
/// member. Who has died is one until its session is over.
///
/// # Errors
/// When not all brokers answer: any of them may know.
pub fn holder(
    location: &KafkaLocation,
    group: &str,
    topic: Topic,
    partition: u32,
) -> Result<Option<String>, OpenError> {
    let names = Names::of(location);
    let unavailable = |error: KafkaError| OpenError::Unavailable {
        brokers: location.brokers.clone(),
        why: format!("who has {topic}/{partition}: {error}"),
    };
    let asking: Result<AdminClient<DefaultClientContext>, _> = client(location, "holder").create();
    let asking = asking.map_err(unavailable)?;
    let group = names.leases(group);
    let found = asking.inner().fetch_group_list(Some(&group), PATIENCE);
    let found = found.map_err(unavailable)?;
    let described = found.groups().iter().find(|found| found.name() == group);
    let Some(described) = described else {
        return Ok(None);
    };
    let settled = described.state() == SETTLED;
    let name = names.topic(topic);
    let has = |member: &&GroupMemberInfo| {
        let assigned = member.assignment().unwrap_or_default();
        // What cannot be read may name anything.
        !settled || assigns(assigned, &name, partition).unwrap_or(true)
    };
    let member = described.members().iter().find(has);
    Ok(member.map(|member| format!("{} at {}", member.client_id(), member.client_host())))
}

/// Whether an assignment names a partition: a version (2 bytes), then the topics, each a name and numbers.
fn assigns(assignment: &[u8], topic: &str, partition: u32) -> Option<bool> {
    if assignment.is_empty() {
        return Some(false);
    }
    let (_, mut rest) = assignment.split_first_chunk::<2>()?;
    for _ in 0..number(&mut rest)? {
        let (size, after) = rest.split_first_chunk::<2>()?;
        let (name, after) = after.split_at_checked(u16::from_be_bytes(*size).into())?;
        rest = after;
        for _ in 0..number(&mut rest)? {
            if number(&mut rest)? == partition && name == topic.as_bytes() {
                return Some(true);
            }
        }
    }
    Some(false)
}

fn number(from: &mut &[u8]) -> Option<u32> {
    let (number, rest) = from.split_first_chunk::<4>()?;
    *from = rest;
    Some(u32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_names_partitions_by_topic() {
        let assignment = b"\0\0\0\0\0\x02\0\x01a\0\0\0\x01\0\0\0\x07\0\x01b\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\0\0\0";
        for (topic, partition, named) in [
            ("a", 7, true),
            ("b", 2, true),
            ("a", 1, false),
            ("c", 7, false),
        ] {
            assert_eq!(
                assigns(assignment, topic, partition),
                Some(named),
                "{topic}/{partition}"
            );
        }
        assert_eq!(assigns(&assignment[..20], "b", 2), None, "it is cut off");
        assert_eq!(assigns(b"", "a", 7), Some(false));
    }
}
