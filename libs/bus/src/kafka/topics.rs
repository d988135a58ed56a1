//! Topics from one declarative file: the difference between the file and a cluster, and removing it.
//!
//! Owns: the plan ([`Topics`] is the file). Refuses: to remove topics, to change partition counts in place
//! (lanes are numbered by partition), and to move replicas, which is the operator's business.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};

mod file;

pub use self::file::Topics;
use super::config::{Names, client};
use super::waiting::wait_for;
use crate::location::KafkaLocation;

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Why topics could not be planned or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file says what cannot be.
    #[error("the file of topics: {0}")]
    File(String),
    /// The brokers have not answered, or not well.
    #[error("topics on Kafka at {brokers}: {why}")]
    Unavailable {
        /// Who was asked.
        brokers: String,
        /// What they or the client library say.
        why: String,
    },
    /// Some of the plan is not for this program to do. Nothing has been changed.
    #[error(
        "{0}; this is never done in place: drain the platform and use a new prefix, or move replicas with Kafka's own tools"
    )]
    Refused(String),
}

/// One difference between the file and a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The topic is not there.
    Create {
        /// Its name in the cluster.
        name: String,
        /// How many partitions.
        partitions: u32,
        /// How many replicas of each.
        replication: u16,
        /// Its settings.
        config: BTreeMap<String, String>,
    },
    /// A setting differs.
    Set {
        /// The topic's name in the cluster.
        name: String,
        /// The setting.
        key: String,
        /// What holds, if anything is said.
        from: Option<String>,
        /// What the file says.
        to: String,
    },
    /// The count of partitions or replicas differs. [`apply`] refuses it.
    Never {
        /// The topic's name in the cluster.
        name: String,
        /// `partitions` or `replicas`.
        what: &'static str,
        /// What holds.
        from: u32,
        /// What the file says.
        to: u32,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Create {
                name,
                partitions,
                replication,
                config,
            } => {
                write!(f, "create {name}: {partitions} partitions × {replication}")?;
                config
                    .iter()
                    .try_for_each(|(key, value)| write!(f, ", {key}={value}"))
            }
            Change::Set {
                name,
                key,
                from,
                to,
            } => {
                let from = from.as_deref().unwrap_or("unset");
                write!(f, "set {name} {key}: {from} → {to}")
            }
            Change::Never {
                name,
                what,
                from,
                to,
            } => {
                write!(f, "{name} has {from} {what} and the file says {to}")
            }
        }
    }
}

/// What would have to be done for the cluster to have what the file says.
///
/// # Errors
/// Brokers that do not answer.
pub fn plan(location: &KafkaLocation, topics: &Topics) -> Result<Vec<Change>, Error> {
    Cluster::new(location)?.plan(topics)
}

/// Makes the difference, and says what it was.
///
/// # Errors
/// Brokers that do not answer or refuse; a plan with a [`Change::Never`].
pub fn apply(location: &KafkaLocation, topics: &Topics) -> Result<Vec<Change>, Error> {
    let cluster = Cluster::new(location)?;
    let plan = cluster.plan(topics)?;
    refuse(&plan)?;
    if cluster.create(topics, &plan)? {
        // Another process may have made them in our place, and in another shape.
        refuse(&cluster.plan(topics)?)?;
    }
    cluster.set(&plan)?;
    Ok(plan)
}

fn refuse(plan: &[Change]) -> Result<(), Error> {
    let mut changes = plan.iter();
    match changes.find(|change| matches!(change, Change::Never { .. })) {
        Some(never) => Err(Error::Refused(never.to_string())),
        None => Ok(()),
    }
}

struct Cluster<'a> {
    location: &'a KafkaLocation,
    names: Names,
    admin: AdminClient<DefaultClientContext>,
}

/// The settings of a topic: each value, and whether it was set for this topic.
type Settings = BTreeMap<String, (String, bool)>;

/// A topic as it is in the cluster.
struct Standing {
    partitions: u32,
    replicas: u32,
}

