//! What a process reports of itself to the gateways of its platform: how far its consumers are behind, which partitions of
//! stages it owns, and how it sees its SQL servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use prepx_auth::ClusterKey;
use prepx_bus::TopicPartition;
use prepx_proto::platform::v1;
use prepx_proto::platform::v1::part_service_server::{PartService, PartServiceServer};
use prepx_runtime::Service;
use prepx_stage::port::HeadsPort;
use prepx_stage::{Head, Seat};
use tonic::{Request, Response, Status};

/// How long reading the partitions of a stage may take. They show only what is durable, and the log may be
/// away; then this process reports that it owns nothing.
pub(crate) const HEADS_WAIT: Duration = Duration::from_secs(1);

/// The report of a process to operators.
pub struct Part {
    /// The address at which other processes reach it, `host:port`.
    pub address: String,
    /// Its metrics.
    pub metrics: PrometheusHandle,
    /// The stages of which it may own partitions.
    pub stages: Vec<Arc<dyn HeadsPort>>,
}

impl Part {
    /// The service, for callers with the platform's key. It needs no other layer before it.
    pub fn service(self, key: &ClusterKey) -> Service {
        let server = PartServiceServer::new(self);
        Service::new().grpc(server).layer(key.layer())
    }
}

#[tonic::async_trait]
impl PartService for Part {
    async fn get_part(&self, _: Request<v1::GetPartRequest>) -> Result<Response<v1::Part>, Status> {
        let seats = self.stages.iter().flat_map(|stage| stage.seats());
        let mut owned = Vec::new();
        for stage in &self.stages {
            let heads = tokio::time::timeout(HEADS_WAIT, stage.heads()).await;
            let heads = heads.unwrap_or_default();
            owned.extend(heads.iter().map(|(seat, head)| owned_of(*seat, head)));
        }
        let published = self.metrics.render();
        Ok(Response::new(v1::Part {
            address: self.address.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            consumers: consumers(&published),
            partitions: seats.map(|seat| seat.to_string()).collect(),
            owned,
            sql_servers: sql_servers(&published),
            dead_letters: published.lines().filter_map(dead_letters).collect(),
        }))
    }
}

/// The report on a partition that is owned here.
pub(crate) fn owned_of(seat: Seat, head: &Head) -> v1::Owned {
    // Messages to consumers that are not stages are left out: the consumers report their lag themselves.
    let lanes = |numbers: &BTreeMap<TopicPartition, u64>,
                 of: fn(TopicPartition) -> Option<Seat>| {
        let named = |(at, number): (&TopicPartition, &u64)| Some((of(*at)?.to_string(), *number));
        numbers.iter().filter_map(named).collect()
    };
    v1::Owned {
        partition: seat.to_string(),
        epoch: head.epoch,
        seq: head.seq,
        sent: lanes(&head.sent, Seat::of_lanes),
        received: lanes(&head.received, Seat::of_journal),
    }
}

/// How far this process's consumers are behind, and how many partitions are theirs, by the gauges that
/// `prepx_stage::Lag` publishes.
fn consumers(published: &str) -> Vec<v1::Consumer> {
    let mut found = BTreeMap::<&str, v1::Consumer>::new();
    for (gauge, name, value) in published.lines().filter_map(of_consumer) {
        let consumer = found.entry(name).or_default();
        consumer.name = name.to_owned();
        match gauge {
            "lag_records" => consumer.lag_records = value as u64,
            "lag_seconds" => consumer.lag_ms = (value * 1e3) as u64,
            "partitions" => consumer.partitions = value as u64,
            "partitions_of" => consumer.partitions_of = value as u64,
            _ => {}
        }
    }
    found.into_values().collect()
}

/// The parts of a line such as `prepx_consumer_lag_records{consumer="ledger"} 3`: gauge, consumer, value.
fn of_consumer(line: &str) -> Option<(&str, &str, f64)> {
    let line = line.strip_prefix("prepx_consumer_")?;
    let (gauge, rest) = line.split_once("{consumer=\"")?;
    let (name, value) = rest.split_once("\"} ")?;
    Some((gauge, name, value.parse().ok()?))
}

/// The parts of a line such as `prepx_dead_letters{group="webhooks"} 3`, which `prepx_errand` publishes.
fn dead_letters(line: &str) -> Option<v1::DeadLetters> {
    let (labels, value) = line.strip_prefix("prepx_dead_letters{")?.split_once("} ")?;
    Some(v1::DeadLetters {
        group: label(labels, "group")?.to_owned(),
        letters: value.parse::<f64>().ok()? as u64,
    })
}

/// The servers of this process's schemas, by the gauges that `prepx_store` publishes: the worst that any
/// schema sees of each.
fn sql_servers(published: &str) -> Vec<v1::SqlServer> {
    let mut found = BTreeMap::<&str, v1::SqlServer>::new();
    for line in published.lines() {
        let Some((labels, value)) = sql_server(line) else {
            continue;
        };
        let Some(address) = label(labels, "server") else {
            continue;
        };
        let server = found.entry(address).or_default();
        address.clone_into(&mut server.address);
        let role = label(labels, "role").map(role_of);
        match role {
            Some(role) if value > 0.0 => server.role = server.role.max(role.into()),
            None => server.delay_ms = server.delay_ms.max((value * 1e3) as u64),
            Some(_) => {}
        }
    }
    found.into_values().collect()
}

