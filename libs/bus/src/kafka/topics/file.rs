//! The file of topics: its form and what it may say.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Error;
use crate::Topic;

/// The file that is shipped.
const SHIPPED: &str = include_str!("../../../topics.toml");

/// What a file of topics says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topics {
    defaults: Defaults,
    topics: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    partitions: u32,
    replication: u16,
    min_in_sync: u16,
    keep: Keep,
    retention_hours: u32,
    place: Place,
    record_bytes_max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Keep {
    Hours,
    Newest,
    #[serde(rename = "until-released")]
    UntilReleased,
}

/// On which nodes a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Together,
    Apart,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    partitions: Option<u32>,
    keep: Option<Keep>,
    retention_hours: Option<u32>,
    place: Option<Place>,
}

impl Topics {
    /// Reads a file.
    ///
    /// # Errors
    /// What is no such file, or says what cannot be.
    pub fn parse(text: &str) -> Result<Topics, Error> {
        let topics: Topics =
            toml::from_str(text).map_err(|error| Error::File(error.to_string()))?;
        let Defaults {
            replication,
            min_in_sync,
            ..
        } = topics.defaults;
        if min_in_sync == 0 || min_in_sync > replication {
            return Err(Error::File(format!(
                "min_in_sync is {min_in_sync}; from 1 to replication, {replication}, would be right"
            )));
        }
        match topics
            .topics
            .keys()
            .find(|name| topics.partitions(name) == 0)
        {
            None => Ok(topics),
            Some(name) => Err(Error::File(format!("{name} has 0 partitions; at least 1"))),
        }
    }

    /// The file that is shipped.
    pub fn shipped() -> Topics {
        match Topics::parse(SHIPPED) {
            Ok(topics) => topics,
            Err(error) => unreachable!("{error}"),
        }
    }