impl Cluster<'_> {
    fn new(location: &KafkaLocation) -> Result<Cluster<'_>, Error> {
        let checked = location.check();
        checked.map_err(|file| unavailable(location, file))?;
        let admin = client(location, "topics").create();
        Ok(Cluster {
            location,
            names: Names::of(location),
            admin: admin.map_err(|error| unavailable(location, error))?,
        })
    }

    fn plan(&self, topics: &Topics) -> Result<Vec<Change>, Error> {
        let standing = self.standing()?;
        let (mut plan, mut there) = (Vec::new(), Vec::new());
        for short in topics.names() {
            let name = self.names.named(short);
            let (partitions, replication) = (topics.partitions(short), topics.replication());
            let config = topics.config(short);
            let Some(is) = standing.get(&name) else {
                plan.push(Change::Create {
                    name,
                    partitions,
                    replication,
                    config,
                });
                continue;
            };
            let counts = [
                ("partitions", is.partitions, partitions),
                ("replicas", is.replicas, u32::from(replication)),
            ];
            let differ = counts.into_iter().filter(|(_, from, to)| from != to);
            plan.extend(differ.map(|(what, from, to)| Change::Never {
                name: name.clone(),
                what,
                from,
                to,
            }));
            there.push((name, config));
        }
        let configs = self.configs(there.iter().map(|(name, _)| name.as_str()))?;
        for ((name, wanted), holds) in there.into_iter().zip(configs) {
            for (key, to) in wanted {
                let from = holds.get(&key).map(|(value, _)| value.clone());
                if from.as_ref() != Some(&to) {
                    plan.push(Change::Set {
                        name: name.clone(),
                        key,
                        from,
                        to,
                    });
                }
            }
        }
        Ok(plan)
    }

    /// The numbers of the nodes in their order, and again, so that a run of them may begin at any.
    fn nodes(&self) -> Result<Vec<i32>, Error> {
        let metadata = self.admin.inner().fetch_metadata(None, PATIENCE);
        let metadata = metadata.map_err(|error| unavailable(self.location, error))?;
        let mut nodes: Vec<i32> = metadata.brokers().iter().map(|node| node.id()).collect();
        nodes.sort_unstable();
        Ok(nodes.repeat(2))
    }

    fn standing(&self) -> Result<BTreeMap<String, Standing>, Error> {
        let metadata = self.admin.inner().fetch_metadata(None, PATIENCE);
        let metadata = metadata.map_err(|error| unavailable(self.location, error))?;
        let standing = metadata.topics().iter().map(|topic| {
            let replicas = topic
                .partitions()
                .iter()
                .map(|partition| partition.replicas().len());
            let standing = Standing {
                partitions: topic.partitions().len() as u32,
                replicas: replicas.min().unwrap_or(0) as u32,
            };
            (topic.name().to_owned(), standing)
        });
        Ok(standing.collect())
    }

    /// The settings of each topic.
    fn configs<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<Vec<Settings>, Error> {
        let topics: Vec<ResourceSpecifier<'_>> = names.map(ResourceSpecifier::Topic).collect();
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.answer(self.admin.describe_configs(&topics, &options()))?;
        let each = answers.into_iter().map(|answer| {
            let resource = answer.map_err(|error| unavailable(self.location, error))?;
            let entries = resource.entries.into_iter().filter_map(|entry| {
                let own = matches!(entry.source, ConfigSource::DynamicTopic);
                Some((entry.name, (entry.value?, own)))
            });
            Ok(entries.collect())
        });
        each.collect()
    }

    /// Waits for what the brokers answer.
    fn answer<T>(&self, asked: impl Future<Output = KafkaResult<T>>) -> Result<T, Error> {
        wait_for(asked).map_err(|error| unavailable(self.location, error))
    }

    /// Waits until all that was asked for is done, by us or by another process.
    fn done<T, N: fmt::Debug>(
        &self,
        what: &str,
        asked: impl Future<Output = KafkaResult<Vec<Result<T, (N, RDKafkaErrorCode)>>>>,
    ) -> Result<(), Error> {
        let mut refused = self.answer(asked)?.into_iter().filter_map(Result::err);
        let there = |code| code == RDKafkaErrorCode::TopicAlreadyExists;
        match refused.find(|(_, code)| !there(*code)) {
            None => Ok(()),
            Some((name, code)) => {
                let why = format!("{name:?} cannot be {what}: {code}");
                Err(unavailable(self.location, why))
            }
        }
    }

    /// Whether there was something to make.
    fn create(&self, topics: &Topics, plan: &[Change]) -> Result<bool, Error> {
        let nodes = self.nodes()?;
        let after = |name: &str| {
            let mut shorts = topics.names();
            let short = shorts.find(|short| self.names.named(short) == name);
            short.map_or(0, |short| topics.nodes_after(short, nodes.len() / 2))
        };
        let made = plan.iter().filter_map(|change| match change {
            Change::Create {
                name,
                partitions,
                replication,
                config,
            } => {
                let replicas = usize::from(*replication);
                let places = places(&nodes, after(name), *partitions, replicas);
                Some((name, config, *partitions as i32, *replication, places))
            }
            _ => None,
        });
        let made: Vec<_> = made.collect();
        let new = made
            .iter()
            .map(|(name, config, partitions, replication, places)| {
                let replication = match places {
                    Some(places) => TopicReplication::Variable(places),
                    None => TopicReplication::Fixed(i32::from(*replication)),
                };
                let topic = NewTopic::new(name, *partitions, replication);
                let set = config.iter();
                set.fold(topic, |topic, (key, value)| topic.set(key, value))
            });
        let new: Vec<NewTopic<'_>> = new.collect();
        if new.is_empty() {
            return Ok(false);
        }
        self.done("made", self.admin.create_topics(&new, &options()))?;
        self.see(new.iter().map(|topic| topic.name).collect())?;
        Ok(true)
    }

    /// The controller has made the topics; brokers hear of them one after the other.
    fn see(&self, mut new: Vec<&str>) -> Result<(), Error> {
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            let standing = self.standing()?;
            new.retain(|name| !standing.contains_key(*name));
            if new.is_empty() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        let why = format!("{} were made and are not there", new.join(", "));
        Err(unavailable(self.location, why))
    }

    /// Sets what differs. The brokers replace all of a topic's own settings, so those that the file
    /// does not speak of are said again.
    fn set(&self, plan: &[Change]) -> Result<(), Error> {
        let mut wanted: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for change in plan {
            if let Change::Set { name, key, to, .. } = change {
                wanted.entry(name).or_default().push((key, to));
            }
        }
        let holds = self.configs(wanted.keys().copied())?;
        let altered: Vec<AlterConfig<'_>> = wanted
            .iter()
            .zip(&holds)
            .map(|((name, wanted), holds)| {
                let own = holds.iter().filter(|(_, (_, own))| *own);
                let mut all: BTreeMap<&str, &str> = own
                    .map(|(key, (value, _))| (key.as_str(), value.as_str()))
                    .collect();
                all.extend(wanted.iter().copied());
                let alter = AlterConfig::new(ResourceSpecifier::Topic(name));
                all.into_iter()
                    .fold(alter, |alter, (key, value)| alter.set(key, value))
            })
            .collect();
        if altered.is_empty() {
            return Ok(());
        }
        self.done("set", self.admin.alter_configs(&altered, &options()))
    }
}