/// The labels of a line such as `prepx_store_server{server="db:5432",role="leads"} 1`, and its value.
fn sql_server(line: &str) -> Option<(&str, f64)> {
    let line = line.strip_prefix("prepx_store_server")?;
    let line = line.strip_prefix("_delay_seconds").unwrap_or(line);
    let (labels, value) = line.strip_prefix('{')?.split_once("} ")?;
    Some((labels, value.parse().ok()?))
}

/// The value of a label.
fn label<'l>(labels: &'l str, name: &str) -> Option<&'l str> {
    let mut all = labels.split(',').filter_map(|label| label.split_once('='));
    let (_, value) = all.find(|(found, _)| *found == name)?;
    Some(value.trim_matches('"'))
}

fn role_of(told: &str) -> v1::SqlRole {
    match told {
        "leads" => v1::SqlRole::Primary,
        "follows" => v1::SqlRole::Replica,
        _ => v1::SqlRole::Away,
    }
}

#[cfg(test)]
mod tests {
    use prepx_stage::Stage;

    use super::*;

    #[test]
    fn consumers_are_those_that_are_published() {
        let telemetry = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&telemetry, || {
            for (consumer, records, age_seconds) in [("ledger", 3.0, 1.25), ("audit", 0.0, 0.0)] {
                metrics::gauge!("prepx_consumer_lag_records", "consumer" => consumer).set(records);
                metrics::gauge!("prepx_consumer_lag_positions", "consumer" => consumer).set(9.0);
                metrics::gauge!("prepx_consumer_lag_seconds", "consumer" => consumer)
                    .set(age_seconds);
            }
            metrics::gauge!("prepx_consumer_partitions", "consumer" => "ledger").set(2.0);
            metrics::gauge!("prepx_consumer_partitions_of", "consumer" => "ledger").set(4.0);
        });
        let audit = v1::Consumer {
            name: "audit".to_owned(),
            ..v1::Consumer::default()
        };
        let ledger = v1::Consumer {
            name: "ledger".to_owned(),
            lag_records: 3,
            lag_ms: 1_250,
            partitions: 2,
            partitions_of: 4,
        };
        assert_eq!(consumers(&telemetry.handle().render()), [audit, ledger]);
    }

    #[test]
    fn dead_letters_are_those_that_are_published() {
        let telemetry = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&telemetry, || {
            metrics::gauge!("prepx_dead_letters", "group" => "webhooks").set(3.0);
            metrics::gauge!("prepx_dead_letters_of_others", "group" => "a").set(1.0);
        });
        let published = telemetry.handle().render();
        let found: Vec<_> = published.lines().filter_map(dead_letters).collect();
        let group = "webhooks".to_owned();
        assert_eq!(found, [v1::DeadLetters { group, letters: 3 }]);
    }

    #[test]
    fn sql_servers_are_those_that_are_published() {
        let telemetry = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&telemetry, || {
            for (schema, server, is, delay_seconds) in [
                ("books", "db-1:5432", "leads", 0.0),
                ("books", "db-2:5432", "follows", 0.5),
                ("trades", "db-2:5432", "away", 0.0),
            ] {
                let labels = [("schema", schema), ("server", server)];
                metrics::gauge!("prepx_store_server_delay_seconds", &labels).set(delay_seconds);
                for role in ["leads", "follows", "away"] {
                    let labels = [("schema", schema), ("server", server), ("role", role)];
                    let gauge = metrics::gauge!("prepx_store_server", &labels);
                    gauge.set(f64::from(u8::from(role == is)));
                }
            }
        });
        let server = |address: &str, role: v1::SqlRole, delay_ms| v1::SqlServer {
            address: address.to_owned(),
            role: role.into(),
            delay_ms,
        };
        assert_eq!(
            sql_servers(&telemetry.handle().render()),
            [
                server("db-1:5432", v1::SqlRole::Primary, 0),
                server("db-2:5432", v1::SqlRole::Replica, 500),
            ]
        );
    }

    #[test]
    fn lanes_are_named_by_the_partitions_at_their_other_ends() {
        let (account, matching) = (Stage::ACCOUNT.seat(1), Stage::MATCHING.seat(0));
        let updates = prepx_bus::Topic::PortfolioUpdates.partition(1);
        let head = Head {
            sent: BTreeMap::from([(matching.lanes(), 7), (updates, 9)]),
            received: BTreeMap::from([(matching.journal(), 5)]),
            ..Head::default()
        };
        let owned = owned_of(account, &head);
        let other = |number| BTreeMap::from([("matching/0".to_owned(), number)]);
        assert_eq!(owned.partition, "account/1");
        assert_eq!((owned.sent, owned.received), (other(7), other(5)));
    }
}
