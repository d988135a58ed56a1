//! The state of the platform, combined from the reports of its processes.
//!
//! Owns what counts as a problem: a process that does not answer, a service of which no process takes calls,
//! a partition without an owner. Refuses to guess: what no process reports is absent.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use prepx_auth::ClusterKey;
use prepx_proto::gateway::v1 as wire;
use prepx_proto::platform::v1;
use prepx_proto::platform::v1::part_service_client::PartServiceClient;
use prepx_runtime::{Peer, Process};
use wire::{HealthStatus, ProcessState, SqlServerRole};

/// How long a process may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// The processes that this gateway knows.
pub struct Parts {
    /// By the name of their service, such as `risk`.
    pub services: BTreeMap<String, Peer>,
    /// The key to ask them with.
    pub key: ClusterKey,
}

/// What is known of one process.
struct Known {
    service: String,
    /// Its address, as this gateway was configured.
    url: Option<String>,
    serves: bool,
    /// Its report; none if it does not answer.
    part: Option<v1::Part>,
}

impl Parts {
    /// Asks every process, concurrently.
    pub async fn status(&self) -> wire::Status {
        let services = self.services.iter();
        let asked = services.flat_map(|(service, peer)| {
            let processes = peer.processes().into_iter();
            processes.map(move |process| self.ask(service, process))
        });
        assemble(&join_all(asked).await)
    }

    async fn ask(&self, service: &str, process: Process) -> Known {
        let mut client = PartServiceClient::new(self.key.caller(process.peer));
        let answer = client.get_part(v1::GetPartRequest {});
        let told = match tokio::time::timeout(ANSWER_WAIT, answer).await {
            Ok(Ok(told)) => Some(told.into_inner()),
            Ok(Err(refused)) => {
                tracing::debug!(service, url = process.url, %refused, "a process does not tell");
                None
            }
            Err(_) => None,
        };
        Known {
            service: service.to_owned(),
            url: process.url,
            serves: process.serves,
            part: told,
        }
    }
}

impl Known {
    fn address(&self) -> String {
        let told = self.part.as_ref().map(|part| part.address.as_str());
        let url = self.url.as_deref().unwrap_or_default();
        let known = url.split_once("://").map_or(url, |(_, at)| at);
        told.unwrap_or(known).to_owned()
    }

    fn state(&self) -> ProcessState {
        match (&self.part, self.serves) {
            (None, _) => ProcessState::Down,
            (Some(_), true) => ProcessState::Serves,
            (Some(_), false) => ProcessState::StandsBy,
        }
    }
}

fn assemble(known: &[Known]) -> wire::Status {
    let owners = owners(known);
    let partitions = partitions(known, &owners);
    let sql_servers = sql_servers(known);
    let problems = problems(known, &partitions, &sql_servers);
    let status = match problems.is_empty() {
        true => HealthStatus::Ok,
        false => HealthStatus::Down,
    };
    wire::Status {
        status: status.into(),
        problems,
        processes: known.iter().map(process).collect(),
        partitions,
        lanes: lanes(&owners),
        consumers: consumers(known),
        sql_servers,
        dead_letters: dead_letters(known),
    }
}

fn process(known: &Known) -> wire::ProcessStatus {
    wire::ProcessStatus {
        service: known.service.clone(),
        address: known.address(),
        state: known.state().into(),
        version: known.part.as_ref().map(|part| part.version.clone()),
    }
}

/// The owner of each partition. If two processes claim it, the one with the later epoch.
fn owners(known: &[Known]) -> BTreeMap<&str, (&v1::Part, &v1::Owned)> {
    let parts = known.iter().filter_map(|known| known.part.as_ref());
    let all = parts.flat_map(|part| part.owned.iter().map(move |owned| (part, owned)));
    let mut owners: BTreeMap<&str, (&v1::Part, &v1::Owned)> = BTreeMap::new();
    for (part, owned) in all {
        let name = owned.partition.as_str();
        if owners
            .get(name)
            .is_none_or(|(_, other)| other.epoch < owned.epoch)
        {
            owners.insert(name, (part, owned));
        }
    }
    owners
}

/// Each partition once, in the order of the reports.
fn partitions(
    known: &[Known],
    owners: &BTreeMap<&str, (&v1::Part, &v1::Owned)>,
) -> Vec<wire::PartitionStatus> {
    let parts = known.iter().filter_map(|known| known.part.as_ref());
    let mut seen = BTreeSet::new();
    let names = parts.flat_map(|part| &part.partitions);
    let names = names.filter(|name| seen.insert(name.as_str()));
    let status = |name: &String| {
        let owner = owners.get(name.as_str());
        wire::PartitionStatus {
            name: name.clone(),
            owner: owner.map(|(part, _)| part.address.clone()),
            epoch: owner.map(|(_, owned)| owned.epoch),
            transition: owner.map(|(_, owned)| owned.seq),
        }
    };
    names.map(status).collect()
}