/// Where the replicas of each partition are, the leader first: those of one number on the same nodes, in every topic that
/// begins as many nodes `after`. What a stage's partition reads and writes has one leader so, and a transaction is one
/// request to one node. None where there are fewer nodes than replicas, which the brokers refuse better.
/// `nodes` is those of the cluster twice over.
fn places(nodes: &[i32], after: usize, partitions: u32, replication: usize) -> Option<Vec<&[i32]>> {
    let count = nodes.len() / 2;
    let place = |partition: u32| {
        let first = (partition as usize + after) % count;
        &nodes[first..first + replication]
    };
    (replication <= count).then(|| (0..partitions).map(place).collect())
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE))
}

fn unavailable(location: &KafkaLocation, why: impl ToString) -> Error {
    Error::Unavailable {
        brokers: location.brokers.clone(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn partitions_of_one_number_are_in_one_place() {
        let nodes = [4, 5, 7, 4, 5, 7];
        let placed = places(&nodes, 0, 4, 2).unwrap();
        assert_eq!(placed, [[4, 5], [5, 7], [7, 4], [4, 5]]);
        let all = places(&nodes, 0, 2, 3).unwrap();
        assert_eq!(all, [[4, 5, 7], [5, 7, 4]]);
        let next_to_them = places(&nodes, 2, 2, 2).unwrap();
        assert_eq!(next_to_them, [[7, 4], [4, 5]]);
        assert_eq!(places(&nodes, 0, 1, 4), None);
    }
}