    /// Keeps only topics of these names.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.topics.retain(|name, _| keep(name));
    }

    /// For a cluster of another size than the file's: one node can have one replica only.
    pub fn replicate(&mut self, replication: u16, min_in_sync: u16) {
        (self.defaults.replication, self.defaults.min_in_sync) = (replication, min_in_sync);
    }

    /// Gives a topic that is in the file another count of partitions.
    pub fn set_partitions(&mut self, name: &str, partitions: u32) {
        if let Some(entry) = self.topics.get_mut(name) {
            entry.partitions = Some(partitions);
        }
    }

    /// Gives those topics another count that PrepX itself neither writes nor reads: they are for systems beside it.
    pub fn set_partitions_of_others(&mut self, partitions: u32) {
        for (name, entry) in &mut self.topics {
            if name.parse::<Topic>().is_err() {
                entry.partitions = Some(partitions);
            }
        }
    }

    /// The names, without a prefix.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    pub(super) fn replication(&self) -> u16 {
        self.defaults.replication
    }

    pub(super) fn partitions(&self, name: &str) -> u32 {
        let own = self.topics.get(name).and_then(|entry| entry.partitions);
        own.unwrap_or(self.defaults.partitions)
    }

    /// How many nodes after that of partition n of the topics that are together partition n of this one begins, of `nodes`:
    /// none for those, for the others in turn.
    pub(super) fn nodes_after(&self, name: &str, nodes: usize) -> usize {
        let place_of = |entry: &Entry| entry.place.unwrap_or(self.defaults.place);
        let apart = |(_, entry): &(&String, &Entry)| place_of(entry) == Place::Apart;
        let mut apart = self.topics.iter().filter(apart);
        match apart.position(|(of, _)| of == name) {
            Some(turn) if nodes > 1 => 1 + turn % (nodes - 1),
            _ => 0,
        }
    }

    /// What the topic is configured with; the rest is the cluster's.
    pub(super) fn config(&self, name: &str) -> BTreeMap<String, String> {
        let entry = self.topics.get(name);
        let keep = entry
            .and_then(|entry| entry.keep)
            .unwrap_or(self.defaults.keep);
        let own_hours = entry.and_then(|entry| entry.retention_hours);
        let hours = own_hours.unwrap_or(self.defaults.retention_hours);
        let retention_ms = match keep {
            Keep::Hours => (i64::from(hours) * 3_600_000).to_string(),
            Keep::Newest | Keep::UntilReleased => "-1".into(),
        };
        let policy = if keep == Keep::Newest {
            "compact"
        } else {
            "delete"
        };
        [
            ("cleanup.policy", policy.to_owned()),
            (
                "max.message.bytes",
                self.defaults.record_bytes_max.to_string(),
            ),
            ("min.insync.replicas", self.defaults.min_in_sync.to_string()),
            ("retention.ms", retention_ms),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_others_can_be_made_small_and_ours_stay() {
        let (shipped, mut small) = (Topics::shipped(), Topics::shipped());
        small.set_partitions_of_others(1);
        let mut others = 0;
        for name in shipped.names() {
            let is_ours = name.parse::<Topic>().is_ok();
            let wanted = if is_ours { shipped.partitions(name) } else { 1 };
            assert_eq!(small.partitions(name), wanted, "{name}");
            others += u32::from(!is_ours);
        }
        assert_eq!(others, 6);
    }

    #[test]
    fn what_stages_read_or_write_is_in_one_place_and_nothing_else_is_there() {
        let topics = Topics::shipped();
        let mut taken: [Vec<&str>; 3] = Default::default();
        for name in topics.names() {
            taken[topics.nodes_after(name, 3)].push(name);
            assert_eq!(topics.nodes_after(name, 1), 0);
        }
        let together = [
            "account-journal",
            "command-replies",
            "instrument-commands",
            "market-data",
            "matching-journal",
            "order-executions",
            "order-processing",
            "portfolio-updates",
            "trading-commands",
        ];
        assert_eq!(taken[0], together);
        assert!(taken[1].len().abs_diff(taken[2].len()) <= 1, "{taken:?}");
    }

    #[test]
    fn the_shipped_file_has_every_topic() {
        let topics = Topics::parse(SHIPPED).unwrap();
        for topic in Topic::ALL {
            assert!(topics.names().any(|name| name == topic.name()), "{topic}");
            let config = topics.config(topic.name());
            let kept = (
                config["cleanup.policy"].as_str(),
                config["retention.ms"].as_str(),
            );
            let expected = match topic {
                Topic::StageOwners => ("compact", "-1"),
                // The newest record of a journal holds the epoch: time alone never takes it.
                topic if topic.is_journal() => ("delete", "-1"),
                _ => ("delete", "604800000"),
            };
            assert_eq!((topic, kept), (topic, expected));
            assert_eq!(config["min.insync.replicas"], "2");
        }
        assert_eq!(
            (
                topics.defaults.replication,
                topics.partitions("invoice.created")
            ),
            (3, 30)
        );
    }

    #[test]
    fn a_file_that_cannot_be_is_refused_with_what_would_be_right() {
        let file = |replication: u16, partitions: u32| {
            format!(
                "[defaults]\npartitions = {partitions}\nreplication = {replication}\n\
                 min_in_sync = 2\nkeep = \"hours\"\nretention_hours = 1\n\
                 place = \"apart\"\nrecord_bytes_max = 1\n[topics.a]\n"
            )
        };
        assert!(Topics::parse(&file(2, 1)).is_ok());
        let why = |text: &str| Topics::parse(text).unwrap_err().to_string();
        assert_eq!(
            why(&file(1, 1)),
            "the file of topics: min_in_sync is 2; from 1 to replication, 1, would be right"
        );
        assert_eq!(
            why(&file(2, 0)),
            "the file of topics: a has 0 partitions; at least 1"
        );
        assert!(why("[defaults]\nshards = 1\n").contains("unknown field `shards`"));
    }
}