/// The messages that each owner has sent to another one, and that one has not received. The processes are
/// not asked at the same moment: one that has received more than was sent before has no lag.
fn lanes(owners: &BTreeMap<&str, (&v1::Part, &v1::Owned)>) -> Vec<wire::LaneStatus> {
    let mut lanes = Vec::new();
    for (from, (_, sender)) in owners {
        for (to, sent) in &sender.sent {
            let Some((_, receiver)) = owners.get(to.as_str()) else {
                continue;
            };
            let taken = receiver.received.get(*from).copied().unwrap_or_default();
            lanes.push(wire::LaneStatus {
                from: (*from).to_owned(),
                to: to.clone(),
                lag_messages: sent.saturating_sub(taken),
            });
        }
    }
    lanes
}

/// A process that takes nothing has no lag. Processes of the previous version do not report how much they
/// take.
fn consumers(known: &[Known]) -> Vec<wire::ConsumerStatus> {
    let mut consumers = Vec::new();
    for known in known.iter().filter(|known| known.serves) {
        let told = known.part.iter().flat_map(|part| &part.consumers);
        let taking = told.filter(|told| told.partitions > 0 || told.partitions_of == 0);
        consumers.extend(taking.map(|consumer| wire::ConsumerStatus {
            name: consumer.name.clone(),
            address: known.address(),
            lag_records: consumer.lag_records,
            lag_ms: consumer.lag_ms,
            partitions: consumer.partitions,
        }));
    }
    consumers.sort_by(|one, other| (&one.name, &one.address).cmp(&(&other.name, &other.address)));
    consumers
}

/// Consumers with partitions that no process takes, with the numbers of partitions taken and in all.
fn untaken(known: &[Known]) -> impl Iterator<Item = String> {
    let parts = known.iter().filter_map(|known| known.part.as_ref());
    let mut shared = BTreeMap::<String, (u64, u64)>::new();
    for told in parts.flat_map(|part| &part.consumers) {
        let (taken, of) = shared.entry(told.name.clone()).or_default();
        *taken += told.partitions;
        *of = told.partitions_of.max(*of);
    }
    let missing = shared.into_iter().filter(|(_, (taken, of))| taken < of);
    missing.map(|(name, (taken, of))| {
        format!(
            "nobody takes {} of the {of} partitions of {name}",
            of - taken
        )
    })
}

/// The dead letters of each group, as reported by the one process that keeps them; the others have none.
fn dead_letters(known: &[Known]) -> Vec<wire::DeadLettersStatus> {
    let parts = known.iter().filter_map(|known| known.part.as_ref());
    let mut letters = BTreeMap::<&str, u64>::new();
    for told in parts.flat_map(|part| &part.dead_letters) {
        let most = letters.entry(&told.group).or_default();
        *most = told.letters.max(*most);
    }
    let status = |(group, letters): (&str, u64)| wire::DeadLettersStatus {
        group: group.to_owned(),
        letters,
    };
    letters.into_iter().map(status).collect()
}

/// Each server once, as the process sees it that sees most of it: one process may not reach what others do.
fn sql_servers(known: &[Known]) -> Vec<wire::SqlServerStatus> {
    let parts = known.iter().filter_map(|known| known.part.as_ref());
    let mut seen = BTreeMap::<&str, (v1::SqlRole, u64)>::new();
    for server in parts.flat_map(|part| &part.sql_servers) {
        let told = (server.role(), server.delay_ms);
        let most = seen.entry(&server.address).or_insert(told);
        *most = (*most).max(told);
    }
    let status = |(address, (role, delay_ms)): (&str, _)| wire::SqlServerStatus {
        address: address.to_owned(),
        role: sql_role(role).into(),
        delay_ms: (role == v1::SqlRole::Replica).then_some(delay_ms),
    };
    seen.into_iter().map(status).collect()
}

const fn sql_role(role: v1::SqlRole) -> SqlServerRole {
    match role {
        v1::SqlRole::Unspecified => SqlServerRole::Unspecified,
        v1::SqlRole::Away => SqlServerRole::Away,
        v1::SqlRole::Replica => SqlServerRole::Replica,
        v1::SqlRole::Primary => SqlServerRole::Primary,
    }
}

fn problems(
    known: &[Known],
    partitions: &[wire::PartitionStatus],
    sql_servers: &[wire::SqlServerStatus],
) -> Vec<String> {
    let mut serving: BTreeMap<&str, bool> = BTreeMap::new();
    let mut problems = Vec::new();
    for process in known {
        *serving.entry(&process.service).or_default() |= process.state() == ProcessState::Serves;
        if process.part.is_none() {
            let (service, address) = (&process.service, process.address());
            problems.push(format!("{service} at {address} does not answer"));
        }
    }
    let idle = serving.iter().filter(|(_, serves)| !**serves);
    problems.extend(idle.map(|(service, _)| format!("no process of {service} takes calls")));
    let orphans = partitions.iter().filter(|found| found.owner.is_none());
    problems.extend(orphans.map(|found| format!("nobody owns {}", found.name)));
    problems.extend(untaken(known));
    let away = sql_servers
        .iter()
        .filter(|server| server.role() == SqlServerRole::Away);
    let said =
        |server: &wire::SqlServerStatus| format!("the SQL server {} is away", server.address);
    problems.extend(away.map(said));
    problems
}
